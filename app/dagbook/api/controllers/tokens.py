"""Personal API tokens: an extension of the contract."""

from __future__ import annotations

from litestar import delete, get, post
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


@get("/tokens", operation_id="listTokens", requires=Requires.OWN, responses=errors())
async def list_tokens(
    parts: NamedDependency[AppServices], caller: NamedDependency[Caller], everybody: parameters.Everybody = False
) -> Tokens:
    """List the own personal tokens, or, for admins, everybody's; revoked ones too."""
    rows = await parts.auth.tokens.find(caller, all_users=everybody)
    return Tokens(tokens=[token_body(row) for row in rows])


@post(
    "/tokens",
    operation_id="createToken",
    status_code=201,
    requires=Requires.OWN,
    audits=Action.TOKEN_CREATE,
    responses=errors(404, 409),
)
async def create_token(
    data: JSONBody[CreateTokenRequest], parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
) -> CreatedToken:
    """Make a personal token; admins may make one for another user."""
    if data.expires_at is not None and data.expires_at.tzinfo is None:
        raise BadRequestError("expiresAt: has no time zone; write one such as 2030-01-31T12:00:00Z")
    wish = TokenRequest(name=data.name, role=data.role, expires_at=data.expires_at, username=data.username)
    made, row = await parts.auth.tokens.create(wish, caller)
    return CreatedToken(token=made, details=token_body(row))


@delete(
    "/tokens/{tokenId:str}",
    operation_id="revokeToken",
    status_code=204,
    requires=Requires.OWN,
    audits=Action.TOKEN_DELETE,
    responses=errors(404),
)
async def revoke_token(
    token_id: parameters.TokenId, parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
) -> None:
    """Let a personal token not count any more; admins may do so with everybody's."""
    await parts.auth.tokens.revoke(token_id, caller)


HANDLERS = [list_tokens, create_token, revoke_token]
