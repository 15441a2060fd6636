"""Sessions and personal tokens: list, create and end (extensions of the contract)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.tokens import TokenRequest
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.people import session_body, token_body
from dagbook.api.routes import delete, get, permission, post
from dagbook.api.schemas.people import CreatedToken, CreateTokenRequest, EndedSessions, Sessions, Tokens
from dagbook.api.services import AccountServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError

Services = NamedDependency[AccountServices]


class SessionsController(Controller):
    path = "/sessions"
    opt = permission(Requires.OWN)
    dependencies = provide_services(AccountServices)

    @get("", "listSessions")
    async def list_sessions(
        self, services: Services, caller: CurrentCaller, all_users: parameters.AllUsers = False
    ) -> Sessions:
        """List the caller's open sessions, at most 1000; with ``all``, for admins, those of all users."""
        rows = await services.auth.sessions.find(caller, all_users=all_users)
        return Sessions(sessions=[session_body(row, caller.session_id) for row in rows])

    @delete("", "endSessions", Requires.OWN, Action.SESSION_END, 404, status_code=200)
    async def end_sessions(
        self, services: Services, caller: CurrentCaller, username: parameters.SessionsOf = None
    ) -> EndedSessions:
        """End the caller's sessions but the one that asks; admins may name another user."""
        return EndedSessions(ended=await services.auth.sessions.end_all(username, caller))

    @delete("/{sessionId:str}", "endSession", Requires.OWN, Action.SESSION_END, 404)
    async def end_session(self, session_id: parameters.SessionId, services: Services, caller: CurrentCaller) -> None:
        """End a session; admins may end those of all users."""
        await services.auth.sessions.end(session_id, caller)


class TokensController(Controller):
    path = "/tokens"
    opt = permission(Requires.OWN)
    dependencies = provide_services(AccountServices)

    @get("", "listTokens")
    async def list_tokens(
        self, services: Services, caller: CurrentCaller, all_users: parameters.AllUsers = False
    ) -> Tokens:
        """List the caller's valid tokens and the newest ended ones; with ``all``, for admins, those of all users."""
        rows = await services.auth.tokens.find(caller, all_users=all_users)
        return Tokens(tokens=[token_body(row) for row in rows])

    @post("", "createToken", Requires.OWN, Action.TOKEN_CREATE, 404, 409, 429, status_code=201, fresh=True)
    async def create_token(
        self, data: JSONBody[CreateTokenRequest], services: Services, caller: CurrentCaller
    ) -> CreatedToken:
        """Create a personal token; admins may create one for another user."""
        if data.expires_at is not None and data.expires_at.tzinfo is None:
            raise BadRequestError("expiresAt: has no time zone; write one such as 2030-01-31T12:00:00Z")
        request = TokenRequest(
            name=data.name,
            role=data.role,
            expires_at=data.expires_at,
            username=data.username,
            scopes=data.scopes,
            addresses=data.addresses,
            dags=data.dags,
        )
        token, row = await services.auth.tokens.create(request, caller)
        return CreatedToken(token=token, details=token_body(row))

    @delete("/{tokenId:str}", "revokeToken", Requires.OWN, Action.TOKEN_DELETE, 404, fresh=True)
    async def revoke_token(self, token_id: parameters.TokenId, services: Services, caller: CurrentCaller) -> None:
        """Revoke a personal token; admins may revoke those of all users."""
        await services.auth.tokens.revoke(token_id, caller)
