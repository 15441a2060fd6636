"""Filter of the list of audit entries."""

from __future__ import annotations

from collections.abc import Sequence

from dagbook.api.params import parameters
from dagbook.auth.audit_context import Action
from dagbook.db.repositories.audit import AuditFilter
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten


def provide_audit_filter(
    actor: parameters.Actor = None,
    action: parameters.AuditAction = None,
    object: parameters.AuditObject = None,  # noqa: A002 - litestar takes the parameter's name from here
    request_id: parameters.RequestId = None,
    from_: parameters.FromInstant = None,
    to: parameters.ToInstant = None,
) -> AuditFilter:
    """Make the filter; raises BadRequestError naming the field."""
    return AuditFilter(
        actor=_text("actor", actor),
        actions=_actions(action),
        name=_text("object", object),
        request_id=_text("requestId", request_id),
        since=None if from_ is None else parameters.read_instant("from", from_),
        until=None if to is None else parameters.read_instant("to", to),
    )


def _text(field: str, value: str | None) -> str | None:
    if value is not None and "\0" in value:
        raise BadRequestError(f"{field}: contains a NUL character, which no entry does")
    return value


def _actions(text: str | None) -> Sequence[str]:
    if text is None:
        return ()
    found = [str(item) for item in Action if item == text or (text.endswith(".") and item.startswith(text))]
    if not found:
        raise BadRequestError(
            f"action: {shorten(text)} does not exist; use one such as {Action.DAG_UPDATE}, or a prefix such as 'dag.'"
        )
    return found
