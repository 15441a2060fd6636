"""Personal API tokens, an extension of the contract."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.tokens import TokenRequest
from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.people import token_body
from dagbook.api.schemas.people import CreatedToken, CreateTokenRequest, Tokens
from dagbook.api.services import AppServices
from dagbook.auth.audit_context import Action
from dagbook.auth.caller import Caller
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError


class TokensController(Controller):
    path = "/tokens"

    @get(operation_id="listTokens", requires=Requires.OWN, responses=errors())
    async def list_tokens(
        self,
        parts: NamedDependency[AppServices],
        caller: NamedDependency[Caller],
        all_users: parameters.AllUsers = False,
    ) -> Tokens:
        """List the caller's personal tokens, also revoked ones; with ``all``, for admins, those of all users."""
        rows = await parts.auth.tokens.find(caller, all_users=all_users)
        return Tokens(tokens=[token_body(row) for row in rows])

    @post(
        operation_id="createToken",
        status_code=201,
        requires=Requires.OWN,
        audits=Action.TOKEN_CREATE,
        responses=errors(404, 409),
    )
    async def create_token(
        self, data: JSONBody[CreateTokenRequest], parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
    ) -> CreatedToken:
        """Create a personal token; admins may create one for another user."""
        if data.expires_at is not None and data.expires_at.tzinfo is None:
            raise BadRequestError("expiresAt: has no time zone; write one such as 2030-01-31T12:00:00Z")
        request = TokenRequest(name=data.name, role=data.role, expires_at=data.expires_at, username=data.username)
        token, row = await parts.auth.tokens.create(request, caller)
        return CreatedToken(token=token, details=token_body(row))

    @delete(
        "/{tokenId:str}",
        operation_id="revokeToken",
        status_code=204,
        requires=Requires.OWN,
        audits=Action.TOKEN_DELETE,
        responses=errors(404),
    )
    async def revoke_token(
        self, token_id: parameters.TokenId, parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
    ) -> None:
        """Revoke a personal token; admins may revoke those of all users."""
        await parts.auth.tokens.revoke(token_id, caller)
