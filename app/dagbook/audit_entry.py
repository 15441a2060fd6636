"""An audit entry to add: ``auth`` makes it of an actor and an action, ``db`` stores it, and neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class NewAuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An action, done or not, with its actor. The fields are columns of the audit."""

    at: datetime
    actor: str | None
    via: str
    user_id: str | None
    token_id: str | None
    token_name: str | None
    address: str
    request_id: str
    action: str
    kind: str
    name: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    outcome: str
