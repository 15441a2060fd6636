"""The encryption of stored values with another key (extension of the contract)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.routes import post
from dagbook.api.schemas.maintenance import RekeyedSecrets
from dagbook.api.services import SystemServices
from dagbook.auth.audit_context import Action, AuditAction
from dagbook.auth.roles import Requires

_SECONDS = 5.0  # of a request, so that its caller sees progress


class SecretsController(Controller):
    path = "/secrets"
    dependencies = provide_services(SystemServices)

    @post("/rekey", "rekeySecrets", Requires.UPKEEP, Action.SECRET_REKEY)
    async def rekey(self, services: NamedDependency[SystemServices], caller: CurrentCaller) -> RekeyedSecrets:
        """Encrypt stored values of previous keys with the key of this server, for five seconds.

        Repeat it while values are left and some were done: others are in use, or damaged.
        """
        action = AuditAction(action=Action.SECRET_REKEY, kind="database", name="secrets")
        done = await services.rekeying.run(caller.actor.entry(action, services.now()), _SECONDS)
        return RekeyedSecrets(done=done.done, left=done.left, unknown=done.unknown)
