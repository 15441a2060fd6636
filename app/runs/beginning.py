"""What it takes to begin a run that is stored already, whether it is retried or has waited for its turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from app.db.database import Database
from app.db.repositories import runs
from app.db.repositories.reading import Row
from app.engine.state import RunState
from app.errors import InvalidSpecError
from app.runs import rows, stored
from app.runs.concealment import read_facts
from app.runs.files import RunFiles
from app.runs.ground import Ground
from app.runs.guard import CHANGED
from app.runs.inputs import Place, evaluate_again
from app.runs.log import is_read_by
from app.runs.recorder import Recorder, RunRefusedError
from app.runs.run import OwnedRun
from app.runs.runner import Runner
from app.runs.secrets import unlock
from app.runs.stored import StoredRun
from app.spec.definition_cache import DefinitionCache
from app.spec.model import Dag

T = TypeVar("T")
_MOST_TRIES = 5


class MakeRunner(Protocol):
    """Makes the driver of a run that is about to be stored."""

    def __call__(self, run: OwnedRun, dag: Dag, state: RunState, facts: dict[int, rows.NodeFacts]) -> Runner:
        """Make it."""


class Beginnings:
    """Makes drivers of stored runs."""

    def __init__(
        self, database: Database, recorder: Recorder, library: DefinitionCache, ground: Ground, make_runner: MakeRunner
    ) -> None:
        self.database = database
        self.recorder = recorder
        self.ground = ground
        self._library = library
        self._make_runner = make_runner

    async def load(self, key: int) -> StoredRun:
        """Read a run; raises InvalidSpecError when its text cannot be read any more, and what ``stored.load`` does."""
        found = await self.database.glance(
            lambda connection: stored.load(connection, self._library, self.ground.sealer, key)
        )
        if found.loaded.problems:
            raise InvalidSpecError(found.loaded.problems)
        return found

    async def own(
        self, found: StoredRun, *, attempt: int, token: int, last_seq: int, directory: str = ""
    ) -> tuple[OwnedRun, str]:
        """Give the run as this server is to own it, its dotenv files read again, and why it cannot be run, if so.

        ``directory`` is where the calling step of a sub-run works, as far as it is known. Raises BadRequestError when
        the files cannot be evaluated.
        """
        run, definition = found.run, found.loaded.definition
        owned = OwnedRun(
            key=run["id"],
            dag_name=run["dag_name"],
            run_id=run["run_id"],
            attempt=attempt,
            token=token,
            definition=definition,
            inputs=await evaluate_again(definition.dag, found.inputs, self._place(found, attempt, directory)),
            last_seq=last_seq,
            queue=run["queue"],
            parentage=found.parentage,
        )
        return await unlock(owned, self.ground.machine)

    def _place(self, found: StoredRun, attempt: int, directory: str) -> Place:
        ground, run = self.ground, found.run
        is_inline = run["file_name"] is None and run["root_id"] is None
        return Place(
            source_directory=found.inputs.source_directory,
            default_directory=directory,
            own_directory=RunFiles(ground.spool, run["id"], attempt).work if is_inline else None,
            work_dir=ground.work_dir,
            machine=ground.machine.seen_from(found.inputs.base_environment),
            limit_seconds=ground.evaluation_limit_seconds,
        )

    def runner(self, owned: OwnedRun, state: RunState, nodes: Sequence[Row]) -> Runner:
        """Make the driver; ``nodes`` are the rows that the attempt begins with."""
        facts = {row["position"]: read_facts(row, self.ground.sealer) for row in nodes}
        return self._make_runner(owned, owned.definition.dag, state, facts)

    async def history(self, run: OwnedRun) -> Sequence[Row]:
        """Give what happened so far to a run whose steps read its log, which has no file of it here."""
        if not is_read_by(run.definition.dag):
            return ()
        return await self.database.read(lambda connection: runs.get_events(connection, run.key))


async def until_unchanged(work: Callable[[], Awaitable[T]]) -> T:
    """Do work that reads a run and writes what follows from it, again when the run was changed in between.

    Somebody may set the status of a step by hand after it was read; that has to count.
    """
    for _ in range(_MOST_TRIES - 1):
        try:
            return await work()
        except RunRefusedError as error:
            if error.refusal.code != CHANGED:
                raise
    return await work()
