"""The subprocess of a query: one jq program over one JSON text, its first result as text (DAG format 5.7)."""

from __future__ import annotations

import os
import sys

import jq
import msgspec

from dagbook.executors.jq.limits import QUERY
from dagbook.spec.reading.rendering import render_json

EXIT_RESULT, EXIT_NO_RESULT, EXIT_TOO_LONG, EXIT_NO_MEMORY = 0, 3, 4, 5
MAX_CHARACTERS = 16 * 1024 * 1024  # of a result, as of every expanded text
# jq would show the environment, read further texts, of which there are none, and write to stderr. The module system
# is closed by the parentheses: `import` is only valid before all else.
_SAFE = (
    "def env: {}; def modulemeta: empty; def debug: .; def debug(f): .; def stderr: .;"
    " def input: empty; def inputs: empty; {} as $ENV | first("
)


def pack(text: str, program: str) -> bytes:
    """Pack the input of the subprocess: the length of the program on a line, the program, the text."""
    code = program.encode("utf-8", "surrogatepass")
    return b"%d\n%b%b" % (len(code), code, text.encode("utf-8", "surrogatepass"))


def main() -> int:
    QUERY.apply()
    os.nice(10)  # the server comes first
    try:
        size, _, data = sys.stdin.buffer.read().partition(b"\n")
        result = _first_result(data[int(size) :].decode(), data[: int(size)].decode())
        if len(result) > MAX_CHARACTERS:
            return EXIT_TOO_LONG
        sys.stdout.write(result)
        sys.stdout.flush()
    except MemoryError:
        return EXIT_NO_MEMORY
    except (ValueError, RecursionError):
        return EXIT_NO_RESULT
    return EXIT_RESULT


def _first_result(text: str, program: str) -> str:
    """Return the first result; raises ValueError if there is none, whatever the reason."""
    msgspec.json.decode(text, type=msgspec.Raw)  # jq reads more than one JSON text, and more than JSON
    for result in jq.compile(f"{_SAFE}{program}\n)").input_text(text):
        return render_json(result)
    raise ValueError("no result")


if __name__ == "__main__":
    sys.exit(main())
