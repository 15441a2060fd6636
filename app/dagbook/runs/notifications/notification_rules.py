"""Rules for the mails about a run (DAG format 6.7, runtime 27), and sharing of their size among the logs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dagbook.engine.plan import Plan
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Dag, Mail, MailOn

_SUCCESSFUL = (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Mail to send: its settings and the state of the run."""

    mail: Mail
    state: RunState

    @property
    def status(self) -> RunStatus:
        """The status of the run; while handlers run, the one it will finish with."""
        return self.state.outcome or self.state.status


def may_notify(dag: Dag) -> bool:
    """Whether a run of this DAG can cause a mail."""
    return dag.smtp is not None and (dag.error_mail is not None or dag.info_mail is not None)


def notifications_for(plan: Plan, state: RunState, events: Sequence[Mapping[str, Any]]) -> Iterator[Notification]:
    """Yield the mails for stored events; ``state`` is the state after them."""
    dag = plan.dag
    for event in events:
        key, changed = event["position"], event["data"]
        if key is None and changed.get("phase") == Phase.CLOSED:
            mail = _about_end(dag, state)
        elif key is not None and changed.get("status") == NodeStatus.FAILED and plan.step(key).mail_on_error:
            mail = dag.error_mail
        else:
            continue
        if mail is not None:
            yield Notification(mail=mail, state=state)


def _about_end(dag: Dag, state: RunState) -> Mail | None:
    on = dag.mail_on or MailOn()
    if state.status is RunStatus.FAILED or _had_error(state):
        return dag.error_mail if on.failure else None
    return dag.info_mail if on.success and state.status in _SUCCESSFUL else None


def _had_error(state: RunState) -> bool:
    """Whether a run had an error: tolerated errors count, and so do steps that were aborted with one."""
    nodes = (*state.steps, *state.handlers.values())
    return bool(state.error) or any(node.status is NodeStatus.ABORTED and node.error for node in nodes)


def share_budget(sizes: Mapping[int, int], budget: int) -> dict[int, int]:
    """Share bytes equally among logs; what a small log leaves over goes to the others."""
    parts: dict[int, int] = {}
    for number, (key, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        parts[key] = min(size, budget // (len(sizes) - number))
        budget -= parts[key]
    return parts
