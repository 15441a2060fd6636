"""Send generated requests to a server of its own, and compare every answer with a description of the API (promises A1).

    scripts/fuzz-api [SPEC] [--cases N] [--database sqlite|postgresql] [--seed N]

SPEC is an OpenAPI document; without one it is what the server itself serves. schemathesis goes through its four phases:
examples, coverage, fuzzing and stateful. A finding is an answer 5xx, a body or content type that the description does
not have, a status that it does not document, or an error in the server's log. The exit status is 1 when there is one.

The server has users, for many operations are about them. fuzz_hooks.py tells what is there to be found.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process import store
from tests.process.postgres import Cluster
from tests.process.program import ROOT, Program

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# Not asked: negative_data_rejection and positive_data_acceptance, for much that a description cannot forbid is refused
# (a text that is no definition, a name that is taken), and numbers out of range are read leniently (api-behaviour 1.7,
# 3.9). Neither unsupported_method, for paths have methods besides those of the contract.
ENDLESS = r"v2/events$"  # the live feed, whose answers have no end to wait for
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Fuzzed(Program):
    """A server with an admin, whose passwords are cheap to check and whose logins nobody slows down."""

    password = secrets.token_urlsafe(16)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "DAGBOOK_AUTH_MODE": "builtin",
            "DAGBOOK_AUTH_TOKEN_SECRET": secrets.token_urlsafe(48),
            "DAGBOOK_AUTH_ADMIN_PASSWORD": self.password,
            "DAGBOOK_AUTH_BCRYPT_COST": "4",
            "DAGBOOK_AUTH_LOGIN_FAILURES": "1000",
            "DAGBOOK_AUTH_LOGINS_PER_MINUTE": "100000",
        }

    def log_in(self) -> str:
        """Let the client be the admin, and return the token of that."""
        client = self.api.client
        login = client.post("/auth/login", json={"username": "admin", "password": self.password}).json()
        client.headers["Authorization"] = f"Bearer {login['token']}"
        return str(login["token"])


def main() -> int:
    """Do what the command line says, print the counts; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", type=Path, metavar="SPEC")
    parser.add_argument("--cases", type=int, default=200, help="most generated cases of an operation in a phase")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    with _database(arguments.database) as url, _server(url) as (program, directory):
        status = _fuzz(program, directory, arguments)
        errors = [line for line in program.log_text().splitlines() if " level=error " in line]
    for line in errors[:20]:
        print(f"in the server's log: {line[:300]}")
    print(f"{arguments.database}, seed {arguments.seed}: schemathesis gave {status}, the log has {len(errors)} errors")
    return 1 if status or errors else 0


@contextmanager
def _database(engine: str) -> Iterator[str]:
    if engine == "sqlite":
        yield ""
        return
    cluster = Cluster()
    try:
        yield store.make_database(cluster.url)
    finally:
        cluster.remove()


@contextmanager
def _server(url: str) -> Iterator[tuple[Fuzzed, Path]]:
    directory = Path(tempfile.mkdtemp(prefix="dagbook-fuzz-"))
    program = Fuzzed(directory / "home", url)
    try:
        program.start()
        yield program, directory
    finally:
        program.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _fuzz(program: Fuzzed, directory: Path, arguments: argparse.Namespace) -> int:
    token = program.log_in()
    address = str(program.api.client.base_url).removesuffix("/")
    spec, base = arguments.spec, address
    if spec is None:  # whose paths begin at the root
        spec, base = directory / "openapi.json", address.removesuffix("/api/v2")
        spec.write_bytes(program.api.client.get("/openapi.json").content)
    told = {
        "FUZZ_ADDRESS": address,
        "FUZZ_TOKEN": token,
        "FUZZ_PASSWORD": program.password,
        "FUZZ_COUNTS": str(directory / "counts"),
        "FUZZ_SEED": str(arguments.seed),
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
        "PYTHONPATH": str(ROOT / "scripts" / "measuring"),
    }
    command = [Path(sys.executable).with_name("schemathesis"), "run", spec.resolve(), "--url", base, "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(arguments.cases), "--seed", str(arguments.seed)]
    command += ["--exclude-path-regex", ENDLESS] if arguments.spec is None else []
    command += ["--continue-on-failure", "--warnings", "off", "--generation-database", "none"]
    status = subprocess.run(command, env=os.environ | told, cwd=directory, check=False).returncode
    _print_counts(json.loads((directory / "counts").read_text()))
    return status


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    others: Counter[str] = Counter()
    for operation, statuses in sorted(counts.items()):
        if operation.split(" ")[0] not in METHODS or set(statuses) <= {"405"}:
            others.update(statuses)
            continue
        told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        print(f"{sum(statuses.values()):6} {operation}  {told}")
    print(f"{others.total():6} requests with other methods  {dict(others)}")
    print(f"{sum(sum(statuses.values()) for statuses in counts.values()):6} requests")


if __name__ == "__main__":
    sys.exit(main())
