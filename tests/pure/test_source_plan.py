"""What a sync of a source decides, from files and rows alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dagbook.db.repositories.sources import FileProblem, SourceFileRow, TakenName
from dagbook.sources.plan import (
    NO_DEFINITION,
    Listing,
    Plan,
    Refusal,
    Storing,
    Terms,
    Text,
    TreeFile,
    names_of,
    plan,
    settle,
)
from dagbook.spec.reading.definition_cache import hash_of
from dagbook.spec.reading.load import load

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TERMS = Terms(source="team", directory="/srv/dags", now=NOW)
GOOD = "steps:\n  - command: date\n"
BAD = FileProblem(3, "a problem")


def row(path: str, **changes: Any) -> SourceFileRow:
    """Return the row of a file whose text is stored as it is."""
    found = SourceFileRow(
        path=path,
        content="c1",
        definition_hash="h1",
        source_commit=None,
        problems=(),
        changed_at=NOW,
        removed_at=None,
        resumes=False,
        dag_id=1,
        file_name=path.rpartition(".")[0].replace("/", "."),
        dag_hash="h1",
        revision=4,
        suspended=False,
        source_directory=TERMS.directory_of(path),
    )
    return msgspec.structs.replace(found, **changes)


def without_dag(path: str, **changes: Any) -> SourceFileRow:
    none = dict.fromkeys(("dag_id", "file_name", "dag_hash", "revision", "suspended", "source_directory"))
    return row(path, **{**none, **changes})


def files(*paths: str, content: str = "c1") -> Listing:
    return Listing([TreeFile(path, content) for path in paths])


def taken(name: str, source: str | None, dag_hash: str = "h9") -> dict[str, TakenName]:
    return {name: TakenName(file_name=name, source=source, dag_id=9, dag_hash=dag_hash, revision=2, suspended=False)}


def refused(found: Plan) -> dict[str, str]:
    return {each.file.path: each.problems[0].message for each in found.refusals}


def read(found: Plan) -> dict[str, str]:
    return {each.file.path: each.name for each in found.to_read}


def removed(found: Plan) -> dict[str, bool]:
    return {each.row.path: each.expired for each in found.removals}


def test_a_name_is_the_path_without_extension_with_dots() -> None:
    found = plan(files("a.yaml", "etl/load.yml", "etl/eu/x.y.yaml"), [], {}, TERMS)
    assert read(found) == {"a.yaml": "a", "etl/load.yml": "etl.load", "etl/eu/x.y.yaml": "etl.eu.x.y"}
    assert [each.directory for each in found.to_read] == ["/srv/dags", "/srv/dags/etl/eu", "/srv/dags/etl"]
    assert not found.refusals
    assert not found.removals


def test_what_is_as_it_was_is_not_read_again() -> None:
    assert plan(files("a.yaml", "b/c.yaml"), [row("a.yaml"), row("b/c.yaml")], {}, TERMS) == Plan([], [], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "c0"},
        {"dag_hash": "h2"},  # something else was stored as the DAG
        {"definition_hash": None},
        {"source_directory": "/elsewhere"},
        {"removed_at": NOW, "resumes": True},
        {"problems": (BAD,)},  # this process has not found them, and a later version may find none
        {"dag_id": None, "file_name": None, "dag_hash": None, "revision": None, "suspended": None},
    ],
)
def test_what_differs_from_its_row_is_read(changes: dict[str, Any]) -> None:
    assert read(plan(files("a.yaml"), [row("a.yaml", **changes)], {}, TERMS)) == {"a.yaml": "a"}


def test_a_broken_text_that_this_process_knows_is_not_read_again() -> None:
    broken = [row("a.yaml", problems=(BAD,))]
    terms = msgspec.structs.replace(TERMS, broken={("a.yaml", "c1")})
    assert not plan(files("a.yaml"), broken, {}, terms).to_read
    assert plan(files("a.yaml", content="c2"), broken, {}, terms).to_read


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a" * 41 + ".yaml", "has 41 characters, 40 are the most"),
        ("many/" * 8 + "x.yaml", "has 41 characters"),
        ("a b.yaml", "is not a DAG name"),
        ("ä.yaml", "is not a DAG name"),
        ("x.yaml.yml", "is not a DAG name"),
    ],
)
def test_a_path_that_gives_no_name_is_a_problem(path: str, message: str) -> None:
    found = plan(files(path), [], {}, TERMS)
    assert message in refused(found)[path]
    assert not found.to_read


def test_40_characters_are_a_name() -> None:
    assert read(plan(files("a" * 40 + ".yaml"), [], {}, TERMS)) == {"a" * 40 + ".yaml": "a" * 40}


def test_of_two_files_with_one_name_the_first_gets_it_and_who_has_it_keeps_it() -> None:
    both = files("a.b.yaml", "a/b.yaml")
    first = plan(both, [], {}, TERMS)
    assert read(first) == {"a.b.yaml": "a.b"}
    assert "from the file 'a.b.yaml'" in refused(first)["a/b.yaml"]
    kept = plan(both, [row("a/b.yaml")], {}, TERMS)
    assert read(kept) == {}
    assert "from the file 'a/b.yaml'" in refused(kept)["a.b.yaml"]


def test_a_name_of_another_source_or_a_stored_dag_is_a_clash() -> None:
    assert "from the source 'other'" in refused(plan(files("a.yaml"), [], taken("a", "other"), TERMS))["a.yaml"]
    (strange,) = plan(files("a.yaml"), [], taken("a", None), TERMS).to_read
    decided = settle(strange, Text("c1", GOOD), load(GOOD))
    assert isinstance(decided, Refusal)
    assert "not of a source" in decided.problems[0].message


def test_a_stored_dag_with_the_same_text_or_with_adopt_becomes_that_of_the_file() -> None:
    (equal,) = plan(files("a.yaml"), [], taken("a", None, hash_of(GOOD)), TERMS).to_read
    linked = settle(equal, Text("c1", GOOD), load(GOOD))
    assert isinstance(linked, Storing)
    assert not linked.saves
    (adopted,) = plan(files("a.yaml"), [], taken("a", None), msgspec.structs.replace(TERMS, adopts=True)).to_read
    saved = settle(adopted, Text("c1", GOOD), load(GOOD))
    assert isinstance(saved, Storing)
    assert (saved.saves, adopted.target and adopted.target.revision) == (True, 2)


def test_a_file_that_moves_to_a_path_with_the_same_name_keeps_its_dag() -> None:
    found = plan(files("a.b.yaml"), [row("a/b.yaml")], {}, TERMS)
    (moved,) = found.to_read
    assert (moved.replaces, moved.target and moved.target.dag_id) == ("a/b.yaml", 1)
    assert not found.removals


def test_a_removed_file_suspends_its_dag_and_deletes_it_after_days_if_that_is_set() -> None:
    gone = row("gone.yaml", removed_at=NOW - timedelta(days=7))
    rows = [row("a.yaml"), gone, without_dag("never.yaml")]
    assert removed(plan(files(), rows, {}, TERMS)) == {"a.yaml": False, "never.yaml": False}
    for days, expired in ((7, True), (8, False)):
        terms = msgspec.structs.replace(TERMS, remove_days=days)
        assert ("gone.yaml" in removed(plan(files(), rows, {}, terms))) == expired


def test_what_is_below_a_directory_that_cannot_be_read_is_not_removed() -> None:
    listing = Listing([TreeFile("locked", "", FileProblem(0, "cannot be read"))], ["locked"])
    found = plan(listing, [row("locked/a.yaml"), row("locked.yaml")], {}, TERMS)
    assert removed(found) == {"locked.yaml": False}
    assert refused(found) == {"locked": "cannot be read"}


def test_a_known_problem_of_a_path_is_not_stored_again() -> None:
    listing = Listing([TreeFile("link", "", BAD)])
    known = without_dag("link", content="", problems=(BAD,))
    assert refused(plan(listing, [], {}, TERMS)) == {"link": "a problem"}
    assert plan(listing, [known], {}, TERMS) == Plan([], [], [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD, None),
        ("steps:\n  - comand: x\n", FileProblem(2, "comand")),
        ("steps:\n  - command: [\n", FileProblem(3, "")),
        ("", NO_DEFINITION),
        ("# nothing yet\n", NO_DEFINITION),
    ],
)
def test_a_text_is_stored_or_refused_with_line_and_message(text: str, problem: FileProblem | None) -> None:
    (to_read,) = plan(files("a.yaml"), [], {}, TERMS).to_read
    decided = settle(to_read, Text("c2", text), load(text))
    if problem is None:
        assert isinstance(decided, Storing)
        assert decided.saves
    else:
        assert isinstance(decided, Refusal)
        assert (decided.file.content, decided.problems[0].line) == ("c2", problem.line)
        assert problem.message in decided.problems[0].message


def test_many_problems_of_one_file_are_cut() -> None:
    text = "steps:\n" + "  - comand: x\n" * 100
    (to_read,) = plan(files("a.yaml"), [], {}, TERMS).to_read
    decided = settle(to_read, Text("c", text), load(text))
    assert isinstance(decided, Refusal)
    assert len(decided.problems) == 21
    assert "more problems" in decided.problems[-1].message


def test_names_are_asked_for_once_and_only_valid_ones() -> None:
    assert names_of(files("a/b.yaml", "a.b.yaml", "x y.yaml")) == ["a.b"]
