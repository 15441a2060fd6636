"""Which changes one client of the live feed is sent, and as what."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dagbook.api.live import sse
from dagbook.api.live.subscription import FeedFilter, narrowed
from dagbook.db.repositories.changes import CHANNEL, DAG, ChangeData, ChangeRow, FeedCursor
from tests.db.rows import NOW

NEW, OLD = "etl-pay", "payroll"
DATA = ChangeData(what="renamed", file_name=OLD, new_file_name=NEW, old_dag_name=OLD)


def renamed(**data: str) -> ChangeRow:
    names = dict.fromkeys(("run_id", "root_name", "root_run_id", "attempt", "status", "event"))
    return ChangeRow(cursor=FeedCursor(0, 1), at=NOW, kind=DAG, dag_name=NEW, data=replace(DATA, **data), **names)


@pytest.mark.parametrize(
    ("visible", "told"),
    [(None, OLD), ({NEW, OLD}, OLD), ({NEW}, "")],
)
def test_the_old_name_of_a_dag_is_told_to_who_saw_it_and_found_by_no_other(visible: set[str] | None, told: str) -> None:
    sent = narrowed(renamed(), visible)
    assert sent.data.file_name == told
    assert FeedFilter(dag=NEW).matches(sent, visible)
    assert FeedFilter(dag=OLD).matches(sent, visible) is bool(told)


def test_the_dag_name_of_before_decides_and_not_that_of_the_file() -> None:
    change = renamed(file_name="a-file", old_dag_name=OLD)
    assert narrowed(change, {NEW, OLD}).data.file_name == "a-file"
    assert narrowed(change, {NEW, "a-file"}).data.file_name == ""


def test_that_a_channel_fails_names_none_and_is_for_who_sees_all_dags() -> None:
    change = replace(renamed(), kind=CHANNEL, dag_name=None, data=ChangeData())
    assert b'event: channel\ndata: {"at":' in sse.change_frame(change)
    assert FeedFilter().matches(change, None)
    assert not FeedFilter().matches(change, {NEW})
    assert not FeedFilter(dag=NEW).matches(change, None)
