"""The page about messages of alerts has the schema and an example of what webhooks are sent."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from dagbook.alerts import formats
from dagbook.alerts.kinds import Kind
from dagbook.engine.status import RunLabel
from tests.pure.test_alert_texts import HOSTILE, notice

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "alert-messages.md"
EXAMPLE, SCHEMA = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _problems(body: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(body)]


def _strict(schema: Any) -> Any:
    """Forbid what the schema does not name, so that a field that is added is added to the page."""
    if not isinstance(schema, dict):
        return schema
    return {key: _strict(value) for key, value in schema.items()} | (
        {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    )


@pytest.mark.parametrize(
    "given",
    [
        notice(),
        notice("reminder", count=4),
        notice("closed", closed_at=NOW),
        notice(kind=Kind.WAITING, error=""),
        notice(kind=Kind.ABORTED, closed_at=NOW, is_told_once=True, run=None),
        notice("test", alert_id=None, run=None, subject_kind="channel"),
        notice(error=HOSTILE * 20, subject=HOSTILE),
        notice(kind=Kind.OVERDUE, reason=HOSTILE * 20, due_at=NOW, run=None),
    ],
)
def test_messages_are_as_the_schema_says(given: Any) -> None:
    body = json.loads(formats.webhook(given, NOW))
    assert list(Draft202012Validator(_strict(SCHEMA)).iter_errors(body)) == []


def test_the_example_has_what_is_sent() -> None:
    def shape(value: Any) -> Any:
        return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None

    assert _problems(EXAMPLE) == []
    assert shape(EXAMPLE) == shape(json.loads(formats.webhook(notice(), NOW)))


def test_the_schema_names_all_words_and_refuses_others() -> None:
    data = SCHEMA["properties"]["data"]["properties"]
    assert data["alert"]["properties"]["kind"]["enum"] == list(Kind)
    assert data["run"]["properties"]["status"]["enum"] == list(get_args(RunLabel))
    assert [problem.partition(":")[0] for problem in _problems(EXAMPLE | {"type": "alert.other"})] == ["$.type"]
