"""The parts of a page's frame that depend on the page and on its user, as HTML: it shows before any script runs.

``static/parts/shell.js`` renders the same; ``tests/web/test_frame.py`` compares both, so that nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

PLACES = (
    ("/", "Dashboard"),
    ("/dag-runs", "Runs"),
    ("/dags", "DAGs"),
    ("/approvals", "Approvals"),
    ("/alerts", "Alerts"),
    ("/queues", "Queues"),
    ("/schedules", "Schedules"),
    ("/batches", "Batches"),
    ("/triggers", "Triggers"),
    ("/workers", "Workers"),
    ("/sources", "Sources"),
    ("/search", "Search"),
    ("/system", "System"),
)
ADMIN_PLACES = (("/users", "Users"), ("/access", "Access"), ("/audit", "Audit"))
_ICON = '<svg class="icon" width="16" height="16"></svg>'  # its place: the scripts have the drawings


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The session of who asks for a page: its ``body`` as the API has it, and the user; none with a static token.

    ``is_admin`` is whether all channels of alerts are shown.
    """

    body: object
    is_admin: bool = False
    username: str = ""
    role: str = ""
    has_grants: bool = False


def navigation(base_path: str, path: str, session: Session | None) -> str:
    """Return the links to the pages that the user of a session sees; ``path`` is the page that is open."""
    places = [place for place in PLACES if place[0] != "/sources" or session is None or not session.has_grants]
    if session is not None and session.role == "admin":
        places.extend(ADMIN_PLACES)
    links = ""
    for to, name in places:
        is_open = path == to or (to != "/" and path.startswith(f"{to}/"))
        links += f'<a href="{escape(base_path + to)}"{" aria-current=page" * is_open}>{_ICON}{name}</a>'
    return links


def banner(base_path: str, failing: Sequence[str]) -> str:
    """Return the message about channels that fail; nothing while none does."""
    if not failing:
        return ""
    names = escape(", ".join(failing))
    link = f'<a href="{escape(base_path)}/alerts">Channels</a>'
    return f'<p class="stale">{_ICON}<span>Alerts do not reach: {names}. {link}</span></p>'


def person(base_path: str, session: Session | None) -> str:
    """Return the user's name and role, and the place of the button to log out; nothing without a session."""
    if session is None:
        return ""
    button = '<button type="button" class="quiet" disabled>Log out</button>'
    name, role = escape(session.username), escape(session.role)
    tag = f'<span class="tag">{role}</span>' if name != role else ""
    account = f'<a href="{escape(base_path)}/account">{name}</a>{tag}' if name else ""
    return f'<div class="person">{account}{button}</div>'
