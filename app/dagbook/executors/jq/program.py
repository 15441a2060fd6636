"""The subprocess of a jq step: runs a program over one JSON text and writes each result at once (DAG format 4.7).

Results are read as JSON text from jq: as Python values they would lose digits of large numbers. Members of objects
are sorted by name, in the input and in the output.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import jq
import msgspec

from dagbook.executors.config import Config
from dagbook.executors.contract import Job
from dagbook.executors.jq.limits import STEP, run_limited
from dagbook.executors.subprocess_executor import ProgramError, report_errors, run_program, write_stdout
from dagbook.spec.reading.rendering import render, sort_members

_WHOLE_INPUT = "."  # the program of a step that has none
_PLAIN_LIMIT = 1e21  # larger numbers are written with an exponent


def main(job: Job) -> int:
    """Run a job's program within the limits of a step."""
    return run_limited(lambda: report_errors(lambda: print_results(job)), STEP)


def print_results(job: Job) -> int:
    """Write the results of a job's program. Raises ProgramError."""
    raw = Config(job.config, "jq").flag("raw")
    _check_json(job.script)
    results = _compile(job.line.strip() or _WHOLE_INPUT).input_text(_sort(job.script))
    for text in _results(results, job.script):
        try:
            value = json.loads(text, parse_float=_number)
        except RecursionError:
            raise ProgramError("jq: a result is nested too deeply to be printed") from None
        if not raw:
            line = json.dumps(value, ensure_ascii=False, indent=4, sort_keys=True)
        elif isinstance(value, list | dict):
            line = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        else:
            line = render(value)
        write_stdout(line + "\n")
    return 0


def _compile(program: str) -> Any:
    try:
        jq.compile(program)  # without the parentheses below, which would make more programs valid
        return jq.compile(f"({program}\n) | tojson")
    except ValueError as error:
        reason = str(error).partition("\n")[0].removeprefix("jq: error: ")
        raise ProgramError(f"jq: the program cannot be read: {reason}") from None


def _check_json(text: str) -> None:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        raise ProgramError("jq: the script is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ProgramError(f"jq: the script is not JSON: {error}; give the input there as JSON text") from None


def _sort(text: str) -> str:
    try:
        return sort_members(text.encode()).decode()
    except RecursionError:
        raise ProgramError("jq: the script is nested too deeply") from None
    except ValueError:
        return text  # half of a surrogate pair: jq raises the error


def _results(results: Iterable[str], script: str) -> Iterator[str]:
    """Yield the results as JSON; an error of the program ends them and goes to stderr (quirk: no failure)."""
    try:
        yield from results
    except ValueError as error:
        try:  # jq may refuse the input itself, such as half of a surrogate pair
            jq.compile("empty").input_text(script).all()
        except ValueError as refusal:
            reason = str(refusal).removeprefix("parse error: ")
            raise ProgramError(f"jq: the script is not JSON: {reason}") from None
        sys.stderr.write(f"jq: error: {error}\n")


def _number(text: str) -> int | float:
    value = float(text)
    if math.isinf(value):  # the value that jq calculates with
        return math.copysign(sys.float_info.max, value)
    return int(value) if value.is_integer() and abs(value) < _PLAIN_LIMIT else value


if __name__ == "__main__":
    sys.exit(run_program(main))
