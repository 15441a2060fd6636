"""Runs that a batch has done again as other runs: these replace them, and they count as failures no more."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import and_, bindparam, literal, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.batch import BatchItem
from dagbook.db.models.run import Run
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.statements import all_rows, is_one_of

_IS_NEW = BatchItem.run_id != BatchItem.source_run  # else it is the next attempt of its source
# For each run a look into the index of sources: EXISTS would be a join with the table on PostgreSQL.
IS_REPLACED = (
    select(literal(1))
    .where(BatchItem.source_run == Run.id, _IS_NEW)
    .limit(1)
    .correlate(Run)
    .scalar_subquery()
    .is_not(None)
)
# The same for a count, which begins with the few items instead.
IS_AMONG_REPLACED = Run.id.in_(select(BatchItem.source_run).where(BatchItem.source_run.is_not(None), _IS_NEW))
_old, _new = aliased(Run), aliased(Run)
_find = (
    select(
        _old.id.label("old"),
        _new.id.label("new"),
        _old.dag_name.label("old_name"),
        _old.run_id.label("old_run_id"),
        _new.dag_name.label("new_name"),
        _new.run_id.label("new_run_id"),
    )
    .select_from(BatchItem)
    .join(_old, _old.id == BatchItem.source_run)
    .join(_new, and_(_new.id == BatchItem.run_id, _IS_NEW))
    .order_by(BatchItem.batch_id)
)
_find_replacing = _find.where(is_one_of(BatchItem.source_run, "runs"))
_find_of_run = _find.where(or_(BatchItem.source_run == bindparam("run"), BatchItem.run_id == bindparam("run")))


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """A run and the one that replaces it: their keys, DAG names and ids."""

    old: int
    new: int
    old_name: str
    old_run_id: str
    new_name: str
    new_run_id: str


def find_replacing(
    connection: ReadConnection, runs: Collection[int], visibility: Visibility
) -> Mapping[int, Replacement]:
    """Return the newest visible replacements of those of the runs that have one, by the keys of these."""
    seen = _find_replacing.where(*dag_access.narrow(_new.dag_name, visibility))
    return {row.old: row for row in all_rows(connection, Replacement, seen, runs=list(runs))}


def find_of_run(connection: ReadConnection, run: int, visibility: Visibility) -> list[Replacement]:
    """Return the replacements of a run, and those that it is, as far as both DAGs are visible; the newest is last."""
    seen = [condition for each in (_old, _new) for condition in dag_access.narrow(each.dag_name, visibility)]
    return all_rows(connection, Replacement, _find_of_run.where(*seen), run=run)
