"""Where the values of secrets come from, and what is said when there is none (runtime 29)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dagbook.identifiers import new_key
from dagbook.runs.evaluation.secret_commands import MAX_BYTES
from dagbook.runs.evaluation.secret_values import resolve_secrets
from dagbook.runs.model import ClaimedRun, RunInputs
from dagbook.runs.server_context import HostEnvironment, SecretSources
from dagbook.spec.expansion.scope import credential_values
from dagbook.spec.model import Pair
from dagbook.spec.reading.load import load

ENV = "{name: S, provider: env, key: SOURCE}"
FILE = "{name: S, provider: file, key: secret.txt}"


def run_of(directory: Path, wanted: str, **inputs: Any) -> ClaimedRun:
    definition = load(f"secrets: [{wanted}]\nsteps: [{{command: echo}}]\n", name="flow").definition
    return ClaimedRun(
        key=new_key(),
        dag_name="flow",
        run_id="r1",
        attempt=1,
        token=1,
        definition=definition,
        inputs=RunInputs(work_dir=str(directory), **inputs),
    )


async def unlocked(run: ClaimedRun, **environ: str) -> tuple[ClaimedRun, str]:
    return await resolve_secrets(run, HostEnvironment(environ=environ, home="/", default_shell=("/bin/sh",)))


async def problem_of(run: ClaimedRun, **environ: str) -> str:
    opened, problem = await unlocked(run, **environ)
    assert opened.inputs.secrets == ()
    return problem


@pytest.mark.parametrize(
    ("env", "dotenv", "value"),
    [
        ((), (), "machine"),
        ((Pair("SOURCE", "env"),), (), "env"),
        ((Pair("SOURCE", "env"),), (Pair("SOURCE", "dot"),), "dot"),
    ],
)
async def test_a_variable_is_the_one_that_the_run_sees(
    tmp_path: Path, env: tuple[Pair, ...], dotenv: tuple[Pair, ...], value: str
) -> None:
    opened, problem = await unlocked(run_of(tmp_path, ENV, env=env, dotenv=dotenv), SOURCE="machine")
    assert (opened.inputs.secrets, problem) == ((Pair("S", value),), "")


async def test_a_called_run_sees_what_its_caller_has_handed_on_and_not_the_server(tmp_path: Path) -> None:
    run = run_of(tmp_path, f"{ENV}, {{name: T, provider: env, key: OTHER}}", base_environment={"SOURCE": "handed on"})
    opened, problem = await unlocked(run, SOURCE="machine", OTHER="machine")
    assert opened.inputs.secrets == (Pair("S", "handed on"),)
    assert "secret T" in problem


@pytest.mark.parametrize("content", ["", " ", "value\n", "ä\n€\n", "x" * MAX_BYTES], ids=range(5))
async def test_a_file_is_taken_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret.txt").write_text(content)
    opened, problem = await unlocked(run_of(tmp_path, FILE))
    assert (opened.inputs.secrets, problem) == ((Pair("S", content),), "")


async def test_an_absolute_file_is_taken_from_its_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("value")
    run = run_of(Path("/nonexistent"), f"{{name: S, provider: file, key: {tmp_path}/x}}")
    assert (await unlocked(run))[0].inputs.secrets == (Pair("S", "value"),)


async def test_an_empty_variable_is_a_value(tmp_path: Path) -> None:
    opened, problem = await unlocked(run_of(tmp_path, ENV), SOURCE="")
    assert (opened.inputs.secrets, problem, bool(opened.masker)) == ((Pair("S", ""),), "", False)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\0b", "NUL character"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"x" * (MAX_BYTES + 1), "more than 64 KiB"),
    ],
    ids=["nul", "no text", "large"],
)
async def test_what_cannot_be_a_secret_is_told_without_repeating_it(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "secret.txt").write_bytes(content)
    problem = await problem_of(run_of(tmp_path, FILE))
    assert problem.startswith("secret S: ")
    assert told in problem
    assert "xx" not in problem


async def test_a_missing_file_is_told_with_the_places_that_were_looked_at(tmp_path: Path) -> None:
    problem = await problem_of(run_of(tmp_path, FILE, source_directory="/nonexistent"))
    assert problem == (
        f"secret S: there is no file 'secret.txt'; looked for {tmp_path}/secret.txt, /nonexistent/secret.txt"
    )


async def test_a_named_pipe_or_a_directory_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret.txt")
    assert "is no file" in await problem_of(run_of(tmp_path, FILE))
    assert "is no file" in await problem_of(run_of(tmp_path, "{name: S, provider: file, key: '.'}"))


@pytest.mark.parametrize("name", ["A=B", "my.secret", "my-secret", "1st"])
async def test_a_name_that_no_variable_can_have_is_warned_of_and_has_a_value(tmp_path: Path, name: str) -> None:
    run = run_of(tmp_path, f"{{name: '{name}', provider: env, key: K}}")
    (warning,) = run.definition.warnings
    assert warning.startswith("secrets[0].name: ")
    assert "is no name of a variable" in warning
    opened, problem = await unlocked(run, K="value")
    assert (opened.inputs.secrets, problem) == ((Pair(name, "value"),), "")


# -- what providers may read ---------------------------------------------------------------------------------------


async def limited(run: ClaimedRun, sources: SecretSources, **environ: str) -> tuple[ClaimedRun, str]:
    machine = HostEnvironment(environ=environ, home="/", default_shell=("/bin/sh",), secret_sources=sources)
    return await resolve_secrets(run, machine)


async def test_a_variable_that_no_pattern_allows_is_not_read(tmp_path: Path) -> None:
    sources = SecretSources(variables=("DAGS_*",))
    opened, problem = await limited(run_of(tmp_path, ENV), sources, SOURCE="value")
    assert problem == "secret S: the setting secret_env_allow does not let secrets read the variable 'SOURCE'"
    assert opened.inputs.secrets == ()
    run = run_of(tmp_path, ENV.replace("SOURCE", "DAGS_KEY"))
    assert (await limited(run, sources, DAGS_KEY="value"))[0].inputs.secrets == (Pair("S", "value"),)


async def test_the_patterns_are_about_the_server_s_variables_alone(tmp_path: Path) -> None:
    sources = SecretSources(variables=())
    in_env = run_of(tmp_path, ENV, env=(Pair("SOURCE", "own"),))
    of_caller = run_of(tmp_path, ENV, base_environment={"SOURCE": "own"})
    for run in (in_env, of_caller):
        opened, _ = await limited(run, sources, SOURCE="server's")
        assert opened.inputs.secrets == (Pair("S", "own"),)


async def test_a_file_outside_of_the_directories_is_not_read_through_a_link_either(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for directory in (inside, outside):
        directory.mkdir()
        (directory / "secret.txt").write_text("value")
    (inside / "link").symlink_to(outside / "secret.txt")
    sources = SecretSources(directories=(inside,))
    assert (await limited(run_of(inside, FILE), sources))[0].inputs.secrets == (Pair("S", "value"),)
    for key in ("link", "../outside/secret.txt", str(outside / "secret.txt")):
        _, problem = await limited(run_of(inside, f"{{name: S, provider: file, key: {key}}}"), sources)
        assert problem.endswith("is outside of the directories in the setting secret_file_dirs")


async def test_a_file_with_credentials_of_the_server_is_not_read_by_any_name(tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    key.write_text("k" * 32)
    (tmp_path / "link").symlink_to(key)
    (tmp_path / "other-name").hardlink_to(key)
    sources = SecretSources(own_files=(tmp_path / "missing", key))
    for name in ("secret.key", "link", "other-name"):
        opened, problem = await limited(run_of(tmp_path, f"{{name: S, provider: file, key: {name}}}"), sources)
        assert "contains credentials of the server" in problem
        assert opened.inputs.secrets == ()


async def test_the_server_s_entry_in_proc_is_no_file(tmp_path: Path) -> None:
    assert "is no file" in await problem_of(run_of(tmp_path, "{name: S, provider: file, key: /proc/self/environ}"))


async def test_credentials_of_the_server_s_environment_are_masked_in_every_run(tmp_path: Path) -> None:
    environ = {"DEPLOY_TOKEN": "hunter22", "CACHE_KEY_FILE": "/etc/key", "EDITOR": "editor"}
    machine = HostEnvironment(
        environ=environ, home="/", default_shell=("/bin/sh",), credentials=credential_values(environ)
    )
    opened, _ = await resolve_secrets(run_of(tmp_path, ""), machine)
    assert opened.masker.mask("hunter22 /etc/key editor") == "******* /etc/key editor"
    assert opened.inputs.to_hide == ()  # so nothing of it is stored


async def test_values_that_were_found_are_hidden_even_if_another_one_is_missing(tmp_path: Path) -> None:
    run = run_of(tmp_path, f"{ENV}, {{name: T, provider: env, key: OTHER}}")
    opened, problem = await unlocked(run, SOURCE="hunter2")
    assert problem.startswith("secret T: ")
    assert opened.masker.mask("hunter2") == "*******"


async def test_the_next_attempt_hides_the_values_of_the_one_before_but_gives_none_of_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, ENV, secrets=(Pair("S", "before"), Pair("GONE", "gone")), hidden=("older",))
    opened, _ = await unlocked(run, SOURCE="now")
    assert opened.inputs.secrets == (Pair("S", "now"),)
    assert opened.masker.mask("now before gone older") == "******* ******* ******* *******"


async def test_values_of_the_caller_are_hidden_in_a_run_without_secrets_of_its_own(tmp_path: Path) -> None:
    opened, _ = await unlocked(run_of(tmp_path, "", hidden=("hunter2",)))
    assert opened.masker.mask("hunter2") == "*******"
