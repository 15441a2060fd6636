"""Options of starts and retries."""

from __future__ import annotations

from typing import Any

import msgspec

from dagbook.auth.audit_context import Action, Actor
from dagbook.db.repositories.principals import UNLIMITED, Principal
from dagbook.db.repositories.schedules import Slot
from dagbook.engine.admission import Admission
from dagbook.spec.params.given import NOTHING, GivenParams


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one start request."""

    params: GivenParams = NOTHING
    run_id: str = ""
    dag_name: str = ""
    queue: str = ""
    own_queue_only: bool = False  # a caller with grants names no queue but those that the DAG has by itself
    admission: Admission = Admission.START
    priority: int = 0  # within its queue, highest first
    trigger: str = "api"
    actor: Actor | None = None  # None for starts without a person, such as scheduled ones
    on_behalf_of: Principal = UNLIMITED  # whose rights count for its calls if there is no actor
    action: Action = Action.RUN_START
    source_directory: str | None = None
    revision: int | None = None
    slot: Slot | None = None  # the minute of a schedule that it is started for
    edits: bool = True  # False: the definition may forbid other params and a run id (DAG format 2.18)
    reads_sealed: bool = False  # whether it takes encrypted values over from another run

    @property
    def actor_label(self) -> str | None:
        """The actor's name for the run history."""
        return self.actor.label if self.actor is not None else None

    @property
    def principal(self) -> Principal:
        """Whose rights count for the calls of the run."""
        return self.on_behalf_of if self.actor is None else principal_of(self.actor)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Definition text and start options of a new run."""

    spec: str
    base: str
    file_name: str | None
    start: StartOptions
    evaluates: bool = True  # its params, which a run that is started from another one takes from it


class StopOrder(msgspec.Struct, frozen=True):
    """The actor of a stop, as histories name it, and its audit entry."""

    actor: str | None
    entry: dict[str, Any]


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one retry request."""

    step: int | None = None  # key of the only step to run; None: the failed steps and their dependents
    admission: Admission = Admission.START
    attempt: int | None = None  # required number of the new attempt; the retry is refused if it has another
    directory: str = ""  # of a sub-run: the working directory of the calling step
    actor: Actor | None = None  # None for retries without a person

    @property
    def actor_label(self) -> str | None:
        """The actor's name for the run history."""
        return self.actor.label if self.actor is not None else None

    @property
    def principal(self) -> Principal:
        """Whose rights count for the calls of the attempt; sub-runs have those of their root."""
        return UNLIMITED if self.actor is None else principal_of(self.actor)


def principal_of(actor: Actor) -> Principal:
    """Return whose rights count for the calls of what an actor starts."""
    return Principal(user_id=actor.user_id, token_id=actor.token_id)
