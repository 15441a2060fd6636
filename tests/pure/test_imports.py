from __future__ import annotations

import importlib

import pytest

from app.api.imports import hidden

NAME = "this"  # a module that nobody else imports


def test_a_hidden_module_cannot_be_imported() -> None:
    with hidden(NAME), pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)


def test_a_module_is_there_again_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    with hidden(NAME):
        pass
    importlib.import_module(NAME)
    assert "beautiful" in capsys.readouterr().out.lower()


def test_a_loaded_module_is_let_be() -> None:
    with hidden("importlib"):
        assert importlib.import_module("importlib") is importlib
