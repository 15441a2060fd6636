"""Use cases of stored definitions: create, save, suspend, delete (api-behaviour 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.db.database import Database
from app.db.repositories import dags
from app.errors import AlreadyExistsError, InvalidSpecError, NotFoundError
from app.names import check_file_name, shorten
from app.spec.library import Library, definition_row
from app.spec.load import Loaded

_FIRST_SPEC = "steps:\n  - command: echo hello\n"


class Definitions:
    """What can be done to stored definitions."""

    def __init__(self, database: Database, library: Library, now: Callable[[], datetime]) -> None:
        self._database = database
        self._library = library
        self._now = now

    async def create(self, file_name: str, spec: str | None, author: str | None) -> None:
        """Store a new DAG; raises BadRequestError, InvalidSpecError or AlreadyExistsError."""
        check_file_name(file_name)
        text = spec if spec and spec.strip() else _FIRST_SPEC
        loaded = self._library.read(text, name=file_name)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        save = self._save(file_name, text, loaded, author)
        if not await self._database.write(lambda connection: dags.add(connection, save)):
            raise AlreadyExistsError(f"a DAG named {shorten(file_name)} exists already")

    async def save(self, file_name: str, spec: str, author: str | None) -> list[str]:
        """Store the next revision of a DAG and return no messages, or store nothing and return what is wrong.

        Raises NotFoundError, whatever the text.
        """
        await self._require(file_name)
        loaded = self._library.read(spec, name=file_name)
        if loaded.problems:
            return [str(problem) for problem in loaded.problems]
        save = self._save(file_name, spec, loaded, author)
        if not await self._database.write(lambda connection: dags.replace(connection, save)):
            raise _unknown(file_name)
        return []

    async def delete(self, file_name: str) -> None:
        """Remove a DAG; its runs, queued and running ones too, are untouched. Raises NotFoundError."""
        if not await self._database.write(lambda connection: dags.remove(connection, file_name)):
            raise _unknown(file_name)

    async def suspend(self, file_name: str, *, suspended: bool) -> None:
        """Let the schedules of a DAG rest, or wake them; harmless when repeated. Raises NotFoundError."""
        if not await self._database.write(lambda connection: dags.suspend(connection, file_name, suspended=suspended)):
            raise _unknown(file_name)

    async def _require(self, file_name: str) -> None:
        if await self._database.glance(lambda connection: dags.get(connection, file_name)) is None:
            raise _unknown(file_name)

    def _save(self, file_name: str, text: str, loaded: Loaded, author: str | None) -> dags.Save:
        now = self._now()
        dag = loaded.definition.dag
        return dags.Save(
            file_name=file_name,
            dag_name=dag.name or file_name,
            tags=dag.tags,
            definition=definition_row(text, "", now),
            author=author,
            at=now,
        )


def _unknown(file_name: str) -> NotFoundError:
    return NotFoundError(f"there is no DAG named {shorten(file_name)}")
