"""Options of what looks: where, for which files, and how long these rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import msgspec

from dagbook.db.repositories.triggers.triggers import NewTrigger
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.triggers.requests import ChangeTrigger, WebhookSettings
from dagbook.triggers.values import Pointer

FILES, SFTP, HTTP = "files", "sftp", "http"
KINDS = (FILES, SFTP, HTTP)
_CAMEL = {"every_seconds": "everySeconds", "together": "together", "host": "host"}
TIMES = tuple(_CAMEL)
SETTLE_SECONDS, EVERY_SECONDS = 10.0, 60
MOST_ENTRIES = 10_000
_FILE_ITEM, _HTTP_ITEM = ("path", "name", "directory", "size", "modified"), ("url", "etag", "lastModified")
_OPTIONS = {
    FILES: ("files", "settle", "marker", "existing"),
    SFTP: ("url", "settle", "marker", "existing"),
    HTTP: ("url", "changed", "existing"),
}
_TEMPORARY = (".part", ".tmp", ".filepart")
_WILD = re.compile(r"[*?\[]")
_SFTP = re.compile(
    r"sftp://(?P<user>[^@:/\s]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?(?P<path>/.*)"
)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+(?:/[!-~]*)?")
_SSH_PORT, _LAST_PORT = 22, 65_535


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A directory, and the pattern of the names in it that count.

    With a ``marker``, a file is whole when there is one with its name and the marker behind it.
    """

    directory: str
    pattern: str
    marker: str = ""

    def counts(self, name: str) -> bool:
        """Whether a file counts: its name fits, and is neither hidden nor of a file that is being written."""
        if name.startswith(".") or name.lower().endswith(_TEMPORARY):
            return False
        return fnmatchcase(name, self.pattern) and not (self.marker and name.endswith(self.marker))

    def path(self, name: str) -> str:
        return f"{self.directory.rstrip('/')}/{name}"


class SftpServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server of SFTP, and who logs in."""

    host: str
    port: int
    user: str


def place_of(settings: WebhookSettings) -> Place:
    """Return where a trigger of files looks, here or on a server; raises BadRequestError."""
    path = settings.files or sftp_server(settings.url)[1]
    field = "settings.files" if settings.files else "settings.url"
    directory, _, pattern = path.rpartition("/")
    if not path.startswith("/") or "\0" in path or not pattern or _WILD.search(directory):
        raise BadRequestError(
            f"{field}: {shorten(path)} is no pattern of files; write the whole path, with * or ? in the name of "
            "the file alone, as /srv/inbox/*.csv"
        )
    return Place(directory=str(PurePosixPath(directory or "/")), pattern=pattern, marker=settings.marker)


def sftp_server(url: str) -> tuple[SftpServer, str]:
    """Return the server of an address, and the path there; raises BadRequestError."""
    found = _SFTP.fullmatch(url)
    port = int((found and found.group("port")) or _SSH_PORT)
    if found is None or not 0 < port <= _LAST_PORT:
        raise BadRequestError(
            f"settings.url: {shorten(url)} is no address; write sftp://USER@HOST/DIRECTORY/*.csv, without a password, "
            "which is given as secret"
        )
    return SftpServer(host=found.group("host").strip("[]"), port=port, user=found.group("user")), found.group("path")


def refuse_others(kind: str, given: WebhookSettings) -> None:
    """Raise BadRequestError for an option that is not of this kind of trigger, or, if it does not look, of a look."""
    default, of_looks = type(given)(), {name for names in _OPTIONS.values() for name in names}
    known = _OPTIONS.get(kind) or set(given.__struct_fields__) - of_looks
    for name, camel in zip(given.__struct_fields__, given.__struct_encode_fields__, strict=True):
        if name not in known and getattr(given, name) != getattr(default, name):
            raise BadRequestError(f"settings.{camel}: is no option of a trigger of the kind {kind}; leave it out")


def check_options(kind: str, given: WebhookSettings) -> WebhookSettings:
    """Return the options of what looks; raises BadRequestError."""
    refuse_others(kind, given)
    if kind == FILES and not given.files:
        raise BadRequestError("settings.files: is missing; write a pattern of files, as /srv/inbox/*.csv")
    if kind != HTTP:
        place_of(given)
        if "/" in given.marker or "\0" in given.marker:
            raise BadRequestError("settings.marker: is no end of a name; write one such as .done")
        return given
    if not _ADDRESS.fullmatch(given.url):
        raise BadRequestError(
            f"settings.url: {shorten(given.url)} is no address; write one such as https://example.org/data.json, "
            "without a password"
        )
    if given.changed and Pointer.read(given.changed, "settings.changed").kind != "json":
        raise BadRequestError(f"settings.changed: {shorten(given.changed)} is not in the body; write json:/updated_at")
    return given


def check_pointer(kind: str, pointer: Pointer) -> None:
    """Raise BadRequestError for a value that no event of what looks has."""
    names = _HTTP_ITEM if kind == HTTP else (*_FILE_ITEM, "count")
    if pointer.kind == "item" and pointer.path in names:
        return
    if kind != HTTP or pointer.kind != "json":
        known = ", ".join([f"item:{name}" for name in names] + (["json:/a/b"] if kind == HTTP else []))
        raise BadRequestError(f"{pointer}: a trigger of the kind {kind} has no such value; write one of {known}")


def settle_seconds(kind: str, settings: WebhookSettings) -> float:
    """Return how long a change has to rest: not at all if a marker says that the file is whole."""
    if kind == HTTP or settings.marker:
        return 0.0
    return SETTLE_SECONDS if settings.settle is None else settings.settle


def file_entry_item(place: Place, name: str, size: int, modified: str) -> Mapping[str, str | int]:
    """Return what the params of an event may name of a file."""
    values = (place.path(name), name, place.directory, size, modified)
    return dict(zip(_FILE_ITEM, values, strict=True))


def check_secret(kind: str, secret: str) -> None:
    """Raise BadRequestError for a secret that a kind does not have, or for the lack of one."""
    if kind == FILES and secret:
        raise BadRequestError("secret: a directory of this machine needs none; leave it out")
    if kind == SFTP and not secret.strip():
        raise BadRequestError("secret: is missing; give the private key or the password that it logs in with")
    if kind == HTTP and not (secret.isascii() and secret.strip().isprintable()):
        raise BadRequestError("secret: is no token; it has printable characters of ASCII alone")


def changed_times(row: NewTrigger, change: ChangeTrigger) -> dict[str, object]:
    """Return the changed columns that say when, where and for how much one look is; raises BadRequestError."""
    given = {name: getattr(change, name) for name in TIMES if getattr(change, name) is not None}
    if row.kind in KINDS:
        first = {
            "every_seconds": row.every_seconds or EVERY_SECONDS,
            "next_look_at": row.next_look_at or row.created_at,
        }
        return first | given
    for name in given:
        raise BadRequestError(f"{_CAMEL[name]}: a trigger of the kind {row.kind} does not look; leave it out")
    return {}


def is_elsewhere(before: NewTrigger, after: NewTrigger) -> bool:
    """Whether a trigger looks at something else by now, or for something else there."""
    places = [
        (row.host, *(row.settings.get(name) for name in ("files", "url", "marker", "changed")))
        for row in (before, after)
    ]
    return places[0] != places[1]


def is_of_other_server(before: NewTrigger, after: NewTrigger) -> bool:
    """Whether an address leads to another server, or to another login there."""
    urls = [urlsplit(str(row.settings.get("url", ""))) for row in (before, after)]
    return urls[0][:2] != urls[1][:2]
