"""A server that is started without the authentication that the users of its database need."""

from __future__ import annotations

from pathlib import Path

from tests.process import conftest
from tests.process.server import Server

WARNING = "Warning: the database has users, but auth_mode is none"
BUILTIN = {"auth_mode": "builtin", "auth_token_secret": "s" * 32, "auth_admin_password": "correct horse battery"}


def test_it_warns_that_everyone_is_an_admin(tmp_path: Path) -> None:
    asking, open_to_all = (
        Server(tmp_path / "home", log=tmp_path / f"{name}.log", settings=settings)
        for name, settings in (("asking", BUILTIN), ("open", {}))
    )
    for server in (asking, open_to_all):
        try:
            server.start()
        finally:
            conftest.end(server)
    assert (WARNING in asking.log_text(), WARNING in open_to_all.log_text()) == (False, True)
