from __future__ import annotations

import time

import pytest

from dagbook.spec.build.steps import MAX_LINKS, MAX_STEPS
from dagbook.spec.model import Call, Executor, Pair, Parallel, Step
from tests.pure.spec.definitions import dag_of, problem_of, step_of


def steps(text: str) -> tuple[Step, ...]:
    return dag_of(text).steps


def names(text: str) -> list[str]:
    return [step.name for step in steps(text)]


def links(text: str) -> dict[str, tuple[str, ...]]:
    return {step.name: step.depends for step in steps(text)}


class TestShapes:
    @pytest.mark.parametrize("text", ["", "steps:", "steps: []", "steps: {}"])
    def test_a_dag_may_have_no_steps(self, text: str) -> None:
        assert steps(text) == ()

    def test_a_text_is_short_for_a_command(self) -> None:
        assert steps("steps: [echo a]") == steps("steps: [{command: echo a}]")

    def test_keys_match_in_any_case(self) -> None:
        assert steps("Steps: [{COMMAND: echo a, WorkingDir: /x}]") == steps(
            "steps: [{command: echo a, workingDir: /x}]"
        )

    def test_a_map_names_its_steps_and_links_none(self) -> None:
        assert links("steps: {b: {command: echo, name: other}, a: {command: echo}}") == {"b": (), "a": ()}


class TestNames:
    @pytest.mark.parametrize(
        ("step", "name"),
        [
            ("{command: x}", "cmd_1"),
            ("{command: x, script: y}", "script_1"),
            ('{command: "a\\nb"}', "script_1"),
            ("{call: x}", "dag_1"),
            ("{call: x, parallel: [a]}", "parallel_1"),
            ("{command: x, executor: http}", "http_1"),
            ("{executor: jq}", "jq_1"),
            ("{command: x, name: ' given '}", "given"),
        ],
    )
    def test_a_generated_name_tells_what_the_step_does(self, step: str, name: str) -> None:
        assert names(f"steps: [{step}]") == [name]

    def test_members_of_a_group_count_on_from_the_number_of_the_group(self) -> None:
        text = "steps: [echo start, [echo left, {name: right, command: x}], {command: end}]"

        assert names(text) == ["cmd_1", "cmd_2", "right", "cmd_3"]

    def test_numbers_taken_by_groups_are_passed_over(self) -> None:
        assert names("steps: [[a, b, c], [d], e]") == ["cmd_1", "cmd_2", "cmd_3", "cmd_4", "cmd_5"]

    def test_a_name_may_hold_40_bytes_of_any_kind(self) -> None:
        assert names(f"steps: [{{name: {'ü' * 20}, command: x}}]") == ["ü" * 20]

    @pytest.mark.parametrize("kind", ["container: {image: i}", "ssh: {host: h}"])
    def test_the_place_of_the_dag_counts_as_the_type(self, kind: str) -> None:
        assert names(f"{kind}\nsteps: [a, {{command: b, executor: ''}}]") == [f"{kind.partition(':')[0]}_1", "cmd_2"]


class TestChain:
    def test_each_step_depends_on_the_item_before(self) -> None:
        assert links("steps: [a, [b, c], d]") == {
            "cmd_1": (),
            "cmd_2": ("cmd_1",),
            "cmd_3": ("cmd_1",),
            "cmd_4": ("cmd_2", "cmd_3"),
        }

    @pytest.mark.parametrize(
        ("depends", "expected"),
        [("[]", ()), ("null", ("b",)), ("[a]", ("a", "b")), ("a", ("a", "b")), ("[b]", ("b",)), ("[i, i]", ("b",))],
    )
    def test_explicit_dependencies_come_before_the_link_and_an_empty_list_cuts_it(
        self,
        depends: str,
        expected: tuple[str, ...],
    ) -> None:
        before = "{name: a, command: x}, {name: b, id: i, command: x}"

        assert links(f"steps: [{before}, {{name: c, command: x, depends: {depends}}}]")["c"] == expected

    @pytest.mark.parametrize("kind", ["''", "' '", "null", "chain", "' chain '"])
    def test_a_chain_is_what_a_dag_is_that_names_no_other_type(self, kind: str) -> None:
        assert links(f"type: {kind}\nsteps: [a, b]") == {"cmd_1": (), "cmd_2": ("cmd_1",)}

    def test_an_empty_group_cuts_the_chain(self) -> None:
        assert links("steps: [a, [], b]") == {"cmd_1": (), "cmd_3": ()}

    def test_a_graph_has_no_links_of_its_own(self) -> None:
        text = "type: ' graph '\nsteps: [a, [b], {command: c, depends: d}, {command: x, id: d}]"

        assert links(text) == {"cmd_1": (), "cmd_2": (), "cmd_3": ("cmd_4",), "cmd_4": ()}

    def test_an_id_may_be_the_steps_own_name(self) -> None:
        assert links("steps: [{id: a, name: a, command: x}, {name: b, command: x, depends: a}]") == {
            "a": (),
            "b": ("a",),
        }


