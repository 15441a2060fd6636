"""The sender of a request."""

from __future__ import annotations

from typing import Literal

import msgspec

from dagbook.auth.audit_context import Actor
from dagbook.auth.roles import Role

Via = Literal["none", "local", "basic", "token", "oidc", "login", "personal"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request: identity, role and credential.

    ``name`` is None without authentication; ``role`` is None without users. ``credential`` is the hash of the token in
    use: a user who changes the password keeps that token.
    """

    via: Via
    name: str | None = None
    role: Role | None = None
    user_id: str | None = None
    token_id: str | None = None
    token_name: str | None = None
    credential: str | None = None
    address: str = ""

    @property
    def actor(self) -> Actor:
        """The actor of audit entries; only commands are local."""
        return Actor(
            via="cli" if self.via == "local" else self.via,
            actor=self.name,
            user_id=self.user_id,
            token_id=self.token_id,
            token_name=self.token_name,
            address=self.address,
        )

    @property
    def actor_label(self) -> str | None:
        """The actor's name in histories."""
        return self.actor.label
