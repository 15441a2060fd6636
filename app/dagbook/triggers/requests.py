"""What triggers are given by a request, and what is stored of that."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dagbook.json_values import Json

MOST_FILTERS, MOST_PARAMS, LONGEST_TEXT = 20, 50, 500
_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
_Path = Annotated[str, Meta(max_length=2_000)]


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Options of a webhook, of what follows a DAG, and of what looks.

    All but ``key`` and ``dagu`` of a webhook are of the scheme ``hmac``.

    ``signed`` is what is signed, in which ``{body}`` and ``{time}`` stand for the body and for the header
    ``timeHeader``. ``key`` is where the body has the id of an event, such as ``json:/id``. ``repeats`` admits the same
    signed body again, which is else the same event. ``dagu`` is of imported webhooks alone, and stays: they
    take requests at the path of Dagu 1.30, too.

    ``after`` is the file name of the DAG whose runs are followed, and ``on`` how these have to end: ``succeeded``, if
    that is missing.

    ``files`` is the pattern of files to look for, such as ``/srv/inbox/*.csv``; ``url`` is that of files on a server,
    ``sftp://USER@HOST/out/*.csv``, or an address of HTTP. A file counts when it has not changed for ``settle`` seconds,
    10 if that is missing, or when there is a file with its name and ``marker`` behind it. ``changed`` is where the JSON
    of an address says that it has changed, such as ``json:/updated_at``. With ``existing`` what is there at the first
    look starts runs, too.
    """

    header: _Text = ""
    prefix: _Text = ""
    encoding: Literal["hex", "base64"] = "hex"
    time_header: _Text = ""
    signed: _Text = ""
    repeats: bool = False
    key: _Text = ""
    dagu: bool = False
    after: _Text = ""
    on: Annotated[tuple[Literal["succeeded", "partial", "failed", "aborted"], ...], Meta(max_length=4)] = ()
    files: _Path = ""
    url: _Path = ""
    settle: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    marker: _Text = ""
    changed: _Text = ""
    existing: bool = False


class ChangeTrigger(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is changed of a trigger.

    ``params`` has a pointer for each name, such as ``json:/after``; a name that ends in ``!`` must be found. All
    ``filters`` must hold, such as ``json:/ref = refs/heads/main``. ``secret`` is one that the sender has made, of sftp
    a private key or a password, of http a token. ``dag`` is the file name of the DAG. A trigger looks each
    ``everySeconds``, on ``host`` if there is one, and makes one event of all that is new at a look with ``together``.
    """

    dag: str | None = None
    settings: WebhookSettings | None = None
    params: Annotated[dict[str, _Text], Meta(max_length=MOST_PARAMS)] | None = None
    filters: Annotated[list[_Text], Meta(max_length=MOST_FILTERS)] | None = None
    queue: str | None = None
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | None = None
    per_minute: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] | None = None
    max_waiting: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    collapse: bool | None = None
    every_seconds: Annotated[int, Meta(ge=10, le=31 * 86_400)] | None = None
    together: bool | None = None
    host: _Text | None = None
    secret: Annotated[str, Meta(max_length=20_000)] | None = None


class NewTrigger(ChangeTrigger, frozen=True, kw_only=True, rename="camel"):
    """A trigger to add: a webhook with a scheme, one that follows a DAG (``after``), or files, sftp or http."""

    name: str
    dag: str
    kind: str = "webhook"
    scheme: str = ""


class SampleEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event to try out: its body as text, its headers, and what a look has seen."""

    body: str = ""
    headers: Annotated[dict[str, _Text], Meta(max_length=MOST_PARAMS)] = {}
    item: dict[str, Json] = {}


class ReplayEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an event starts a run again: by a revision of its DAG, or the current one.

    ``dry`` only says what it would start. Replays of an event with the same ``replayId`` are one.
    """

    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    dry: bool = False
    replay_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] | None = None
