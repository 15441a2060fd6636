"""Which DAG names a caller sees: the roles that follow from grants, and the conditions that narrow queries to them.

The patterns that limit a token are compared with names in each query: users make tokens, so rows for each of their
patterns and names would be without limit. What follows from grants, which admins make, has rows. They are kept in the
transactions that change a grant (``fill``, ``refresh_subject``), or the names or tags of DAGs (``refresh_name``), so
that a query needs one look-up in an index for each row that it reads.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import (
    JSON,
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    TableValuedAlias,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import Run
from dagbook.db.models.user import DagAccess, Grant
from dagbook.db.statements import all_rows, insert_into

# Sets of subjects: a DAG name is visible if it is granted to one of each set. Without sets all are. A set is either of
# subjects that have rows, or of patterns (``pattern_subject``), which let manage what they match.
Visibility = tuple[tuple[str, ...], ...]
EVERYTHING: Visibility = ()
_first_name = select(func.min(Run.dag_name).label("name")).where(Run.root_id.is_(None)).cte("names", recursive=True)
_next_name = select(func.min(Run.dag_name)).where(Run.dag_name > _first_name.c.name, Run.root_id.is_(None))
# The DAG names of root runs. Skips from each to the next one: there may be thousands of runs between two.
NAMES = _first_name.union_all(select(_next_name.scalar_subquery()).where(_first_name.c.name.is_not(None)))
_Names = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]
_AT_A_TIME = 5_000  # names per statement
_PATTERN = "name:"
_MANAGER = 2
_rank = case({"viewer": 0, "operator": 1}, value=Grant.role, else_=2)
_find_ranks = (
    select(DagAccess.dag_name, func.max(DagAccess.rank))
    .where(
        DagAccess.dag_name.in_(bindparam("names", expanding=True)),
        DagAccess.subject.in_(bindparam("subjects", expanding=True)),
    )
    .group_by(DagAccess.dag_name)
)
_of_file = select(Dag.dag_name).where(Dag.file_name == bindparam("file")).scalar_subquery()
_get_rank = select(func.max(DagAccess.rank)).where(
    DagAccess.dag_name == bindparam("name"), DagAccess.subject.in_(bindparam("subjects", expanding=True))
)
_get_rank_of_file = select(func.max(DagAccess.rank)).where(
    DagAccess.dag_name == func.coalesce(_of_file, bindparam("file")),
    DagAccess.subject.in_(bindparam("subjects", expanding=True)),
)
_is_known = select(
    or_(
        exists().where(Dag.dag_name == bindparam("name")),
        exists().where(Run.dag_name == bindparam("name"), Run.root_id.is_(None)),
    )
)
_is_unused = ~or_(
    exists().where(Dag.dag_name == DagAccess.dag_name),
    exists().where(Run.dag_name == DagAccess.dag_name, Run.root_id.is_(None)),
)


class is_like(FunctionElement[bool]):  # noqa: N801 - it is named as functions in SQL are
    """Whether a name matches a pattern.

    That has letters, digits, ``-_.``, ``*`` and ``?`` only, so that GLOB finds no other sign.
    """

    name = "is_like"
    type = Boolean()
    inherit_cache = True


@compiles(is_like, "sqlite")
def _as_glob(element: is_like, compiler: SQLCompiler, **kwargs: object) -> str:
    name, pattern = element.clauses
    return f"({compiler.process(name.op('GLOB', is_comparison=True)(pattern), **kwargs)})"


@compiles(is_like, "postgresql")
def _as_like(element: is_like, compiler: SQLCompiler, **kwargs: object) -> str:
    name, pattern = element.clauses
    like = func.replace(func.replace(func.replace(pattern, "_", r"\_"), "?", "_"), "*", "%")
    return f"({compiler.process(name.like(like, escape=chr(92)), **kwargs)})"


class NameRank(msgspec.Struct, frozen=True, kw_only=True):
    """A visible DAG name with the rank of the highest role."""

    dag_name: str
    rank: int


def pattern_subject(pattern: str) -> str:
    """Return the subject that manages the DAG names which a pattern matches."""
    return f"{_PATTERN}{pattern}"


def _has_patterns(subjects: tuple[str, ...]) -> bool:
    return bool(subjects) and subjects[0].startswith(_PATTERN)


def _match_one(names: _Names, subjects: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*(is_like(names, subject.removeprefix(_PATTERN)) for subject in subjects))


def narrow(names: _Names, visibility: Visibility) -> list[ColumnElement[bool]]:
    """Return the conditions that the DAG names of rows are visible."""
    return [
        _match_one(names, subjects)
        if _has_patterns(subjects)
        else select(literal(1))
        .where(DagAccess.dag_name == names, DagAccess.subject.in_(subjects))
        .limit(1)
        .correlate_except(DagAccess)
        .scalar_subquery()
        .is_not(None)
        for subjects in visibility
    ]


def each_tag(connection: ReadConnection) -> TableValuedAlias:
    """Return the tags of a DAG as rows with a ``value``."""
    return _each(connection, Dag.tags)


def _each(connection: ReadConnection, array: BindParameter[str] | InstrumentedAttribute[list[str]]) -> TableValuedAlias:
    is_postgres = connection.dialect.name == "postgresql"
    each = func.json_array_elements_text(cast(array, JSON)) if is_postgres else func.json_each(array)
    return each.table_valued("value")


def get_rank(connection: ReadConnection, name: str, visibility: Visibility) -> int | None:
    """Return the rank of the role for a DAG name; None if it is not visible."""
    return _lowest(connection, _get_rank, {"name": name}, literal(name), visibility)


def get_rank_of_file(connection: ReadConnection, file_name: str, visibility: Visibility) -> int | None:
    """Return the rank of the role for a stored DAG by its file name, or for the DAG name of a file that is gone."""
    name = func.coalesce(_of_file, bindparam("file"))
    return _lowest(connection, _get_rank_of_file, {"file": file_name}, name, visibility)


def _lowest(
    connection: ReadConnection,
    statement: Select[int],
    values: Mapping[str, object],
    name: ColumnElement[str],
    visibility: Visibility,
) -> int | None:
    """Return the lowest of the ranks of the sets, each the highest of its subjects; None if one set has none."""
    ranks = [
        connection.scalar(select(literal(_MANAGER)).where(_match_one(name, subjects)), values)
        if _has_patterns(subjects)
        else connection.scalar(statement, {**values, "subjects": list(subjects)})
        for subjects in visibility
    ]
    known = [rank for rank in ranks if rank is not None]
    return min(known) if len(known) == len(ranks) and known else None


def find_visible(connection: ReadConnection, names: Collection[str], visibility: Visibility) -> set[str]:
    """Return those of the DAG names that are visible."""
    return set(find_ranks(connection, names, visibility))


def find_ranks(connection: ReadConnection, names: Collection[str], visibility: Visibility) -> dict[str, int]:
    """Return the ranks of the roles for those of the DAG names that are visible."""
    found = dict.fromkeys(names, _MANAGER)
    for subjects in visibility:
        ordered = sorted(found)
        ranks = dict[str, int]()
        for first in range(0, len(ordered), _AT_A_TIME):
            some = ordered[first : first + _AT_A_TIME]
            if _has_patterns(subjects):
                name = _each(connection, literal(json.dumps(some))).c.value
                ranks |= dict.fromkeys(connection.scalars(select(name).where(_match_one(name, subjects))), _MANAGER)
            else:
                rows = connection.execute(_find_ranks, {"names": some, "subjects": list(subjects)})
                ranks |= {row[0]: row[1] for row in rows}
        found = {name: min(found[name], rank) for name, rank in ranks.items()}
    return found


def find_names(connection: ReadConnection, visibility: Visibility, most: int) -> list[str]:
    """Return at most so many of the visible DAG names; ``visibility`` has at least one set."""
    if _has_patterns(visibility[0]):
        names = _all_names().subquery().c.name
        return list(connection.scalars(select(names).where(*narrow(names, visibility)).limit(most)))
    statement = select(DagAccess.dag_name).where(
        DagAccess.subject.in_(visibility[0]), *narrow(DagAccess.dag_name, visibility[1:])
    )
    return list(connection.scalars(statement.distinct().limit(most)))


def find_page(
    connection: ReadConnection, visibility: Visibility, *, part: str, offset: int, limit: int
) -> Sequence[NameRank]:
    """Return a page of the used and visible DAG names with a text in them, by name; for one set of subjects."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    statement = select(DagAccess.dag_name, func.max(DagAccess.rank).label("rank")).where(
        DagAccess.subject.in_(visibility[0]), position(DagAccess.dag_name, part) > 0, ~_is_unused
    )
    ordered = statement.group_by(DagAccess.dag_name).order_by(DagAccess.dag_name).offset(offset).limit(limit)
    return all_rows(connection, NameRank, ordered)


