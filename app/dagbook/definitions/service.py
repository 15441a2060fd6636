"""Use cases of stored definitions: create, save, rename, suspend, delete (api-behaviour 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import ANONYMOUS, Action, Actor, dag_action
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.repositories import audit, dags, sources
from dagbook.db.repositories.accounts import dag_access, principals
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.accounts.principals import UNLIMITED, Principal
from dagbook.db.repositories.dags import DagRow, Suspension
from dagbook.db.repositories.definitions import DefinitionRow, TextRedactedError
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.sources import DagOrigin
from dagbook.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    FromSourceError,
    InvalidSpecError,
    NotFoundError,
    NotRunningError,
    OutdatedError,
)
from dagbook.identifiers import check_file_name, shorten, strip_suffix
from dagbook.spec.calls import find_named, no_dag
from dagbook.spec.model import Definition, Schedule
from dagbook.spec.problem import Problem
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded

_DEFAULT_SPEC = "steps:\n  - command: echo hello\n"
_MAX_NOTE_LENGTH = 1_000
_MOST_EXPRESSIONS, _LONGEST_EXPRESSION = 10, 100  # of a schedule in an audit entry


class ScheduleChange(msgspec.Struct, frozen=True):
    """The schedules of a revision and of the text that replaces it, for the audit."""

    revision: int
    before: Sequence[str]
    after: Sequence[str]

    @classmethod
    def of(cls, revision: int, *schedules: Schedule) -> ScheduleChange:
        """Return the change from one to another, with as many expressions as an audit entry has."""
        texts = []
        for each in schedules:
            kinds = (("", each.start), ("stop ", each.stop), ("restart ", each.restart))
            written = [f"{kind}{one[:_LONGEST_EXPRESSION]}" for kind, found in kinds for one in found]
            texts.append(written[:_MOST_EXPRESSIONS])
        return cls(revision, *texts)


class SaveContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who saves, with which note, and which revisions may be replaced; None for any.

    ``restores`` is the number of the restored revision. A caller who sees by grants only has a ``visibility``: it may
    create names that a pattern covers, save nothing that changes which grants cover a DAG, and name no queue of another
    DAG.
    """

    actor: Actor = ANONYMOUS
    note: str = ""
    expected: Collection[int] | None = None
    restores: int | None = None
    visibility: Visibility = EVERYTHING
    rescheduled: ScheduleChange | None = None


class SaveResult(msgspec.Struct, frozen=True):
    """The number of the stored revision, or the problems of an invalid text."""

    revision: int = 0
    problems: list[str] = []


class WriteFile(Protocol):
    """Writes the text of a DAG into the file that it comes from; returns what identifies the content."""

    async def __call__(self, origin: DagOrigin, text: str) -> str: ...


