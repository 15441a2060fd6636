"""Who a request comes from."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.auth.origin import Origin
from app.auth.roles import Role

Via = Literal["none", "local", "basic", "token", "oidc", "login", "personal"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, what that may be allowed, and by which credential it is known.

    ``name`` is None where nobody is asked who they are; ``role`` is None where there are no roles. ``credential`` is
    the hash of the token in use, for people who change their password keep that one.
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
    def origin(self) -> Origin:
        """The caller as histories and the audit name it; only commands are local."""
        return Origin(
            via="cli" if self.via == "local" else self.via,
            actor=self.name,
            user_id=self.user_id,
            token_id=self.token_id,
            token_name=self.token_name,
            address=self.address,
        )

    @property
    def actor(self) -> str | None:
        """The caller as histories name it."""
        return self.origin.label
