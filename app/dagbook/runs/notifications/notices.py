"""Which mails a change of a run requires (runtime 27). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.plan import Plan
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Dag, Mail, MailOn

FAILURE, SUCCESS, WAIT, STEP = "failure", "success", "wait", "step"
_SUCCESSFUL = (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Mail to send: its name, which no other mail of the attempt has, its settings, and the state of the run."""

    name: str
    mail: Mail
    state: RunState

    @property
    def status(self) -> RunStatus:
        """The status of the run; while handlers run, the one it will finish with."""
        return self.state.outcome or self.state.status


def may_notify(dag: Dag) -> bool:
    """Whether a run of this DAG can cause a mail."""
    return dag.smtp is not None and any((dag.error_mail, dag.info_mail, dag.wait_mail))


def notifications_for(plan: Plan, state: RunState, events: Sequence[EventRow]) -> Iterator[Notification]:
    """Yield the mails for new events; ``state`` is the state after them."""
    dag = plan.dag
    for event in events:
        key, changed, name = event.position, event.data, ""
        if key is None and changed.get("phase") == Phase.CLOSED:
            name = _about_end(dag, state)
        elif key is not None and changed.get("status") == NodeStatus.FAILED and plan.step(key).mail_on_error:
            name = f"{STEP} {key} {event.seq}"
        elif key is None and changed.get("rested_at") and dag.mail_on and dag.mail_on.wait:
            name = f"{WAIT} {event.seq}"
        if name and (notification := named(dag, name, state)) is not None:
            yield notification


def named(dag: Dag, name: str, state: RunState) -> Notification | None:
    """Return the mail with a name about a run in a state; None if the definition has no settings for it."""
    kind = name.partition(" ")[0]
    mail = {FAILURE: dag.error_mail, STEP: dag.error_mail, SUCCESS: dag.info_mail, WAIT: dag.wait_mail}.get(kind)
    return None if mail is None else Notification(name=name, mail=mail, state=state)


def _about_end(dag: Dag, state: RunState) -> str:
    on = dag.mail_on or MailOn()
    # Tolerated errors count, and so do steps that were aborted with one.
    nodes = (*state.steps, *state.handlers.values())
    had_error = bool(state.error) or any(node.status is NodeStatus.ABORTED and node.error for node in nodes)
    if state.status is RunStatus.FAILED or had_error:
        return FAILURE if on.failure else ""
    return SUCCESS if on.success and state.status in _SUCCESSFUL else ""