class Definitions:
    """Use cases of stored DAGs. One that comes from a source is changed there, or, if it is writable, in its file."""

    def __init__(
        self,
        database: Database,
        library: DefinitionCache,
        now: Callable[[], datetime],
        write_file: WriteFile,
        shared_queues: Collection[str],
    ) -> None:
        self._database = database
        self._library = library
        self._now = now
        self._write_file = write_file
        self._shared_queues = frozenset(shared_queues)

    async def create(self, file_name: str, spec: str | None, context: SaveContext) -> None:
        """Store a new DAG; raises BadRequestError, InvalidSpecError or AlreadyExistsError."""
        check_file_name(file_name)
        _check_note(context.note)
        text = spec if spec and spec.strip() else _DEFAULT_SPEC
        loaded = await self._library.read_aside(text, name=file_name)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        if problems := await self._find_foreign_calls(file_name, loaded.definition, context.visibility):
            raise InvalidSpecError(problems)
        save = self._save(file_name, text, loaded, context)
        self._check_queue(save, loaded, context)
        if not await self._database.write(lambda connection: _add(connection, save, context)):
            raise _taken(file_name)

    async def save(self, file_name: str, spec: str, context: SaveContext) -> SaveResult:
        """Store the next revision of a DAG, or nothing if the text has problems.

        Raises, in this order, NotFoundError, ForbiddenError for a DAG from a source that is not writable, OutdatedError
        if the DAG's revision is not an expected one, and BadRequestError for an invalid note and for a redacted text.
        """
        row = await self._require(file_name)
        origin = await self._database.read_inline(lambda connection: sources.get_origin(connection, file_name))
        # Who sees by grants only may not change which grants cover a DAG, and a file that was written would be read.
        if origin is not None and (context.visibility or not origin.accepts_writes):
            raise _from_source(origin)
        if context.expected is not None and row.revision not in context.expected:
            raise _outdated(file_name, row.revision)
        _check_note(context.note)
        loaded = await self._library.read_aside(spec, name=file_name)
        if loaded.problems:
            return SaveResult(problems=[str(problem) for problem in loaded.problems])
        if problems := await self._find_foreign_calls(file_name, loaded.definition, context.visibility):
            return SaveResult(problems=[str(problem) for problem in problems])
        save = self._save(file_name, spec, loaded, context)
        stored = await self._library.read_aside(row.spec or "", name=file_name)
        self._check_queue(save, loaded, context, stored.definition.dag.queue)
        change = ScheduleChange.of(row.revision, stored.definition.dag.schedule, loaded.definition.dag.schedule)
        context = msgspec.structs.replace(context, rescheduled=change)
        if origin is not None:  # as after a sync: a source has no author among the users
            save = msgspec.structs.replace(save, principal=UNLIMITED)
        # The file comes first: what a crash leaves there is a revision by the next sync.
        content = "" if origin is None else await self._write_file(origin, spec)
        return SaveResult(await self._database.write(lambda connection: _replace(connection, save, context, content)))

    async def delete(self, file_name: str, actor: Actor) -> None:
        """Delete a DAG; its runs, also queued and running ones, are untouched.

        Raises NotFoundError, and ForbiddenError for one whose file is in a source.
        """
        now = self._now()
        if not await self._database.write(lambda connection: _remove(connection, file_name, actor, now)):
            raise _unknown(file_name)

    async def rename(self, file_name: str, new_name: str, actor: Actor, visibility: Visibility = EVERYTHING) -> None:
        """Rename the file of a DAG, and the DAG itself if its text has no name.

        Raises, in this order, NotFoundError, BadRequestError, ForbiddenError for one from a source, NotRunningError if
        it has an active run, and AlreadyExistsError. Its runs keep the DAG name they were started with.
        """
        renamed = False
        while not renamed:  # a text saved meanwhile may have another DAG name
            row = await self._require(file_name)
            check_file_name(new_name, "newFileName")
            loaded = await self._library.read_aside(row.spec or "", name=new_name)
            dag_name = loaded.definition.dag.name or new_name
            renamed = await self._rename(row, new_name, dag_name, actor, visibility)

    async def _rename(self, row: DagRow, new_name: str, dag_name: str, actor: Actor, visibility: Visibility) -> bool:
        names = {"fileName": new_name, "dagName": dag_name}
        before = {"fileName": row.file_name, "dagName": row.dag_name}
        entry = actor.entry(dag_action(Action.DAG_RENAME, row.file_name, before, names), self._now())
        try:
            return await self._database.write(lambda connection: _rename(connection, row, names, entry, visibility))
        except Conflict as error:  # another request has just taken the name
            raise _taken(new_name) from error

    async def suspend(self, file_name: str, actor: Actor, suspension: Suspension) -> None:
        """Suspend or resume the schedules of a DAG; idempotent. Raises NotFoundError."""
        if suspension.suspended:
            suspension = msgspec.structs.replace(suspension, suspended_by=actor.label)
        at = self._now()

        def work(connection: WriteConnection) -> bool:
            before = dags.suspend(connection, file_name, suspension)
            if before is not None and _values(before) != _values(suspension):
                change = dag_action(Action.DAG_SUSPEND, file_name, _values(before), _values(suspension))
                audit.add(connection, actor.entry(change, at))
            return before is not None

        if not await self._database.write(work):
            raise _unknown(file_name)

    def _check_queue(self, save: dags.Save, loaded: Loaded, context: SaveContext, stored: str = "") -> None:
        """Raise ForbiddenError if who sees by grants only names the queue of another DAG, unless it is ``stored``."""
        queue = loaded.definition.dag.queue
        if context.visibility and queue and queue not in (save.dag_name, stored) and queue not in self._shared_queues:
            name, own = shorten(queue), "leave it out, or name one of the setting queues"
            raise ForbiddenError(f"queue: your rights do not include the queue {name}; {own}")

    async def _require(self, file_name: str) -> DagRow:
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise _unknown(file_name)
        return row

    async def _find_foreign_calls(
        self, file_name: str, definition: Definition, visibility: Visibility
    ) -> list[Problem]:
        """Return a problem for each call of a DAG that who sees by grants only may not run, as if it were missing.

        Files and computed names are checked at the call.
        """

        def read(connection: ReadConnection) -> list[Problem]:
            return [
                Problem(path, no_dag(name), dag=dag)
                for path, dag, name in find_named(definition)
                if strip_suffix(name) != file_name
                and not principals.may_run(connection, strip_suffix(name), visibility)
            ]

        return await self._database.read(read) if visibility else []

    def _save(self, file_name: str, text: str, loaded: Loaded, context: SaveContext) -> dags.Save:
        now = self._now()
        dag = loaded.definition.dag
        return dags.Save(
            file_name=file_name,
            dag_name=dag.name or file_name,
            tags=dag.tags,
            definition=DefinitionRow.of(text, "", now),
            author=context.actor.label,
            principal=Principal(user_id=context.actor.user_id, token_id=context.actor.token_id),
            note=context.note or None,
            expected=context.expected,
            at=now,
        )


