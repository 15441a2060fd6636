#!/usr/bin/env python3
"""Write the types of the API that the web UI's scripts are checked against: app/dagbook/web/types/openapi.d.ts.

    scripts/api_types.py            from the document that a server of this checkout serves
    scripts/api_types.py --check    fail when the file is not what would be written

Answers that are errors are left out: each operation has the same ones, and they would be most of the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.documentation.pages.api import read_document  # noqa: E402

TYPES = ROOT / "app" / "dagbook" / "web" / "types" / "openapi.d.ts"
NODE = ROOT / ".venv" / "bin" / "node"
GENERATOR = ROOT / "scripts" / "libraries" / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
OPTIONS = (
    "--default-non-nullable=false",
    "--root-types",
    "--root-types-no-schema-prefix",
    "--root-types-keep-casing",
    "--alphabetize",
)
METHODS = {"get", "post", "put", "patch", "delete"}


def leave_out_errors(document: dict[str, Any]) -> None:
    """Keep the answers of success, without their headers and the words of all of them."""
    for item in document["paths"].values():
        for operation in (item[method] for method in METHODS & item.keys()):
            answers = operation["responses"]
            operation["responses"] = {
                status: {"description": "", **({"content": answer["content"]} if "content" in answer else {})}
                for status, answer in answers.items()
                if status < "400"
            }
            # Each operation has one, for other nodes.
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "remoteNode"]


def make_types(folder: Path) -> str:
    """Return the text of the file."""
    document = read_document()
    leave_out_errors(document)
    source, target = folder / "openapi.json", folder / "openapi.d.ts"
    source.write_text(json.dumps(document), encoding="utf-8")
    command = [str(NODE), str(GENERATOR), str(source), *OPTIONS, "--output", str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    text = target.read_text(encoding="utf-8").replace("by openapi-typescript.", "by scripts/api_types.py.", 1)
    return text + "\n/** In every script: `Api.Node` and its like. */\nexport as namespace Api;\n"


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as temporary:
        text = make_types(Path(temporary))
    if not check:
        TYPES.write_text(text, encoding="utf-8")
    elif text != TYPES.read_text(encoding="utf-8"):
        print(
            "app/dagbook/web/types/openapi.d.ts is not what the server's API says; run scripts/api_types.py",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
