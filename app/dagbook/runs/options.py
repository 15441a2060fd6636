"""Options of starts and retries."""

from __future__ import annotations

import msgspec

from dagbook.auth.audit_context import Action, Actor
from dagbook.db.repositories.schedules import Slot


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants a run to be started."""

    params: str = ""
    run_id: str = ""
    dag_name: str = ""
    queue: str = ""
    singleton: bool = False
    may_queue: bool = False  # whether it waits where its queue has no room, although it is a singleton
    priority: int = 0  # among those that wait in its queue, the highest first
    trigger: str = "api"
    actor: Actor | None = None  # of the person who wants it; None for what starts by itself
    action: Action = Action.RUN_START
    source_directory: str | None = None
    revision: int | None = None
    slot: Slot | None = None  # the time of a schedule that it is started for
    patient: bool = False  # whether it waits where the limit of its DAG is reached, instead of being refused
    limited: bool = True  # whether the limit of its DAG applies

    @property
    def actor_label(self) -> str | None:
        """Who wants it, as histories name it."""
        return self.actor.label if self.actor is not None else None


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A run that somebody wants: the text it works from, and how it is to be started."""

    spec: str
    base: str
    file_name: str | None
    start: StartOptions


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants a run to be tried again."""

    step: int | None = None  # the only step to run, by its key; else what failed and what lies below it
    counted: bool = True  # whether the limit of active runs applies
    attempt: int | None = None  # the number that the new attempt has to have; else it is refused
    directory: str = ""  # of a sub-run: where the calling step works
    actor: Actor | None = None  # of the person who wants it; None for what begins by itself

    @property
    def actor_label(self) -> str | None:
        """Who wants it, as histories name it."""
        return self.actor.label if self.actor is not None else None