def _add(connection: WriteConnection, save: dags.Save, context: SaveContext) -> bool:
    _check_names(connection, {"name": save.file_name, "spec": save.dag_name}, context.visibility)
    try:
        added = dags.add(connection, save)
    except TextRedactedError as error:
        raise _redacted() from error
    if added:
        audit_action = dag_action(Action.DAG_CREATE, save.file_name, after=_revision(1, save.definition.hash))
        audit.add(connection, context.actor.entry(audit_action, save.at))
    return added


def _replace(connection: WriteConnection, save: dags.Save, context: SaveContext, content: str = "") -> int:
    """Store the next revision; ``content`` identifies that of the file which has been written, if it has one."""
    if content:
        sources.set_content(connection, save.file_name, content, save.definition.hash)
    else:
        _refuse_from_source(connection, save.file_name)  # it may have become one since it was read
    try:
        with _same_grants(connection, save.file_name, save.file_name, context.visibility):
            number = dags.replace(connection, save)
    except TextRedactedError as error:
        raise _redacted() from error
    if number is not None:
        _audit_save(connection, save, number, context)
        return number
    now = dags.get_revision(connection, save.file_name)
    if now is None:
        raise _unknown(save.file_name)
    raise _outdated(save.file_name, now)


def _audit_save(connection: WriteConnection, save: dags.Save, number: int, context: SaveContext) -> None:
    before = _revision(number - 1, dags.get_hash(connection, save.file_name, number - 1))
    after = _revision(number, save.definition.hash)
    action = Action.DAG_UPDATE if context.restores is None else Action.DAG_RESTORE
    if context.restores is not None:
        after["restores"] = context.restores
    change = context.rescheduled
    if change is not None and change.revision == number - 1 and change.before != change.after:
        before["schedule"], after["schedule"] = change.before, change.after
    audit.add(connection, context.actor.entry(dag_action(action, save.file_name, before, after), save.at))


def _revision(number: int, content_hash: str | None) -> dict[str, object]:
    return {"revision": number, "hash": content_hash}


def _remove(connection: WriteConnection, file_name: str, actor: Actor, at: datetime) -> bool:
    origin = sources.get_origin(connection, file_name)
    if origin is not None and origin.removed_at is None:
        raise _from_source(origin)
    row = dags.remove(connection, file_name)
    if row is None:
        return False
    before = {"dagName": row.dag_name, **_revision(row.revision, row.definition_hash)}
    audit.add(connection, actor.entry(dag_action(Action.DAG_DELETE, file_name, before), at))
    return True


