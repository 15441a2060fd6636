"""The statements of a step of SQL: where they end, and how references become values that are bound."""

from __future__ import annotations

import pytest

from dagbook.executors.sql.statements import Statement, split
from dagbook.executors.subprocess_executor import ProgramError

VALUES = {"${NAME}": "it's", "${N}": "5", "$N": "5", "${T}": "x; DROP TABLE t", "$1": "first"}


def texts(text: str, kind: str = "postgres") -> list[str]:
    return [statement.render(()).strip() for statement in split(text, kind, {})]


def only(text: str, kind: str = "postgres") -> tuple[str, list[str | None]]:
    """Render the one statement of a text, with its values."""
    (statement,) = split(text, kind, VALUES)
    rendered = statement.render(f"${number}" for number in range(1, 10))
    return " ".join(rendered.split()), [piece.value for piece in statement.bound]


# -- where a statement ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        (";; ; SELECT 1;;", ["SELECT 1"]),
        ("-- only a comment;\n/* and; another */", []),
        ("SELECT ';', 'it''s;', \"a;b\"; SELECT 2", ["SELECT ';', 'it''s;', \"a;b\"", "SELECT 2"]),
        ("SELECT 1 -- ; not yet\n; SELECT 2", ["SELECT 1 -- ; not yet", "SELECT 2"]),
        ("(SELECT 1) UNION (SELECT 2); SELECT 3", ["(SELECT 1) UNION (SELECT 2)", "SELECT 3"]),
    ],
)
def test_statements_end_at_semicolons_of_their_own(kind: str, text: str, expected: list[str]) -> None:
    assert texts(text, kind) == expected


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        ("postgres", "DO $$ BEGIN; END; $$"),
        ("postgres", "SELECT $a$ ; $$ ; $b$ ; $a$"),
        ("postgres", r"SELECT E'it\';s'"),
        ("postgres", "SELECT 1 /* ; /* ; */ ; */ + 1"),
        ("postgres", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"),
        ("sqlite", "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END"),
        ("sqlite", "SELECT [a;b], `c;d`"),
    ],
)
def test_bodies_and_quotes_of_an_engine_have_semicolons_of_their_own(kind: str, one: str) -> None:
    assert texts(f"{one}; SELECT 9", kind) == [one, "SELECT 9"]


def test_a_text_of_many_statements_is_split_in_time() -> None:
    assert len(split("INSERT INTO t VALUES (${N}, 'x');\n" * 20_000, "sqlite", VALUES)) == 20_000


# -- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rendered", "values"),
    [
        ("SELECT ${N}", "SELECT $1", ["5"]),
        ("SELECT $N, ${N}", "SELECT $1 , $2", ["5", "5"]),
        ("SELECT $1::int", "SELECT $1 ::int", ["first"]),
        ("SELECT '${T}'", "SELECT $1", ["x; DROP TABLE t"]),
        ("SELECT '%${NAME}''s%'", "SELECT $1", ["%it's's%"]),
        ('SELECT \'{"a": "${NAME}"}\'', "SELECT $1", ['{"a": "it\'s"}']),
        ("SELECT now() - INTERVAL '${N} days'", "SELECT now() - CAST($1 AS INTERVAL)", ["5 days"]),
        (
            "SELECT timestamp with time zone '${N}'",
            "SELECT CAST($1 AS timestamp with time zone)",
            ["5"],
        ),
        ("SELECT 'costs $5', '$.path', 5 -- ${N}", "SELECT 'costs $5', '$.path', 5 -- ${N}", []),
        ("SELECT a$N FROM t", "SELECT a$N FROM t", []),
        ("DO $$ $1 $$", "DO $$ $1 $$", []),
    ],
)
def test_a_reference_or_a_literal_with_some_is_one_value(text: str, rendered: str, values: list[str]) -> None:
    assert only(text) == (rendered, values)


def test_a_value_is_never_text_of_a_statement() -> None:
    (statement,) = split("INSERT INTO t VALUES (${T}, '${T}', 'a${T}b')", "sqlite", VALUES)
    assert "DROP" not in statement.render("???")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT ${NO}", "${NO} has no value"),
        ("SELECT '${NO}'", "${NO} has no value"),
        ("SELECT ${N:-5}", "${N:-5} has no value"),
        ("SELECT $2", "$2 has no value"),
        ('SELECT "${N}" FROM t', '${N} stands in "${N}"'),
        ("DO $$ SELECT '${N}' $$", "${N} stands in $$ SELECT '${N}' $$"),
        ("SELECT E'${N}'", "${N} stands in E'${N}'"),
    ],
)
def test_a_reference_that_cannot_be_bound_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ProgramError) as raised:
        split(text, "postgres", VALUES)
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value", "guessed"),
    [
        ("SELECT ${X}", "5", 5),
        ("SELECT ${X}", "-1.50", -1.5),
        ("SELECT ${X}", "007", "007"),
        ("SELECT ${X}", "1e5", "1e5"),
        ("SELECT ${X}", "99999999999999999999", "99999999999999999999"),
        ("SELECT '${X}'", "5", "5"),
        ("SELECT ${X}", "", ""),
    ],
)
def test_without_quotes_what_reads_like_a_number_may_be_one(text: str, value: str, guessed: object) -> None:
    (statement,) = split(text, "sqlite", {"${X}": value})
    assert [piece.guessed for piece in statement.bound] == [guessed]


# -- places ----------------------------------------------------------------------------------------------------------


def find(statement: Statement, text: str, part: str) -> str:
    """Give what stands in the step's text where a part of the rendered statement does."""
    placeholders = ["$1::text::integer", "$2"]
    at = statement.find(statement.render(placeholders).index(part), placeholders)
    return text[at : at + 4]


def test_a_position_in_a_rendered_statement_is_one_in_the_text() -> None:
    text = "SELECT 1;\nSELECT ${N}, nope, '${NAME}', last"
    _, second = split(text, "postgres", VALUES)
    assert text[second.start :].startswith("SELECT ${N}")
    assert [find(second, text, part) for part in ("nope", "last", "$1::", "$2")] == ["nope", "last", "${N}", "'${N"]
