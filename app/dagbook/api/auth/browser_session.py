"""The session of a browser, as the API and the document of a page describe it."""

from __future__ import annotations

from msgspec.structs import replace

from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.auth import session_cookie
from dagbook.api.auth.guards import credentials_of
from dagbook.api.auth.oidc_flow import Connection
from dagbook.api.presenters.fields import instant_text
from dagbook.api.presenters.people import user_body
from dagbook.api.schemas.people import BrowserSession
from dagbook.auth.audit_context import Caller
from dagbook.db.errors import DatabaseUnavailable
from dagbook.errors import NotFoundError, UnauthorizedError


async def describe(access: AuthServices, caller: Caller) -> BrowserSession | None:
    """Describe the session that identified a caller; None for one who came with other credentials."""
    if caller.proof is None:
        return None
    session = BrowserSession(csrf_token=caller.proof)
    if caller.session_id is not None:
        session.expires_at = instant_text((await access.sessions.get(caller.session_id)).expires_at)
        user = await access.logins.require_user(caller)
        session.user, session.may_create = user_body(user), await access.access.may_create(user)
    return session


async def find(access: AuthServices, base_path: str, page: Connection) -> tuple[Caller, BrowserSession] | None:
    """Find whose cookie came with the request of a page, and the session; None also while the database does not answer.

    A page needs no login, so its request is not counted as an attempt to log in: a token in it is not looked at.
    """
    cookie = page.cookies.get(session_cookie.name_of(page, base_path))
    credentials = replace(credentials_of(page), session_cookie=cookie)
    if cookie is None or credentials.authorization is not None:
        return None
    try:
        caller = await access.callers.identify(credentials)
        session = await describe(access, caller)
    except (UnauthorizedError, NotFoundError, DatabaseUnavailable):
        return None
    return None if session is None else (caller, session)