# -- keeping the rows --------------------------------------------------------------------------------------------------


def lock(connection: WriteConnection) -> None:
    """Lock the grants for a change of them: no name appears, and no tag changes, until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE grants IN SHARE ROW EXCLUSIVE MODE"))


def fill(connection: WriteConnection, grant_id: str) -> None:
    """Add what a new grant gives for all names of stored DAGs and root runs."""
    _insert(connection, _covered(connection, _all_names(), Grant.id == grant_id))


def find_covered(connection: ReadConnection, grant_id: str) -> list[str]:
    """Return the names that a grant covers, for ``refresh_subject`` after it was changed or deleted."""
    found = _covered(connection, _all_names(), Grant.id == grant_id).subquery()
    return list(connection.scalars(select(found.c.dag_name)))


def refresh_subject(connection: WriteConnection, subject: str, names: Sequence[str]) -> None:
    """Derive the rows of a subject for some names again."""
    for first in range(0, len(names), _AT_A_TIME):
        some = (DagAccess.subject == subject, DagAccess.dag_name.in_(names[first : first + _AT_A_TIME]))
        known = select(DagAccess.dag_name.label("name")).where(*some)
        found = connection.execute(_covered(connection, known, Grant.subject == subject)).all()
        connection.execute(delete(DagAccess).where(*some))
        if found:
            rows = [{"dag_name": name, "subject": subject, "rank": rank} for name, _, rank in found]
            connection.execute(insert(DagAccess), rows)


def remove_subject(connection: WriteConnection, subject: str) -> None:
    """Delete the rows of a subject that is deleted."""
    connection.execute(delete(DagAccess).where(DagAccess.subject == subject))


def refresh_name(connection: WriteConnection, name: str) -> None:
    """Derive the rows of a DAG name again, after a change of the DAGs with it or before its first run.

    They stay when nothing has the name any more, since a run of it may be about to be stored; see ``remove_unused``.
    """
    if connection.dialect.name == "postgresql":
        # Grants do not change meanwhile, and two changes of one name follow each other.
        connection.execute(text("LOCK TABLE grants IN SHARE MODE"))
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('dag_access'), hashtext(:name))"), {"name": name}
        )
    connection.execute(delete(DagAccess).where(DagAccess.dag_name == name))
    this = select(literal(name).label("name")).subquery()
    _insert(connection, _covered(connection, select(this.c.name)))


def add_unknown(connection: WriteConnection, names: Collection[str]) -> None:
    """Derive the rows of the names that no stored DAG and no root run has yet; such a run is about to be stored."""
    for name in sorted(names):
        if not connection.scalar(_is_known, {"name": name}):
            refresh_name(connection, name)


def find_token(connection: ReadConnection) -> str | None:
    """Return a subject that is a token: servers of versions before have made rows of them, which nothing reads."""
    subject: str | None = connection.scalar(
        select(DagAccess.subject).where(DagAccess.subject.startswith("token:")).limit(1)
    )
    return subject


def has_unused(connection: ReadConnection) -> bool:
    """Whether there are rows of names that no stored DAG and no root run has any more."""
    return connection.scalar(select(DagAccess.dag_name).where(_is_unused).limit(1)) is not None


def remove_unused(connection: WriteConnection) -> None:
    """Delete the rows of names that no stored DAG and no root run has any more."""
    lock(connection)
    connection.execute(delete(DagAccess).where(_is_unused))


def find_covering(connection: ReadConnection, name: str, tags: Collection[str]) -> set[str]:
    """Return the ids of the grants that cover a DAG with a name and tags."""
    by_pattern = Grant.token_id.is_(None) & Grant.pattern.is_not(None) & is_like(literal(name), Grant.pattern)
    return set(connection.scalars(select(Grant.id).where(or_(by_pattern, Grant.tag.in_(tags)))))


def find_tags_of_grants(connection: ReadConnection, grant_ids: Collection[str]) -> list[str]:
    """Return the tags for which these grants are, sorted."""
    statement = select(Grant.tag).where(Grant.id.in_(grant_ids), Grant.tag.is_not(None)).distinct()
    return sorted(tag for tag in connection.scalars(statement) if tag is not None)


def is_named_by(connection: ReadConnection, name: str, visibility: Visibility) -> bool:
    """Whether a pattern in each set of subjects lets them manage DAGs of this name."""
    of_managers = (Grant.pattern.is_not(None), Grant.role == "manager", is_like(literal(name), Grant.pattern))
    return all(
        connection.scalar(
            select(literal(1)).where(_match_one(literal(name), subjects))
            if _has_patterns(subjects)
            else select(Grant.id).where(Grant.subject.in_(subjects), *of_managers).limit(1)
        )
        is not None
        for subjects in visibility
    )


def has_patterns_of_manager(connection: ReadConnection, subjects: tuple[str, ...]) -> bool:
    """Whether a pattern lets one of the subjects manage DAGs of its names, so that it may create some."""
    of_managers = (Grant.subject.in_(subjects), Grant.pattern.is_not(None), Grant.role == "manager")
    return connection.scalar(select(Grant.id).where(*of_managers).limit(1)) is not None


def _all_names() -> Select[str]:
    runs = select(NAMES.c.name).where(NAMES.c.name.is_not(None))
    names = select(Dag.dag_name.label("name")).union(runs).subquery()
    return select(names.c.name)


def _covered(connection: ReadConnection, names: Select[str], *grants: ColumnElement[bool]) -> Select[str, str, int]:
    """Select name, subject and rank of the grants that cover names."""
    name = names.subquery().c.name
    tag = each_tag(connection)
    by_pattern = select(name.label("dag_name"), Grant.subject, _rank.label("rank")).where(
        Grant.token_id.is_(None), Grant.pattern.is_not(None), is_like(name, Grant.pattern), *grants
    )
    by_tag = (
        select(Dag.dag_name, Grant.subject, _rank)
        .select_from(Dag)
        .join(tag, literal(value=True))
        .join(Grant, Grant.tag == tag.c.value)
        .where(Dag.dag_name.in_(names), *grants)
    )
    found = by_pattern.union_all(by_tag).subquery()
    highest = cast(func.max(found.c.rank), Integer)
    return select(found.c.dag_name, found.c.subject, highest).group_by(found.c.dag_name, found.c.subject)


def _insert(connection: WriteConnection, found: Select[str, str, int]) -> None:
    insertion = insert_into(DagAccess).from_select(["dag_name", "subject", "rank"], found)
    higher = func.greatest if connection.dialect.name == "postgresql" else func.max
    changed = {"rank": higher(DagAccess.rank, insertion.excluded.rank)}
    connection.execute(insertion.on_conflict_do_update(index_elements=["dag_name", "subject"], set_=changed))
