"""The setting of the commands that print secrets: how it is written, and what a command may be asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dagbook.settings import Settings, SettingsError, read
from dagbook.settings.definitions import TABLE
from dagbook.settings.secret_commands import SecretCommand

FILE = """
secret_commands:
  op: {argv: [op, read, "op://{key}"], keys: ["prod/*"], dags: ["etl-*"], env: {OP_TOKEN: "${OP_TOKEN}"}}
  aws: [aws, secretsmanager, get-secret-value, --secret-id, "{key}", --query, SecretString, --output, text]
"""
AWS_ARGV = ["aws", "secretsmanager", "get-secret-value", "--secret-id", "{key}"]
AWS_ARGV += ["--query", "SecretString", "--output", "text"]
VARIABLE = {
    "op": {
        "argv": ["op", "read", "op://{key}"],
        "keys": ["prod/*"],
        "dags": ["etl-*"],
        "env": {"OP_TOKEN": "topsecret, with = and ,"},
    },
    "aws": AWS_ARGV,
}
AWS = SecretCommand(name="aws", argv=tuple(AWS_ARGV))


def of_file(folder: Path, text: str) -> Settings:
    (folder / "dagbook.yaml").write_text(text)
    return read({}, {"OP_TOKEN": "topsecret, with = and ,"}, folder)


def test_a_map_of_commands_or_of_lists_that_are_short_for_all_keys_and_dags(tmp_path: Path) -> None:
    settings = of_file(tmp_path, FILE)
    op, aws = settings.secret_commands
    assert (op.name, op.argv, op.keys, op.dags) == ("op", ("op", "read", "op://{key}"), ("prod/*",), ("etl-*",))
    assert op.env == {"OP_TOKEN": "topsecret, with = and ,"}
    assert aws == AWS
    assert settings.credential_variables == {"OP_TOKEN"}


def test_a_variable_gives_the_same_as_json(tmp_path: Path) -> None:
    settings = read({}, {"DAGBOOK_SECRET_COMMANDS": json.dumps(VARIABLE)}, tmp_path)
    assert settings.secret_commands == of_file(tmp_path, FILE).secret_commands
    assert settings.credential_variables == {"DAGBOOK_SECRET_COMMANDS"}


def test_variables_of_a_command_are_not_displayed(tmp_path: Path) -> None:
    kind = next(setting.kind for setting in TABLE if setting.name == "secret_commands")
    shown = kind.display(of_file(tmp_path, FILE).secret_commands)
    assert "topsecret" not in str(shown)
    assert "OP_TOKEN=***" in str(shown)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("op", "write a map of names and commands such as"),
        ("{op: op read}", "write a map of names and commands such as"),
        ("{op: {argv: op read}}", "argv: write the program and its arguments as a list; there is no shell"),
        ("{op: []}", "argv: write the program and its arguments as a list"),
        ("{op: {keys: [a]}}", "command 1 (op): argv: is missing"),
        ("{op: ['{key}']}", "argv: the program itself cannot contain {key}"),
        ("{vault: [vault]}", "name: 'vault' cannot name a command"),
        ("{env: [env]}", "name: 'env' cannot name a command"),
        ("{'a b': [a]}", "name: 'a b' cannot name a command"),
        ("{op: {argv: [op], env: TOKEN}}", "env: write a map of variables and their values"),
        ("{op: {argv: [op], env: {'A B': x}}}", "env: write a map of variables and their values"),
        ("{op: {argv: [op], env: {TOKEN: '***'}}}", "*** stands for what is not shown"),
        ("{op: {argv: [op], key: [a]}}", "key: is no key of a command; did you mean keys?"),
        ("{op: [op], op: [op]}", "op: is there twice"),
        ("{op: [op, '${SURELY_NOT_SET}']}", "uses ${SURELY_NOT_SET}, which is not set"),
    ],
)
def test_what_is_no_command_is_refused_with_its_place_and_the_fix(tmp_path: Path, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        of_file(tmp_path, f"secret_commands: {value}\n")
    assert str(raised.value).startswith("secret_commands (")
    assert told in str(raised.value)


@pytest.mark.parametrize("key", ["prod/crm/token", "a", "crm@2.1:x", "A_b-c+d=e", "..a/b..", "a/...", "1"])
def test_a_key_is_put_into_its_argument_and_nothing_else(key: str) -> None:
    assert AWS.refusal_of_key(key) == ""
    assert AWS.arguments(key) == [key if argument == "{key}" else argument for argument in AWS.argv]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x; touch p",
        "$(id)",
        "`id`",
        "--help",
        "-",
        "a\n",
        "a\0b",
        "a b",
        "../b",
        "a/../b",
        "a/..",
        "ä",
        "a'b",
        "a\\b",
    ],
)
def test_a_key_that_could_be_more_than_a_name_is_refused(key: str) -> None:
    assert AWS.refusal_of_key(key).startswith("has other characters than")


def test_patterns_say_which_keys_and_dags_there_may_be() -> None:
    op = SecretCommand(name="op", argv=("op", "{key}"), keys=("prod/*", "dev/x"), dags=("etl-*",))
    assert [op.refusal_of_key(key) == "" for key in ("prod/a", "prod/a/b", "dev/x", "dev/y", "production")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert "fits none of the keys that the setting secret_commands allows 'op'" in op.refusal_of_key("dev/y")
    assert [op.may_ask(dag) for dag in ("etl-load", "etl-", "payroll", "xetl-a")] == [True, True, False, False]
    assert (op.is_for_all, AWS.is_for_all, AWS.may_ask("payroll")) == (False, True, True)
