import pytest

from dagbook.spec.expansion import shell_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("""echo "a \\"b\\"" 'c d'""", ["echo", 'a "b"', "c d"]),
        ('echo a|grep "x y" && z', ["echo", "a", "|", "grep", "x y", "&&", "z"]),
        ("echo \"b\"c 'q'r", ["echo", '"b"c', "'q'r"]),
        ("echo $(x y)", ["echo", "$(x", "y)"]),
        ("a||b&&c&d", ["a", "||", "b", "&&", "c&d"]),
        ("a `b c` d`e f`", ["a", "`b c`", "d`e f`"]),
        ("a \\| b\\ c", ["a", "\\|", "b\\ c"]),
        ("'' x", ["", "x"]),
        ("  a\t\u00a0b\n", ["a", "b"]),
    ],
)
def test_a_line_is_split_outside_of_quotes(text: str, expected: list[str]) -> None:
    assert shell_words.split(text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ('"\\x41\\u00e9\\101\\n"', "Aé\x41\n"),
        ('"\\z"', "\\z"),
        ('"x""y"', 'x""y'),
        ("'p''q'", "p''q"),
        ("'\\n'", "\\n"),
        ('"\\ud800"', "\\ud800"),
        ('"\\U00110000"', "\\U00110000"),
        ('"', '"'),
    ],
)
def test_a_wholly_quoted_word_loses_its_quotes(word: str, expected: str) -> None:
    assert shell_words.split(word) == [expected]


@pytest.mark.parametrize("text", ['a "b c|d\n', "a 'b c|d\n", "a `b c|d\n", 'a "b c\\'])
def test_an_unclosed_quote_protects_all_that_follows(text: str) -> None:
    assert shell_words.split(text) == ["a", text[2:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("| b", ["b"]), ("a |", ["a"]), ("a | | b", ["a", "|", "b"]), ("&&", ["&&"])],
)
def test_an_empty_segment_of_a_pipeline_is_left_out(text: str, expected: list[str]) -> None:
    assert shell_words.split(text) == expected


@pytest.mark.parametrize("text", ["", " \n", "|", " | | "])
def test_a_line_without_any_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        shell_words.split(text)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["echo", "a b", "c"], 'echo "a b" c'),
        (["echo", 'say "hi" now'], 'echo "say \\"hi\\" now"'),
        (["echo", "'a b'", '"a b"', 'K="a b"'], 'echo \'a b\' "a b" K="a b"'),
        (["ls", "*.txt", "|", "wc", "$HOME;id"], "ls *.txt | wc $HOME;id"),
        (["echo", '" a'], 'echo "\\" a"'),
        (["echo", ""], "echo "),
    ],
)
def test_a_command_list_becomes_a_line_with_only_its_blanks_protected(items: list[str], expected: str) -> None:
    assert shell_words.join_list(items) == expected
