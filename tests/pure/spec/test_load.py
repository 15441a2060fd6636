from __future__ import annotations

import pytest

from dagbook.spec.model import Dag, Pair
from dagbook.spec.reading.load import BASE, load


class TestNames:
    @pytest.mark.parametrize(
        ("text", "name", "override", "expected"),
        [
            ("name: own", "fill", "", "own"),
            ("queue: q", "fill", "", "fill"),
            ("queue: q", "", "", ""),
            ("name: own", "fill", "forced", "forced"),
            ("", "fill", "", "fill"),
            ("- no map", "fill", "", "fill"),
            ("a: [", "fill", "", "fill"),
            ("name: not ok", "fill", "", "fill"),
            (f"name: {'n' * 40}", "", "", "n" * 40),
        ],
    )
    def test_override_goes_before_the_texts_own_name_and_that_before_the_fill_in(
        self,
        text: str,
        name: str,
        override: str,
        expected: str,
    ) -> None:
        assert load(text, name=name, override=override).definition.dag.name == expected

    @pytest.mark.parametrize("bad", ["not ok", "n" * 41, "a/b", "ü"])
    def test_every_source_of_the_name_is_checked(self, bad: str) -> None:
        assert [problem.path for problem in load("", name=bad).problems] == ["name"]
        assert [problem.path for problem in load("name: a", override=bad).problems] == ["name"]
        assert [problem.path for problem in load(f"name: {bad}", override="a").problems] == ["name"]

    def test_a_fill_in_that_is_not_needed_is_not_judged(self) -> None:
        assert load("name: own", name="not ok").problems == ()

    def test_a_given_name_goes_to_the_first_document_only(self) -> None:
        definition = load("steps: [a]\n---\nname: sub\n", override="main").require()

        assert (definition.dag.name, [dag.name for dag in definition.local_dags]) == ("main", ["sub"])


class TestDocuments:
    def test_local_dags_come_in_file_order(self) -> None:
        definition = load("name: a\n---\nname: z\n---\n{}\n---\nname: b\n").require()

        assert [dag.name for dag in definition.local_dags] == ["z", "b"]

    def test_a_local_dag_inherits_nothing(self) -> None:
        definition = load("env: [A=1]\ntype: graph\n---\nname: sub\n").require()

        assert definition.local_dags == (Dag(name="sub"),)

    def test_a_local_dag_may_have_the_name_of_the_main_dag(self) -> None:
        assert load("name: a\n---\nname: a\n").problems == ()

    def test_a_local_dag_needs_a_name(self) -> None:
        loaded = load("name: a\n---\nqueue: q\n")

        assert [str(problem) for problem in loaded.problems] == [
            "[3:1] document 2: name: document 2 needs a name, by which it can be called",
        ]
        assert loaded.definition.local_dags == ()

    def test_two_local_dags_cannot_share_a_name(self) -> None:
        loaded = load("---\nname: a\n---\nname: sub\n---\nname: sub\n")

        assert [(problem.dag, problem.line) for problem in loaded.problems] == [("sub", 6)]
        assert len(loaded.definition.local_dags) == 1

    def test_behind_a_skipped_document_the_main_dag_names_itself(self) -> None:
        assert load("{}\n---\nname: a\n", name="fill").require().dag.name == "a"
        assert "document 2 needs a name" in load("{}\n---\nqueue: q\n", name="fill").problems[0].message

    @pytest.mark.parametrize(
        ("text", "empty"), [("", True), ("# c", True), ("{}", True), ("name: a", False), ("a: [", False)]
    )
    def test_a_text_without_a_document_is_marked_as_empty(self, text: str, empty: bool) -> None:
        loaded = load(text, name="x")

        assert loaded.empty is empty

    def test_an_empty_text_loads_as_a_dag_without_steps(self) -> None:
        assert load("", name="x").require().dag == Dag(name="x")


class TestWarnings:
    def test_old_spellings_and_ignored_values_are_warned_of(self) -> None:
        loaded = load("env: text\ntags: 5\nsteps: [{run: kid}]\n---\nname: sub\nsteps: [{run: x}]\n")

        assert loaded.problems == ()
        assert [warning.split(":")[0] for warning in loaded.warnings] == ["env", "tags", "steps[0].run", "sub"]
        assert loaded.warnings == loaded.definition.warnings


class TestMetadata:
    def test_only_what_a_list_shows_is_read(self) -> None:
        text = "name: a\nschedule: '* * * * *'\ntags: x\nparams: a\nsteps: [echo]\ncontainer: {image: i}\n"

        dag = load(text, metadata_only=True).require().dag

        assert (dag.name, dag.tags, dag.params, len(dag.schedule.start)) == ("a", ("x",), (Pair("1", "a"),), 1)
        assert (dag.steps, dag.container) == ((), None)

    @pytest.mark.parametrize(
        "text",
        [
            "steps: 5",
            "steps: [{comand: x}]",
            "preconditions: 5",
            "precondition: {bad: x}",
            "handlerOn: {finally: 5}",
            "container: {}",
            "ssh: {port: true}",
            "secrets: [{}]",
            "otel: 5",
            "errorMail: {to: 5}",
        ],
    )
    def test_faults_of_what_is_not_read_do_not_show(self, text: str) -> None:
        assert load(text, metadata_only=True).problems == ()
        assert load(text).problems

    @pytest.mark.parametrize(
        "text",
        [
            "foo: 1",
            "timeoutSec: x",
            "schedule: never",
            "container: 5",
            "secrets: {}",
            "handlerOn: []",
            "name: a b",
            "params: 5",
        ],
    )
    def test_faults_of_the_rest_do(self, text: str) -> None:
        assert len(load(text, metadata_only=True).problems) == 1


class TestBase:
    def test_the_base_lies_under_every_document(self) -> None:
        definition = load("env: [B=2]\n---\nname: sub\n", base="env: [A=1]\nqueue: q\n").require()

        assert definition.dag.env == (Pair("A", "1"), Pair("B", "2"))
        assert definition.local_dags[0].env == (Pair("A", "1"),)
        assert {dag.queue for dag in (definition.dag, *definition.local_dags)} == {"q"}

    def test_its_problems_are_told_as_its_own(self) -> None:
        problems = load("bar: 1", base="foo: 1\n").problems

        assert [(problem.dag, problem.path) for problem in problems] == [(BASE, "foo"), ("", "bar")]

    def test_a_base_that_is_not_yaml_is_a_problem(self) -> None:
        assert [problem.dag for problem in load("", base="a: [").problems] == [BASE]

    def test_its_name_serves_only_a_later_document_without_one(self) -> None:
        definition = load("queue: q\n---\nqueue: q\n", base="name: base", name="main").require()

        assert (definition.dag.name, definition.local_dags[0].name) == ("main", "base")

    def test_its_handlers_do_not_reach_sub_dags(self) -> None:
        base, text = "handlerOn: {exit: {command: x}}", "name: a\n---\nname: sub\n"

        definition = load(text, base=base).require()
        assert definition.dag.handlers.exit
        assert definition.local_dags[0].handlers.exit is None
        assert load(text, base=base, base_handlers=False).require().dag.handlers.exit is None

    def test_its_container_does_not_draw_in_the_steps_of_the_dag(self) -> None:
        dag = load("steps: [a]", base="container: {image: i}").require().dag

        assert dag.container
        assert dag.steps[0].executor.type == ""
