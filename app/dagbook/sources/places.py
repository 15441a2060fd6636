"""Validation of a source: its name, its place, branch and path; which places are Git repositories. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from dagbook.db.repositories.sources import DIRECTORY, GIT, NewSource
from dagbook.errors import BadRequestError
from dagbook.identifiers import check_directory, shorten
from dagbook.settings.dag_sources import is_path

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_URL = re.compile(r"(?P<scheme>[a-z]+)://[!-~]{1,2000}")
_SCP = re.compile(r"([A-Za-z0-9_.-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9~_./][!-~]{0,2000}")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+#@/-]{0,199}")
_BAD_BRANCH = re.compile(r"\.\.|//|@\{|\.lock(/|$)|[./]$|/\.")
_LONGEST_PATH = 1_000


def is_source_name(text: str) -> bool:
    """Whether a source may have this name."""
    return _NAME.fullmatch(text) is not None


def check_source(source: NewSource, protocols: Collection[str]) -> NewSource:
    """Return a valid source, with its kind and a normal path; raises BadRequestError naming the field."""
    if not is_source_name(source.name):
        raise BadRequestError(
            f"name: {shorten(source.name)} does not fit; use 1 to 64 letters, digits, '-', '_' or '.', not first . or -"
        )
    kind = kind_of(source.place)
    if kind == GIT:
        _check_repository(source.place, protocols)
    else:
        check_directory(source.place, "place")
    _check_fields(source, kind)
    values = {"kind": kind, "path": _check_path(source.path)}
    return NewSource(**{**{name: getattr(source, name) for name in NewSource.__struct_fields__}, **values})


def kind_of(place: str) -> str:
    """Return whether a place is a directory or a Git repository: an address, or as ``git@host:path``."""
    return DIRECTORY if is_path(place) else GIT


def _check_fields(source: NewSource, kind: str) -> None:
    if kind == DIRECTORY:
        for field in ("branch", "credentials"):
            if getattr(source, field):
                raise BadRequestError(f"{field}: is for Git repositories; the place of one begins as file:// does")
        return
    if source.writable:
        raise BadRequestError("writable: is for directories; a repository is changed by a commit")
    if source.branch is not None and (not _BRANCH.fullmatch(source.branch) or _BAD_BRANCH.search(source.branch)):
        raise BadRequestError(f"branch: {shorten(source.branch)} is not the name of a branch")
    if source.credentials:
        check_directory(source.credentials, "credentials")


def _check_repository(place: str, protocols: Collection[str]) -> None:
    """Raise BadRequestError for an address that is not one, has a secret in it, or another protocol."""
    match = _URL.fullmatch(place)
    scheme = match.group("scheme") if match else "ssh" if _SCP.fullmatch(place) else ""
    if not scheme:
        raise BadRequestError(
            f"place: {shorten(place)} is neither an absolute path nor the address of a repository, "
            "such as https://host/team/dags.git"
        )
    if scheme not in protocols:
        allowed = ", ".join(protocols) or "none"
        raise BadRequestError(f"place: the protocol {scheme} is not allowed here (setting source_protocols: {allowed})")
    try:
        parts = urlsplit(place) if match else None
        password = parts.password if parts else None
    except ValueError as error:
        raise BadRequestError(f"place: {shorten(place)} is not an address: {error}") from error
    if parts and (password is not None or (parts.username and scheme != "ssh") or parts.query or parts.fragment):
        # The address is shown and is an argument of git, which every user of the machine can read.
        raise BadRequestError("place: must contain no user, password or token; give a file with them as credentials")


def _check_path(text: str) -> str:
    path = posixpath.normpath(text).strip("/") if text else ""
    if path == ".":
        return ""
    parts = path.split("/")
    if "\0" in path or len(path) > _LONGEST_PATH or ".." in parts or not path.isprintable():
        raise BadRequestError(f"path: {shorten(text)} is not a subdirectory; write one such as dags/etl")
    return path
