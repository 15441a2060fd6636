"""What the steps of a definition do to each other: order, failure, tolerance, outputs (runtime 4 to 6, 14)."""

from __future__ import annotations

import pytest

from tests.app.dagbook import Dagbook


@pytest.mark.always
async def test_steps_of_a_chain_run_one_after_another(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - name: a\n    command: echo one\n  - name: b\n    command: echo two\n")
    assert (ended.status, ended.statuses) == ("succeeded", ["succeeded", "succeeded"])
    assert await ended.log("a") == "one"
    assert ended.nodes["b"]["step"]["depends"] == ["a"]


async def test_steps_of_a_graph_without_dependencies_run_at_the_same_time(dagbook: Dagbook) -> None:
    spec = """
type: graph
steps:
  - {name: a, command: mkfifo meeting 2>&1 || true; echo from a > meeting}
  - {name: b, command: mkfifo meeting 2> /dev/null || true; cat meeting}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("b") == "from a"


async def test_members_of_a_nested_list_share_the_step_before_and_are_all_waited_for(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: first
    command: "true"
  - - name: left
      command: "true"
    - name: right
      command: "true"
  - name: last
    command: "true"
"""
    ended = await dagbook.run(spec)
    depends = {name: node["step"].get("depends", []) for name, node in ended.nodes.items()}
    assert depends == {"first": [], "left": ["first"], "right": ["first"], "last": ["left", "right"]}


async def test_a_failed_step_aborts_what_depends_on_it_and_nothing_else(dagbook: Dagbook) -> None:
    spec = """
type: graph
steps:
  - {name: a, command: exit 3}
  - {name: b, command: "true", depends: a}
  - {name: c, command: "true", depends: b}
  - {name: d, command: "true"}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("failed", ["failed", "aborted", "aborted", "succeeded"])
    assert "exit status 3" in ended.nodes["a"]["error"]
    assert "depends on" in ended.nodes["b"]["error"]
    assert "error" not in ended.nodes["c"]
    assert (ended.nodes["b"]["startedAt"], ended.nodes["b"]["stdout"]) == ("", "")


async def test_an_error_tells_the_end_of_what_the_step_wrote_to_stderr(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - name: a\n    command: echo reason >&2; exit 1\n")
    assert ended.nodes["a"]["error"].splitlines()[-1] == "reason"


@pytest.mark.parametrize(
    ("tolerance", "command", "statuses", "status"),
    [
        ("failed", "exit 3", ["failed", "succeeded"], "partially_succeeded"),
        ("{exitCode: [3], markSuccess: true}", "exit 3", ["succeeded", "succeeded"], "succeeded"),
        ("{output: 're:^x[0-9]+$'}", "echo x12; exit 3", ["failed", "succeeded"], "partially_succeeded"),
        ("{output: harmless}", "echo harmless >&2; exit 3", ["failed", "aborted"], "failed"),
    ],
)
async def test_continue_on_decides_what_a_failure_means_for_the_next_step(
    dagbook: Dagbook, tolerance: str, command: str, statuses: list[str], status: str
) -> None:
    spec = f"steps:\n  - name: a\n    command: {command}\n    continueOn: {tolerance}\n  - name: b\n    command: ok=1\n"
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == (status, statuses)


@pytest.mark.parametrize(
    "condition",
    ["test $OWN = here", "{condition: '${OWN}', expected: here}", "'test \"${OWN}\" = here'"],
)
async def test_conditions_of_a_step_see_its_own_variables(dagbook: Dagbook, condition: str) -> None:
    spec = f"""
env: [PLACE: here]
steps:
  - name: a
    env: [OWN: "${{PLACE}}"]
    command: "true"
    preconditions: [{condition}]
    repeatPolicy: {{repeat: while, condition: '${{OWN}}', expected: here, limit: 2, intervalSec: 0}}
"""
    ended = await dagbook.run(spec)
    assert (ended.statuses, ended.nodes["a"]["doneCount"]) == (["succeeded"], 2)


@pytest.mark.parametrize(
    ("shell", "status"),
    [("'${KIND}'", "succeeded"), ("direct", "succeeded"), ("/no/such/shell", "skipped"), ("'`exit 3`'", "skipped")],
)
async def test_conditions_of_a_step_are_run_by_its_own_shell(dagbook: Dagbook, shell: str, status: str) -> None:
    spec = f"""
env: [KIND: bash]
steps:
  - {{name: a, shell: {shell}, command: "true", preconditions: ["test -n x"]}}
"""
    assert (await dagbook.run(spec)).statuses == [status]


@pytest.mark.parametrize(("codes", "printed"), [("[1]", "x\nx"), ("[3]", "x")])
async def test_an_output_that_is_too_long_is_tried_again_like_exit_code_1(
    dagbook: Dagbook, codes: str, printed: str
) -> None:
    spec = f"""
maxOutputSize: 1
steps:
  - name: a
    command: echo x; exit 3
    output: X
    retryPolicy: {{limit: 1, intervalSec: 0, exitCode: {codes}}}
"""
    assert await (await dagbook.run(spec)).log("a") == printed


async def test_an_output_reaches_the_steps_below_it_without_the_space_around_it(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: a, command: "printf '  one\\ntwo \\n\\n'", output: X}
  - {name: b, command: "true"}
  - {name: c, script: "printf '[%s]' \\"$X\\""}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("c") == "[one\ntwo]"


async def test_an_output_is_hidden_from_a_step_that_does_not_depend_on_its_maker(dagbook: Dagbook) -> None:
    spec = """
type: graph
steps:
  - {name: a, command: echo 1, output: X}
  - {name: b, command: "true", depends: a}
  - {name: c, command: 'while [ ! -e go ]; do :; done; echo "[$X]"'}
  - {name: d, command: touch go, depends: b}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("c") == "[]"


async def test_of_two_outputs_with_one_name_the_nearest_counts_for_a_step_and_the_first_for_a_handler(
    dagbook: Dagbook,
) -> None:
    spec = """
steps:
  - {name: a, command: echo 1, output: X}
  - {name: b, command: echo 2, output: X}
  - {name: c, command: echo $X}
handlerOn:
  exit: {command: echo $X}
"""
    ended = await dagbook.run(spec)
    assert (await ended.log("c"), await ended.log("onExit")) == ("2", "1")


async def test_a_failed_step_leaves_its_output_too(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: a, command: echo found; exit 1, output: X, continueOn: failed}
  - {name: b, command: echo $X}
"""
    assert await (await dagbook.run(spec)).log("b") == "found"


@pytest.mark.parametrize(("size", "status"), [(100, "succeeded"), (101, "failed")])
async def test_an_output_may_be_as_long_as_max_output_size(dagbook: Dagbook, size: int, status: str) -> None:
    spec = f"""
maxOutputSize: 100
steps:
  - {{name: a, command: "head -c {size} /dev/zero | tr '\\\\0' x", output: X}}
"""
    ended = await dagbook.run(spec)
    assert ended.status == status
    assert ("maxOutputSize" in ended.nodes["a"].get("error", "")) == (status == "failed")


async def test_references_reach_into_json_outputs_and_into_earlier_steps(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: made
    id: made
    command: echo '{"a":{"b":[1,"x"]},"big":1000000}'
    output: J
  - name: used
    command: echo ${J.a.b[1]} ${J.big} ${J.a} ${made.exitCode}; cat ${made.stdout}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("used") == 'x 1000000 {b:[1,x]} 0\n{"a":{"b":[1,"x"]},"big":1000000}'


async def test_the_exit_code_of_a_failed_step_can_be_referred_to(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: a, id: a, command: exit 7, continueOn: failed}
  - {name: b, command: 'echo ${a.exitCode}'}
"""
    assert await (await dagbook.run(spec)).log("b") == "7"


async def test_no_more_steps_run_at_once_than_max_active_steps(dagbook: Dagbook) -> None:
    step = "  - {{name: s{0}, command: 'mkdir busy && sleep 0.05; rmdir busy'}}\n"
    ended = await dagbook.run("type: graph\nmaxActiveSteps: 1\nsteps:\n" + "".join(map(step.format, range(4))))
    assert ended.statuses == ["succeeded"] * 4


async def test_a_definition_without_steps_is_a_run_that_succeeds_at_once(dagbook: Dagbook) -> None:
    ended = await dagbook.run("description: nothing to do\n")
    assert (ended.status, ended.statuses) == ("succeeded", [])
    assert ended.details["startedAt"]
    assert ended.details["finishedAt"]


async def test_a_step_of_an_unknown_type_fails_and_says_so(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: a, command: x, executor: {type: teleport}}\n")
    assert ended.status == "failed"
    assert "teleport" in ended.nodes["a"]["error"]