class TestCommand:
    @pytest.mark.parametrize(
        ("command", "line", "program", "args"),
        [
            ("'  echo \"a b\" c '", 'echo "a b" c', "echo", ("a b", "c")),
            ("echo", "echo", "echo", ()),
            ("echo a | grep b", "echo a | grep b", "echo", ("a", "|", "grep", "b")),
        ],
    )
    def test_a_line_is_kept_and_split(self, command: str, line: str, program: str, args: tuple[str, ...]) -> None:
        step = step_of(f"{{command: {command}}}")

        assert (step.command_line, step.command, step.args) == (line, program, args)
        assert not step.command_list

    def test_a_list_is_rendered_without_leading_blanks(self) -> None:
        step = step_of('{command: ["", " echo ", 1, true, 1.50, "a b"]}')

        assert (step.command, step.args, step.command_list) == ("echo", ("1", "true", "1.5", "a b"), True)
        assert step.command_line == 'echo 1 true 1.5 "a b"'

    def test_several_lines_become_the_script(self) -> None:
        step = step_of('{command: "\\n#!/bin/sh\\necho\\n", script: other}')

        assert (step.script, step.command, step.command_line) == ("#!/bin/sh\necho", "", "")

    def test_a_command_may_stand_beside_a_script(self) -> None:
        step = step_of("{command: python3 -u, script: ' print() '}")

        assert (step.command, step.args, step.script) == ("python3", ("-u",), "print()")

    @pytest.mark.parametrize(
        ("shell", "expected"),
        [("bash -e", ("bash", "-e")), ("[bash, -o, 5]", ("bash", "-o", "5")), ("' '", ()), ("[]", ()), ("null", ())],
    )
    def test_a_shell_is_program_and_arguments(self, shell: str, expected: tuple[str, ...]) -> None:
        assert step_of(f"{{command: x, shell: {shell}}}").shell == expected
        assert dag_of(f"shell: {shell}").shell == expected


class TestCall:
    def test_a_call_fills_command_and_arguments(self) -> None:
        step = step_of("{call: ' kid ', params: {k: v w, a: 1}, command: ignored, executor: http}")

        assert step.call == Call(name="kid", pairs=(Pair("a", "1"), Pair("k", "v w")), params='a="1" k="v w"')
        assert (step.command, step.args) == ("call", ("kid", 'a="1" k="v w"'))
        assert step.command_line == 'kid a="1" k="v w"'
        assert step.executor == Executor(type="dag")
        assert step.params == (Pair("a", "1"), Pair("k", "v w"))

    def test_positional_parameters_stay_unnamed(self) -> None:
        assert step_of("{call: kid, params: a b}").args == ("kid", '"a" "b"')

    def test_a_call_without_parameters_has_an_empty_text_for_them(self) -> None:
        step = step_of("{call: kid}")

        assert (step.command_line, step.args) == ("kid", ("kid", ""))

    def test_the_old_spelling_is_used_only_without_the_new_one(self) -> None:
        assert step_of("{run: old}").call == Call(name="old")
        assert step_of("{run: old, call: new}").call == Call(name="new")

    def test_a_blank_call_calls_nothing(self) -> None:
        assert step_of("{call: ' ', command: x}").call is None

    def test_parameters_of_a_step_know_no_schema(self) -> None:
        assert step_of("{call: x, params: {schema: a}}").params == (Pair("schema", "a"),)

    @pytest.mark.parametrize(
        ("parallel", "expected"),
        [
            ("'${LIST}'", Parallel(variable="${LIST}")),
            ("[a, 5, 1.5]", Parallel(items=("a", "5", "1.5"))),
            ("[{K: v, N: 1, B: true}]", Parallel(items=((Pair("K", "v"), Pair("N", "1"), Pair("B", "true")),))),
            ("{items: [a], maxConcurrent: 2.9, other: x}", Parallel(items=("a",), max_concurrent=2)),
            ("{items: ' $X '}", Parallel(variable="$X")),
        ],
    )
    def test_items_come_as_list_or_text(self, parallel: str, expected: Parallel) -> None:
        step = step_of(f"{{call: x, parallel: {parallel}}}")

        assert step.parallel == expected
        assert step.executor.type == "parallel"


