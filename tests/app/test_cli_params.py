"""Parameters behind a command, as words, as text and as JSON; options with their value after ``=``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dagbook.cli.dags.params import params_text
from dagbook.spec.params.param_text import describe, merge, tokenise
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
NAMED, POSITIONAL, NONE = "A=a B=b", "one two", ""

# What the words give to a DAG with named, with positional and without params, in the order of the columns. The
# reference gives the same.
WORDS: list[tuple[Sequence[str], str, str, str]] = [
    ([], "A=a|B=b", "1=one|2=two", ""),
    ([""], "A=a|B=b", "1=one|2=two", ""),
    (["A=1"], "A=1|B=b", "1=one|2=two|A=1", "A=1"),
    (["C=3"], "A=a|B=b|C=3", "1=one|2=two|C=3", "C=3"),
    (["A=1 B=2"], "A=1|B=2", "1=one|2=two|A=1|B=2", "A=1|B=2"),
    (['A="x y"'], "A=x y|B=b", "1=one|2=two|A=x y", "A=x y"),
    (['A="a b" B="c d"'], "A=a b|B=c d", "1=one|2=two|A=a b|B=c d", "A=a b|B=c d"),
    (['A="x \\"q\\" y"'], 'A=x "q" y|B=b', '1=one|2=two|A=x "q" y', 'A=x "q" y'),
    (['A=""'], "A=|B=b", "1=one|2=two|A=", "A="),
    (["A=a=b"], "A=a=b|B=b", "1=one|2=two|A=a=b", "A=a=b"),
    (["A=1,B=2"], "A=1,B=2|B=b", "1=one|2=two|A=1,B=2", "A=1,B=2"),
    (["foo"], "A=a|B=b|1=foo", "1=foo|2=two", "1=foo"),
    (["foo bar"], "A=a|B=b|1=foo|2=bar", "1=foo|2=bar", "1=foo|2=bar"),
    (["foo", "bar"], "A=a|B=b|1=foo|2=bar", "1=foo|2=bar", "1=foo|2=bar"),
    (['"x y"'], "A=a|B=b|1=x y", "1=x y|2=two", "1=x y"),
    (['x "y z"'], "A=a|B=b|1=x|2=y z", "1=x|2=y z", "1=x|2=y z"),
    (["a\\b"], "A=a|B=b|1=a\\b", "1=a\\b|2=two", "1=a\\b"),
    (["foo", "A=1"], "A=1|B=b|1=foo", "1=foo|2=two|A=1", "1=foo|A=1"),
    (["A=1", "foo"], "A=1|B=b|2=foo", "1=one|2=foo|A=1", "A=1|2=foo"),
    (["A=1 foo B=2"], "A=1|B=2|2=foo", "1=one|2=foo|A=1|B=2", "A=1|2=foo|B=2"),
    (['A=1 B="x y" foo'], "A=1|B=x y|3=foo", "1=one|2=two|A=1|B=x y|3=foo", "A=1|B=x y|3=foo"),
    (["-x", "--y=1"], "A=a|B=b|1=-x|--y=1", "1=-x|2=two|--y=1", "1=-x|--y=1"),
    (["A = 1"], "A=a|B=b|1=A|2==|3=1", "1=A|2==|3=1", "1=A|2==|3=1"),
    (['{"A":"j"}'], "A=j|B=b", "1=one|2=two|A=j", "A=j"),
    (['{"A":"j","B":2}'], "A=j|B=2", "1=one|2=two|A=j|B=2", "A=j|B=2"),
    (['{"A":"j"}', "B=2"], "A=j|B=2", "1=one|2=two|A=j|B=2", "A=j|B=2"),
    (["foo", '{"A":"j"}'], "A=j|B=b|1=foo", "1=foo|2=two|A=j", "1=foo|A=j"),
    (['{"A":"j"}', "foo"], "A=j|B=b|2=foo", "1=one|2=foo|A=j", "A=j|2=foo"),
    (['["a","b c"]'], "A=a|B=b|1=a|2=b c", "1=a|2=b c", "1=a|2=b c"),
    (['["a","b"]', "c"], "A=a|B=b|1=a|2=b|3=c", "1=a|2=b|3=c", "1=a|2=b|3=c"),
    (['[{"A":"1"},{"B":"2"}]'], "A=1|B=2", "1=one|2=two|A=1|B=2", "A=1|B=2"),
    (["{}"], "A=a|B=b", "1=one|2=two", ""),
    (["{not json"], "A=a|B=b|1={not|2=json", "1={not|2=json", "1={not|2=json"),
]

# Where the reference loses a part of the value, or gives it to another parameter, it arrives whole.
WHOLE: list[tuple[str, str]] = [
    ("A=x y", "A=x y|B=b"),
    ("A=", "A=|B=b"),
    ("A='x y'", "A='x y'|B=b"),
    ('A=say "hi"', 'A=say "hi"|B=b'),
    ('A={"k": "v=1"}', 'A={"k": "v=1"}|B=b'),
    ("A=x\ny", "A=x\ny|B=b"),
    ('A="', 'A="|B=b'),
    ("A=C:\\", "A=C:\\|B=b"),
    ('{"A":{"k":null}}', 'A={"k":null}|B=b'),
]


def _arrives(defaults: str, text: str) -> str:
    return "|".join(describe(merge(tokenise(defaults), tokenise(text))))


@pytest.mark.parametrize(("words", "named", "positional", "none"), WORDS, ids=str)
def test_words_arrive_as_parameters(words: Sequence[str], named: str, positional: str, none: str) -> None:
    text = params_text("", words)
    assert [_arrives(defaults, text) for defaults in (NAMED, POSITIONAL, NONE)] == [named, positional, none]


@pytest.mark.parametrize(("word", "named"), WHOLE, ids=str)
def test_a_value_that_the_shell_has_unquoted_arrives_whole(word: str, named: str) -> None:
    assert _arrives(NAMED, params_text("", [word])) == named


def test_words_go_before_the_option_which_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _arrives(NAMED, params_text("A=1", ["B=2"])) == "A=a|B=2"
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n"), "--params is ignored" in captured.err) == ("", 1, True)


@pytest.mark.parametrize(
    "given",
    [
        ["-p=A=5"],
        ["-p", '{"A": 5}'],
        ["--params", "A=5"],
        ["--", '{"A":"5"}'],
        ["--", 'A="5"'],
        ["-N=flow", "-r=x", "-p=A=5"],
        ["-p=A=4", "--", "A=5"],
    ],
    ids=str,
)
def test_each_spelling_of_an_option_and_of_words_reaches_the_step(
    command: Command, tmp_path: Path, given: list[str]
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("params: A=a B=b\nsteps: [{name: s, command: 'echo \"<$A/$B>\"'}]\n")
    said = command("run", file, *given)
    assert (said.status, "  <5/b>\n" in said.out) == (0, True), said


def test_a_param_that_the_dag_does_not_declare_is_noticed(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "disk.yaml"
    file.write_text("params:\n  - LIMIT: 80\n  - DAYS: 3\nsteps: [{name: s, command: 'true'}]\n")
    assert command("dag", "save", file).status == 0
    near = "Notice: disk has no parameter LIMT; did you mean LIMIT?\n"
    for words in (("run", file), ("run", "disk"), ("dry", "disk")):
        assert command(*words, "--", "LIMT=3").err == near, words
    assert command("dry", file, "-p", '{"limit": 3}').err == near.replace("LIMT", "limit")
    other = "Notice: disk has no parameter FOO; it declares LIMIT, DAYS"
    assert command("run", "disk", "--", "FOO=1", "word", "DAYS=2").err.startswith(other)
    assert command("run", "disk", "--", "LIMIT=1").err == ""
    file.write_text("params: {schema: params.json}\nsteps: [{name: s, command: 'true'}]\n")
    (tmp_path / "params.json").write_text('{"type": "object", "properties": {"LIMIT": {"type": "integer"}}}')
    assert command("run", file, "--", "LIMIT=1").err == ""
    assert command("enqueue", "disk", "--", "LIMT=3").err == near  # last: a queued run keeps others from starting


def test_a_short_option_with_its_value_after_an_equals_sign_may_follow_flags(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("params: A=a\nsteps: [{name: s, command: 'test $A = 5'}]\n")
    assert command("run", file, "-qp=A=5") == CommandResult(0, "", "")
    assert command("status", "flow", "-q=true") == CommandResult(0, "", "")


@pytest.mark.parametrize("given", [["-p", "-r=x"], ["--", "-r=x"]], ids=str)
def test_what_only_looks_like_such_an_option_is_left_alone(command: Command, tmp_path: Path, given: list[str]) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps: [{command: 'true'}]\n")
    assert command("run", file, *given).status == 0
    shown = command("status", "flow")
    assert ("flow  x" in shown.out, "-r=x\n" in shown.out) == (False, True), shown


@pytest.mark.parametrize("given", [["-q=maybe"], ["-Q=1"], ["-r"]])
def test_a_wrong_option_ends_with_a_sentence(command: Command, tmp_path: Path, given: list[str]) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps: [{command: 'true'}]\n")
    said = command("run", file, *given)
    assert (said.status, said.out, "Traceback" in said.err) == (1, "", False)
    assert "Error: " in said.err
