"""Sessions and personal tokens: list, create and end (extensions of the contract)."""

from __future__ import annotations

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.auth_setup import AuthServices
from dagbook.accounts.tokens import TokenRequest
from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.people import session_body, token_body
from dagbook.api.providers import provide_services
from dagbook.api.schemas.people import CreatedToken, CreateTokenRequest, EndedSessions, Sessions, Tokens
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError


class CredentialServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of sessions and personal tokens."""

    auth: AuthServices


class SessionsController(Controller):
    path = "/sessions"
    dependencies = provide_services(CredentialServices)

    @get(operation_id="listSessions", requires=Requires.OWN, responses=errors())
    async def list_sessions(
        self,
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
        all_users: parameters.AllUsers = False,
    ) -> Sessions:
        """List the caller's open sessions, at most 1000; with ``all``, for admins, those of all users."""
        rows = await services.auth.sessions.find(caller, all_users=all_users)
        return Sessions(sessions=[session_body(row, caller.session_id) for row in rows])

    @delete(
        operation_id="endSessions",
        status_code=200,
        requires=Requires.OWN,
        audits=Action.SESSION_END,
        responses=errors(404),
    )
    async def end_sessions(
        self,
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
        username: parameters.SessionsOf = None,
    ) -> EndedSessions:
        """End the caller's sessions but the one that asks; admins may name another user."""
        return EndedSessions(ended=await services.auth.sessions.end_all(username, caller))

    @delete(
        "/{sessionId:str}",
        operation_id="endSession",
        status_code=204,
        requires=Requires.OWN,
        audits=Action.SESSION_END,
        responses=errors(404),
    )
    async def end_session(
        self,
        session_id: parameters.SessionId,
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
    ) -> None:
        """End a session; admins may end those of all users."""
        await services.auth.sessions.end(session_id, caller)


class TokensController(Controller):
    path = "/tokens"
    dependencies = provide_services(CredentialServices)

    @get(operation_id="listTokens", requires=Requires.OWN, responses=errors())
    async def list_tokens(
        self,
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
        all_users: parameters.AllUsers = False,
    ) -> Tokens:
        """List the caller's valid tokens and the newest ended ones; with ``all``, for admins, those of all users."""
        rows = await services.auth.tokens.find(caller, all_users=all_users)
        return Tokens(tokens=[token_body(row) for row in rows])

    @post(
        operation_id="createToken",
        status_code=201,
        requires=Requires.OWN,
        fresh=True,
        audits=Action.TOKEN_CREATE,
        responses=errors(404, 409, 429),
    )
    async def create_token(
        self,
        data: JSONBody[CreateTokenRequest],
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
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

    @delete(
        "/{tokenId:str}",
        operation_id="revokeToken",
        status_code=204,
        requires=Requires.OWN,
        fresh=True,
        audits=Action.TOKEN_DELETE,
        responses=errors(404),
    )
    async def revoke_token(
        self,
        token_id: parameters.TokenId,
        services: NamedDependency[CredentialServices],
        caller: NamedDependency[Caller],
    ) -> None:
        """Revoke a personal token; admins may revoke those of all users."""
        await services.auth.tokens.revoke(token_id, caller)
