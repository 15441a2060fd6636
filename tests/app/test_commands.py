"""How the texts of a step are run: shells, scripts, streams (runtime 9, 11, 12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook


@pytest.mark.parametrize(
    ("step", "printed"),
    [
        ("command: echo a; false; echo b", "a"),
        ("command: echo a; false; echo b\n    shell: /bin/sh", "a\nb"),
        ("command: [echo, 'x  y', z]", "x  y z"),
        ("command: [echo, '$HOME_LESS', '|', cat]", ""),
        ("command: echo $((1+1)) | cat", "2"),
        ("command: echo '$X'\n    env: [X: 1]", "$X"),
        ('command: echo "${X}"\n    env: [X: \'a"b\']', 'a"b'),
        ("command: echo `echo in`side", "inside"),
        ("shell: direct\n    command: echo $X ; done\n    env: [X: 1]", "1 ; done"),
        ("script: |\n      echo a\n      echo b", "a\nb"),
        ("command: |\n      echo a\n      false\n      echo b", "a"),
        ("script: |\n      #!/usr/bin/env bash\n      false\n      echo ${BASH_VERSION:+bash}", "bash"),
        ("shell: /bin/sh\n    script: |\n      #!/no/such\n      echo sh", "sh"),
        ("command: cat\n    script: the text", "the text"),
        ("shell: bash\n    command: echo ${BASH_VERSION:+bash}", "bash"),
    ],
)
async def test_a_step_runs_in_the_way_it_is_written(dagbook: Dagbook, step: str, printed: str) -> None:
    ended = await dagbook.run(f"steps:\n  - name: a\n    {step}\n")
    assert await ended.log("a") == printed, ended.nodes["a"].get("error")


async def test_the_shell_of_the_dag_counts_for_steps_that_name_none(dagbook: Dagbook) -> None:
    ended = await dagbook.run(
        "shell: bash -u\nsteps:\n  - {name: a, command: 'echo ${BASH_VERSION:+bash}; echo $NO'}\n"
    )
    assert (ended.status, await ended.log("a")) == ("failed", "bash")


async def test_a_script_is_gone_after_the_step(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"workingDir: {tmp_path}\nsteps:\n  - {{name: a, script: ls}}\n"
    ended = await dagbook.run(spec)
    assert (await ended.log("a")).startswith("dagbook_script-")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("exit 5", "exit status 5"),
        ("no-such-program-here", "exit status 127"),
        ("kill -KILL $$", "signal: SIGKILL"),
    ],
)
async def test_an_error_tells_how_the_command_ended(dagbook: Dagbook, command: str, error: str) -> None:
    ended = await dagbook.run(f"steps:\n  - {{name: a, command: {command}}}\n")
    assert ended.nodes["a"]["error"].startswith(error)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("command: kill -KILL $$", "-1"),
        ("command: exit 137", "137"),
        ("command: no-such-program-here", "127"),
        ("{shell: direct, command: no-such-program-here}", "1"),
        ("{command: no-such-program-here, script: text}", "1"),
        ("{shell: /no/such/shell, command: echo}", "1"),
        ("{command: echo, workingDir: /proc/no/such}", "0"),
        ("call: no-such-dag", "0"),
    ],
)
async def test_later_steps_see_how_a_failed_one_ended(dagbook: Dagbook, step: str, code: str) -> None:
    first = step.strip("{}")
    ended = await dagbook.run(
        f"steps:\n  - {{id: a, continueOn: failed, {first}}}\n  - {{name: b, command: 'echo ${{a.exitCode}}'}}\n"
    )
    assert await ended.log("b") == code


async def test_a_stream_is_copied_to_the_file_that_the_step_names(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("before\n")
    spec = f"""
workingDir: {tmp_path}
params: WHERE=err
steps:
  - name: a
    workingDir: sub
    stdout: out.txt
    stderr: $WHERE.txt
    command: echo one; echo two >&2
"""
    ended = await dagbook.run(spec)
    assert (await ended.log("a"), await ended.log("a", "stderr")) == ("one", "two")
    assert (tmp_path / "out.txt").read_text() == "before\none\n"
    assert (tmp_path / "err.txt").read_text() == "two\n"


async def test_both_streams_may_go_to_one_file(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"steps:\n  - {{name: a, command: echo one; echo two >&2, stdout: {tmp_path}/f, stderr: {tmp_path}/f}}\n"
    await dagbook.run(spec)
    assert sorted((tmp_path / "f").read_text().split()) == ["one", "two"]


async def test_a_file_that_cannot_be_opened_fails_the_step_before_it_runs(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"steps:\n  - {{name: a, command: touch {tmp_path}/ran, stdout: /no/such/folder/out}}\n"
    ended = await dagbook.run(spec)
    assert (ended.status, ended.nodes["a"]["doneCount"]) == ("failed", 0)
    assert "/no/such/folder/out" in ended.nodes["a"]["error"]
    assert not (tmp_path / "ran").exists()


async def test_output_of_a_child_that_outlives_the_command_belongs_to_the_step(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: a, command: '(sleep 0.2; echo late) & echo early'}\n")
    assert await ended.log("a") == "early\nlate"


async def test_a_child_that_has_closed_its_streams_is_left_alone(dagbook: Dagbook, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    spec = f"""
steps:
  - name: a
    command: mkfifo {fifo}; (read line < {fifo}; echo $line > {tmp_path}/said) >/dev/null 2>&1 & echo on
  - name: b
    command: echo alive > {fifo}; while [ ! -s {tmp_path}/said ]; do sleep 0.01; done; cat {tmp_path}/said
"""
    ended = await dagbook.run(spec.replace("command: mkfifo", "command: |\n      mkfifo"))
    assert (ended.status, await ended.log("b")) == ("succeeded", "alive")


async def test_output_that_is_no_text_is_kept_readable(dagbook: Dagbook) -> None:
    ended = await dagbook.run(
        "steps:\n  - {name: a, command: \"printf 'a\\\\377b\\\\000c\\\\303\\\\244\\\\n'\", output: X}\n"
    )
    assert await ended.log("a") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}cä"


async def test_large_output_is_stored_whole_and_in_order(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: a, command: seq 1 9000}\n")
    assert await ended.log("a") == "\n".join(map(str, range(1, 9001)))
