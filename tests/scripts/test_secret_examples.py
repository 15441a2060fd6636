"""The commands of docs/how-to/secrets.md, run with programs that print what they were called with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.runs.evaluation.secret_commands import read_from_command
from dagbook.settings import read
from dagbook.settings.secret_commands import SecretCommand
from scripts.documentation.example_blocks import Action, read_page

PAGE = Path(__file__).parents[2] / "docs/how-to/secrets.md"
STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" "${OP_SERVICE_ACCOUNT_TOKEN-}${BW_SESSION-}"\n'
KEY = "prod/crm"
# Of each provider: what its program has to be called with, and the variable that it has to see.
CALLED = {
    "op": (["op", "read", "--no-newline", "op://prod/crm"], "ops_0123456789"),
    "aws": (
        [
            *("aws", "secretsmanager", "get-secret-value", "--secret-id", "prod/crm"),
            *("--query", "SecretString", "--output", "text"),
        ],
        "",
    ),
    "gcloud": (["gcloud", "secrets", "versions", "access", "latest", "--secret=prod/crm"], ""),
    "az": (
        [
            *("az", "keyvault", "secret", "show", "--vault-name", "crm", "--name", "prod/crm"),
            *("--query", "value", "--output", "tsv"),
        ],
        "",
    ),
    "sops": (["sops", "decrypt", "--extract", '["prod/crm"]', "/etc/dagbook/secrets.enc.yaml"], ""),
    "pass": (["pass", "show", "prod/crm"], ""),
    "bw": (["bw", "get", "password", "prod/crm", "--nointeraction"], "0123456789abcdef"),
}


def commands_of_page(folder: Path) -> dict[str, SecretCommand]:
    found: dict[str, SecretCommand] = {}
    for example in read_page(PAGE.read_text()):
        if example.action is Action.READ and "secret_commands" in example.text:
            (folder / "dagbook.yaml").write_text(example.text)
            settings = read({}, example.variables, folder)
            found |= {command.name: command for command in settings.secret_commands}
    return found


def test_the_page_has_a_command_of_each_store(tmp_path: Path) -> None:
    assert {*commands_of_page(tmp_path)} == {*CALLED}


@pytest.mark.parametrize("name", CALLED)
async def test_the_program_of_a_store_is_called_with_the_key_in_its_place(tmp_path: Path, name: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / name).write_text(STAND_IN)
    (programs / name).chmod(0o755)
    printed = await read_from_command(
        commands_of_page(tmp_path)[name], KEY, {"PATH": f"{programs}:/usr/bin:/bin", "OTHER": "not seen"}
    )
    *called, seen = printed.decode().split("\n")
    assert (called, seen) == CALLED[name]