def _check_note(note: str) -> None:
    if "\0" in note or len(note) > _MAX_NOTE_LENGTH:
        raise BadRequestError(f"note: must be a text of at most {_MAX_NOTE_LENGTH:,} characters, none of them NUL")


def _rename(
    connection: WriteConnection, row: DagRow, names: Mapping[str, str], entry: NewAuditEntry, visibility: Visibility
) -> bool:
    _check_names(connection, {"newFileName": names["fileName"]}, visibility)
    _refuse_from_source(connection, row.file_name)
    if runs.find_active(connection, row.dag_name):
        raise NotRunningError(
            f"DAG {shorten(row.file_name)} is running; rename it when its runs have finished, or stop them first"
        )
    if dags.get_dag_name(connection, names["fileName"]) is not None:
        raise _taken(names["fileName"])
    with _same_grants(connection, row.file_name, names["fileName"], visibility):
        renamed = dags.rename(connection, row, names["fileName"], names["dagName"])
    if renamed:
        audit.add(connection, entry)
    return renamed


def _check_names(connection: WriteConnection, names: Mapping[str, str], visibility: Visibility) -> None:
    """Raise ForbiddenError for a name that no pattern lets the caller manage; ``names`` are by field."""
    for field, name in names.items():
        if visibility and not dag_access.is_named_by(connection, name, visibility):
            raise ForbiddenError(f"{field}: your rights do not include managing DAGs named {shorten(name)}")


@contextmanager
def _same_grants(connection: WriteConnection, file_name: str, new_name: str, visibility: Visibility) -> Iterator[None]:
    """Raise ForbiddenError, which names tag or name, if the block changes which grants cover a DAG."""
    if not visibility:
        yield
        return
    before = _find_covering(connection, file_name)
    yield
    changed = before ^ _find_covering(connection, new_name)
    if changed:
        tags = ", ".join(dag_access.find_tags_of_grants(connection, changed))
        what = f"tags: {tags}" if tags else "name"
        raise ForbiddenError(f"{what}: a change of this changes whose grants cover the DAG; an admin can save it")


def _find_covering(connection: WriteConnection, file_name: str) -> set[str]:
    name = dags.get_dag_name(connection, file_name) or file_name
    return dag_access.find_covering(connection, name, dags.get_tags(connection, name))


def _refuse_from_source(connection: WriteConnection, file_name: str) -> None:
    origin = sources.get_origin(connection, file_name)
    if origin is not None:
        raise _from_source(origin)


def _from_source(origin: DagOrigin) -> FromSourceError:
    gone = " (that file was removed; such a DAG can be deleted)" if origin.removed_at is not None else ""
    return FromSourceError(
        f"this DAG comes from the file {shorten(origin.path)} of the source {shorten(origin.source)}{gone}; "
        f"change it there, see /sources/{origin.source}",
        {"source": origin.source, "path": origin.path, "link": f"/sources/{origin.source}"},
    )


def _taken(file_name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"a DAG named {shorten(file_name)} exists already")


def _outdated(file_name: str, revision: int) -> OutdatedError:
    return OutdatedError(
        f"If-Match: DAG {shorten(file_name)} has revision {revision} by now, which is not the edited one; "
        "read it, and apply the change to it"
    )


def _redacted() -> BadRequestError:
    return BadRequestError("spec: this text was redacted because of its content; remove that")


def _unknown(file_name: str) -> NotFoundError:
    return NotFoundError(f"there is no DAG named {shorten(file_name)}")


def _values(suspension: Suspension) -> dict[str, object]:
    """Return what the audit says of a suspension."""
    until = suspension.suspended_until and suspension.suspended_until.isoformat()
    known = {"reason": suspension.suspend_reason, "until": until}
    return {"suspended": suspension.suspended} | {name: value for name, value in known.items() if value}
