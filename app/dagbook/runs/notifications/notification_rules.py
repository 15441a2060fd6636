"""Which mails a change in a run calls for (DAG format 6.7, runtime 27), and how much of each log they take. Pure."""

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
    """A mail to be sent: under which settings, and what it tells of."""

    mail: Mail
    state: RunState

    @property
    def status(self) -> RunStatus:
        """What the run is or, while its handlers work, is going to be."""
        return self.state.outcome or self.state.status


def may_notify(dag: Dag) -> bool:
    """Whether a run of this DAG can call for a mail at all."""
    return dag.smtp is not None and (dag.error_mail is not None or dag.info_mail is not None)


def notifications_for(plan: Plan, state: RunState, events: Sequence[Mapping[str, Any]]) -> Iterator[Notification]:
    """Give the mails that stored events call for; ``state`` is what they led to."""
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
    """Whether anything went wrong in a run: an error that was tolerated counts, and so does a step that was ended."""
    nodes = (*state.steps, *state.handlers.values())
    return bool(state.error) or any(node.status is NodeStatus.ABORTED and node.error for node in nodes)


def share_budget(sizes: Mapping[int, int], budget: int) -> dict[int, int]:
    """Divide bytes among logs: what needs less than its part leaves the rest to the others."""
    parts: dict[int, int] = {}
    for number, (key, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        parts[key] = min(size, budget // (len(sizes) - number))
        budget -= parts[key]
    return parts
