"""A queued run whose turn has come: taken out of its queue and begun in one commit, or ended with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.db.database import Database, ReadConnection, WriteConnection
from app.db.repositories import changes, queue, runs, transitions
from app.db.repositories.reading import Row
from app.db.repositories.transitions import Claim, Fence
from app.errors import InvalidSpecError
from app.runs import stored
from app.runs.again import MakeRunner
from app.runs.casualties import end_as_failed
from app.runs.concealment import input_row, mask_inputs, read_facts
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
from app.spec import params
from app.spec.library import Library

_MOST_TRIES = 5


class Releases:
    """Begins runs that waited."""

    def __init__(
        self, database: Database, recorder: Recorder, library: Library, ground: Ground, make_runner: MakeRunner
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._library = library
        self._ground = ground
        self._make_runner = make_runner

    async def release(self, key: int) -> Runner:
        """Take a run out of its queue, store the first thing its driver does, and return the driver.

        Raises RunRefusedError when it is not its turn any more; DefinitionGoneError when the text was redacted,
        InvalidSpecError when it cannot be read any more, BadRequestError when its dotenv files cannot be evaluated, or
        SealError when its secrets cannot be read here: then it is to be given up.
        """
        tries = 1
        while True:
            runner, claim, queued_at = await self._prepare(key)
            try:
                await self._recorder.claim(claim)
            except RunRefusedError as error:
                # Somebody set the status of a step by hand after we had read it; that has to count.
                if error.refusal.code != CHANGED or tries == _MOST_TRIES:
                    raise
                tries += 1
            else:
                waited = (self._ground.now() - queued_at).total_seconds()
                self._ground.figures.note_wait(runner.run.dag_name, max(waited, 0.0))
                return runner

    async def _prepare(self, key: int) -> tuple[Runner, Claim, datetime]:
        found, events = await self._database.glance(lambda connection: self._read(connection, key))
        if found.loaded.problems:
            raise InvalidSpecError(found.loaded.problems)
        owned, problem = await unlock(await self._own(found), self._ground.machine)
        facts = {row["position"]: read_facts(row, self._ground.sealer) for row in found.nodes}
        runner = self._make_runner(owned, owned.definition.dag, found.state, facts)
        identity, shown = self._ground.identity, mask_inputs(owned.inputs, owned.masker)
        claim = Claim(
            fence=runner.fence,
            last_seq=owned.last_seq,
            queue=owned.queue,
            owner=identity.id,
            host=identity.place,
            run={"params": shown.params, "params_text": params.show(shown.params)},
            inputs=input_row(owned, self._ground.sealer),
            first=runner.begin(events, problem),
        )
        return runner, claim, found.run["queued_at"]

    def _read(self, connection: ReadConnection, key: int) -> tuple[StoredRun, Sequence[Row]]:
        found = stored.load(connection, self._library, self._ground.sealer, key)
        events = runs.get_events(connection, key) if is_read_by(found.loaded.definition.dag) else ()
        return found, events

    async def _own(self, found: StoredRun) -> OwnedRun:
        run, definition = found.run, found.loaded.definition
        return OwnedRun(
            key=run["id"],
            dag_name=run["dag_name"],
            run_id=run["run_id"],
            attempt=found.attempt["number"],
            token=found.attempt["token"] + 1,
            definition=definition,
            inputs=await evaluate_again(definition.dag, found.inputs, self._place(found)),
            last_seq=found.last_seq,
            queue=run["queue"],
        )

    def _place(self, found: StoredRun) -> Place:
        ground = self._ground
        return Place(
            source_directory=found.inputs.source_directory,
            own_directory=RunFiles(ground.spool, found.run["id"], found.attempt["number"]).work,
            work_dir=ground.work_dir,
            machine=ground.machine,
            limit_seconds=ground.evaluation_limit_seconds,
        )

    async def give_up(self, key: int, reason: str) -> bool:
        """End a run that waits and cannot be begun as failed; False when it does not wait any more."""
        return await self._database.write(lambda connection: self._give_up(connection, key, reason))

    def _give_up(self, connection: WriteConnection, key: int, reason: str) -> bool:
        run = runs.get_whole(connection, key) if transitions.lock_waiting(connection, {key}) else None
        if run is None or not queue.take(connection, {key}):
            return False
        changes.tell_queues(connection, [run["queue"]])
        end_as_failed(connection, Fence(key, run["attempt"], 0), reason, self._ground.now())
        return True