class TestExecutor:
    @pytest.mark.parametrize(
        ("executor", "expected"),
        [
            ("' http '", Executor(type="http")),
            (
                "{type: jq, config: {raw: true, deep: [1, {a: null}]}}",
                Executor(type="jq", config={"raw": True, "deep": [1, {"a": None}]}),
            ),
            ("{}", Executor()),
            ("''", Executor()),
            ("null", Executor(type="ssh")),
        ],
    )
    def test_an_executor_is_a_type_with_a_config(self, executor: str, expected: Executor) -> None:
        (step,) = steps(f"ssh: {{host: h}}\nsteps: [{{command: x, executor: {executor}}}]")

        assert step.executor == expected

    def test_a_container_goes_before_a_remote_host_wherever_it_is_written(self) -> None:
        (step,) = steps("steps: [x]\nssh: {host: h}\ncontainer: {image: i}")

        assert step.executor.type == "container"

    def test_an_unknown_type_loads(self) -> None:
        assert step_of("{executor: whatever}").executor.type == "whatever"


class TestFields:
    @pytest.mark.parametrize(
        ("text", "field", "value"),
        [
            ("dir: /a", "working_dir", "/a"),
            ("dir: /a, workingDir: ' /b '", "working_dir", "/b"),
            ("output: ' $FOO '", "output", "FOO"),
            ("output: '${FOO}'", "output", "{FOO}"),
            ("stdout: ' a ', stderr: b", "stdout", "a"),
            ("timeoutSec: 1.9", "timeout_seconds", 1),
            ("signalOnStop: SIGWINCH", "signal_on_stop", "SIGWINCH"),
            ("shellPackages: [a, b]", "shell_packages", ("a", "b")),
            ("workerSelector: {' a ': ' b '}", "worker_selector", {"a": "b"}),
            ("env: {B: 1, A: '='}", "env", (Pair("B", "1"), Pair("A", "="))),
            ("mailOnError: true", "mail_on_error", True),
            ("description: null", "description", ""),
        ],
    )
    def test_a_field_is_read(self, text: str, field: str, value: object) -> None:
        assert getattr(step_of(f"{{command: x, {text}}}"), field) == value


class TestBounds:
    def test_a_long_chain_loads_quickly_and_without_recursion(self) -> None:
        lines = [f"  - {{name: s{n}, command: echo {n}, env: [A=1], timeoutSec: 5}}" for n in range(MAX_STEPS)]
        text = "\n".join(["steps:", *lines])

        def spent() -> float:
            begun = time.process_time()
            steps(text)
            return time.process_time() - begun

        assert any(spent() < 2 for _ in range(3))  # a slow and busy machine charges twice as much for the same work
        found = steps(text)
        assert found[-1].depends == (f"s{MAX_STEPS - 2}",)

    def test_a_ring_of_all_steps_is_found_without_recursion(self) -> None:
        lines = [f"  - {{name: s{n}, command: x, depends: s{(n + 1) % MAX_STEPS}}}" for n in range(MAX_STEPS)]

        message = problem_of("\n".join(["type: graph", "steps:", *lines])).message

        assert f"{MAX_STEPS - 10} more" in message

    def test_more_steps_than_the_bound_are_refused(self) -> None:
        assert "5,000 steps" in problem_of(f"steps: [{'a,' * (MAX_STEPS + 1)}]").message

    def test_steps_are_counted_over_all_documents(self) -> None:
        text = "name: a\nsteps: [" + "a," * MAX_STEPS + "]\n---\nname: sub\nsteps: [b]\n"

        assert "5,001" in problem_of(text).message

    def test_large_groups_are_not_multiplied_beyond_the_bound(self) -> None:
        group = "a," * 501

        assert f"{MAX_LINKS:,} links" in problem_of(f"steps: [[{group}], [{group}]]").message
        assert len(steps(f"type: graph\nsteps: [[{group}], [{group}]]")) == 1002
