"""Texts of others in terminals and logs."""

from __future__ import annotations

import ast
import json
import sys
import unicodedata
from typing import TypeGuard

from dagbook.telemetry.printable import printable, printable_output
from tests.conftest import ROOT

KEPT = {"\t", "\n"}
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_all_control_and_bidirectional_characters_are_escaped_and_no_other() -> None:
    wrong = []
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        is_mark = character in "\u061c\u200e\u200f\u2028\u2029"
        is_unsafe = unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in BIDI or is_mark
        if (printable(character) != character) is not (is_unsafe and character not in KEPT):
            wrong.append(number)
    assert not wrong


def test_escaped_json_is_the_same_json() -> None:
    data = {"name": "a\x1b[2J\x9b31m\u202e\x7f\u2066ü\n"}
    text = printable(json.dumps(data, ensure_ascii=False))
    assert text.isprintable()
    assert json.loads(text) == data


def test_output_in_a_terminal_has_no_colours_and_no_other_sequences() -> None:
    text = "\x1b[1;31mred\x1b[0m\r\nover\rwritten \x1b]0;title\x07"
    assert printable_output(text) == "red\nover\\u000dwritten \\u001b]0;title\\u0007"


def test_commands_print_in_one_place() -> None:
    for file in (ROOT / "app" / "dagbook" / "cli").rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if is_click(node)}
        assert file.name == "output.py" or not names & {"echo", "secho", "style", "echo_via_pager"}, file


def is_click(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "click"
