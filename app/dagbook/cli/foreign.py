"""Options of Dagu that have no effect: they are accepted, with a notice on stderr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_NO_COORDINATOR = "servers and workers meet in the database, and there is no coordinator"
_NO_PEERS = "servers and workers meet in the database; TLS is configured in database_url"


class IgnoredOption(NamedTuple):
    """An option of Dagu, the explanation for its notice, and whether it takes a value."""

    names: tuple[str, ...]
    instead: str
    is_flag: bool = False

    @property
    def declarations(self) -> list[str]:
        """Parameter declarations for click: the option names, and a unique name for the value."""
        return [*self.names, "ignored_" + self.names[-1].strip("-").replace(".", "_").replace("-", "_")]


EVERYWHERE = (
    IgnoredOption(("--dagu-home",), "Dagbook's folder is set with --home"),
    IgnoredOption(("--cpu-profile",), "there is no profile to write", is_flag=True),
)
PEER = (
    *(IgnoredOption((f"--peer.{name}",), _NO_PEERS) for name in ("cert-file", "key-file", "client-ca-file")),
    *(IgnoredOption((f"--peer.{name}",), _NO_PEERS, is_flag=True) for name in ("insecure", "skip-tls-verify")),
)
COORDINATOR = (
    IgnoredOption(("-H", "--coordinator.host"), _NO_COORDINATOR),
    IgnoredOption(("-P", "--coordinator.port"), _NO_COORDINATOR),
    IgnoredOption(("-A", "--coordinator.advertise"), _NO_COORDINATOR),
)
DAGS = (IgnoredOption(("-d", "--dags"), "DAGs are stored in the database, and no folder is read"),)
WORKER_ID = (IgnoredOption(("--worker-id",), "Dagbook knows which server or worker executes a run"),)
PARAMS = (IgnoredOption(("-p", "--params"), "a queued run has its parameters already"),)


def ignored_options(*ignored: IgnoredOption) -> Callable[[_Decorated], _Decorated]:
    """Let a command accept options of Dagu that have no effect."""

    def decorate(function: _Decorated) -> _Decorated:
        for one in ignored:
            function = click.option(*one.declarations, **_attributes(one))(function)
        return function

    return decorate


def global_ignored_options() -> list[click.Parameter]:
    """Return the ignored options that every command of Dagu takes."""
    return [click.Option(one.declarations, **_attributes(one)) for one in EVERYWHERE]


def notice(text: str) -> None:
    """Print a notice on stderr; ``--quiet`` silences it."""
    click.echo(f"Notice: {text}", err=True)


def _attributes(ignored: IgnoredOption) -> dict[str, Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value not in (None, False) and not context.resilient_parsing:
            notice(f"{parameter.opts[-1]} is ignored: {ignored.instead}")

    return {"is_flag": ignored.is_flag, "hidden": True, "expose_value": False, "callback": callback}
