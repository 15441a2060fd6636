"""A Git repository as a source, by the program ``git``: fetched without prompts, hooks or configuration of users.

Definitions are read from the commit, not from the checkout, in which runs may write. The checkout is where their
scripts and dotenv files are. A lock file keeps two processes of one home out of it, also from what a killed process
has left running, which has the lock too.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import posixpath
import re
import resource
import shlex
import signal
from bisect import bisect_left
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import msgspec

from dagbook.db.repositories.sources import FileProblem
from dagbook.sources.plan import SUFFIXES, Listing, Text, TreeFile
from dagbook.sources.tree import MAX_ENTRIES, MAX_FILES, TOO_LARGE, SourceError, decode
from dagbook.spec.reading.yaml_reader import MAX_BYTES
from dagbook.telemetry.printable import printable
from dagbook.unix.files import make_private_folder

LIMIT_SECONDS = 300.0
_ATTEMPTS, _PAUSE_SECONDS = 600, 0.1  # a minute, for the lock
_DEPTH = 100  # commits that are fetched, to find the last change of each file
_HEAD, _CHECKED_OUT = "refs/dagbook/head", "refs/dagbook/checked-out"
_MAX_OUTPUT = 64 * 1024 * 1024
_MAX_ERRORS = 64 * 1024
_MAX_BYTES = 4 * 1024**3  # of a checkout, and of each file that git writes, such as the objects of a fetch
_MAX_HOPS, _LONGEST_LINK, _MAX_LINKS = 10, 4096, 10_000
_LINK, _FILE_TYPES = "120000", ("100644", "100755")
_PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY")
_CREDENTIALS = "DAGBOOK_GIT_CREDENTIALS"
# A helper may be asked to store and to erase as well; the file is only read.
_HELPER = f'!f() {{ test "$1" != get || cat -- "${_CREDENTIALS}"; }}; f'
_REDIRECT = re.compile(r"returned error: 30[12378]\b")
_FILE_SIZE = re.compile(r"signal 25\b|File too large|invalid index-pack output")
_FIXED = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "true",
    "credential.helper": "",  # an empty one drops those of the system
    "fetch.recurseSubmodules": "false",
    "gc.autoDetach": "false",
    "http.followRedirects": "false",  # the host of a redirect would be one that no admin has named
    "maintenance.autoDetach": "false",
    "protocol.ext.allow": "never",
    "transfer.bundleURI": "false",
}


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """Address, branch (None for the default one), subdirectory, protocols that are allowed, and a credentials file.

    For an address of ssh the file has a private key; for others the lines ``username=…`` and ``password=…``.
    """

    place: str
    branch: str | None
    path: str
    protocols: Collection[str]
    credentials: str | None = None

    @property
    def is_ssh(self) -> bool:
        return self.place.startswith("ssh://") or "://" not in self.place


class Commit(msgspec.Struct, frozen=True):
    """The last commit that changed a file."""

    id: str
    author: str
    message: str


class _Entry(msgspec.Struct, frozen=True):
    """A file, or a link, in a commit."""

    mode: str
    blob: str
    size: int


def environment_of(repository: Repository, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of git: of the server's only what it needs, and all configuration. Pure."""
    kept = {name: environ[name] for name in (*_PASSED, *_PROXIES) if name in environ}
    config = list(_FIXED.items())
    if repository.credentials and not repository.is_ssh:
        # Git compares protocol, host and port with those for which it needs credentials; they may be a proxy's.
        protocol, _, rest = repository.place.partition("://")
        config.append((f"credential.{protocol}://{rest.partition('/')[0]}.helper", _HELPER))
        kept[_CREDENTIALS] = repository.credentials
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    if repository.credentials and repository.is_ssh:
        ssh += ["-o", "IdentitiesOnly=yes", "-i", repository.credentials]
    numbered = {
        f"GIT_CONFIG_{part}_{number}": text
        for number, pair in enumerate(config)
        for part, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    return {
        **kept,
        **numbered,
        "GIT_CONFIG_COUNT": str(len(config)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": shlex.join(ssh),
        "GIT_ALLOW_PROTOCOL": ":".join(repository.protocols),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "LC_ALL": "C.UTF-8",
    }


class Checkout:
    """The clone of a repository in a directory of this machine."""

    def __init__(self, repository: Repository, directory: Path) -> None:
        self._repository = repository
        self._directory = directory
        self._environment = environment_of(repository, os.environ)
        self._lock: int | None = None

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keep other processes out of the checkout inside the block; raises SourceError when one stays in it."""
        make_private_folder(self._directory.parent)
        path = self._directory.with_name(f".{self._directory.name}.lock")
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_ATTEMPTS):
                if _try_lock(lock):
                    break
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                raise SourceError(f"another process on this machine works in {self._directory}")
            self._lock = lock
            yield
        finally:
            self._lock = None
            os.close(lock)

    async def update(self) -> str:
        """Fetch the branch and check its newest commit out; returns its id. Raises SourceError."""
        repository = self._repository
        await asyncio.to_thread(self._prepare)
        await self._git("init", "--quiet", "--template=", ".")
        wanted = f"refs/heads/{repository.branch}" if repository.branch else "HEAD"
        depth = f"--depth={_DEPTH}"
        options = (depth, "--no-tags", "--force", "--quiet", "--no-write-fetch-head")
        await self._git("fetch", *options, "--", repository.place, f"+{wanted}:{_HEAD}")
        commit = (await self._git("rev-parse", "--verify", f"{_HEAD}^{{commit}}")).decode().strip()
        # Nothing is checked out yet in a new clone, which this command answers with an empty list.
        head = await self._git("for-each-ref", "--format=%(objectname)", _CHECKED_OUT)
        if head.decode().strip() != commit:
            # A small commit may have a file many times.
            listed = await self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
            if await asyncio.to_thread(lambda: sum(entry.size for _, entry in _entries(listed, ""))) > _MAX_BYTES:
                raise SourceError(
                    f"the files of the commit {commit[:12]} are larger than {_MAX_BYTES // 2**20:,} MiB together"
                )
            await self._git("checkout", "--force", "--quiet", "--detach", commit)
            await self._git("update-ref", _CHECKED_OUT, commit)
        return commit

    def _prepare(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        # What a killed git has left: with the lock, no other one runs here.
        for folder in (self._directory / ".git", *(self._directory / ".git" / "refs").rglob("*/")):
            for lock in folder.glob("*.lock"):
                lock.unlink(missing_ok=True)

    async def read_tree(self, commit: str) -> GitTree:
        """Return the definition files of a commit; raises SourceError."""
        path = self._repository.path
        prefix = f"{path}/" if path else ""
        listed = await self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *filter(None, [prefix]))
        if listed.count(b"\0") > MAX_ENTRIES:
            raise SourceError(f"there are more than {MAX_ENTRIES:,} files; choose a subdirectory with path")
        entries = await asyncio.to_thread(lambda: dict(_entries(listed, prefix)))
        if path and not entries and not await self._git("ls-tree", "-z", "--full-tree", commit, "--", path):
            raise SourceError(f"the commit {commit[:12]} has no directory {path}")
        found = [entry for entry in entries.values() if entry.mode == _LINK]
        if len(found) > _MAX_LINKS:
            raise SourceError(f"there are more than {_MAX_LINKS:,} links; choose a subdirectory with path")
        links = await self.read_blobs([entry.blob for entry in found if entry.size <= _LONGEST_LINK])
        return GitTree(self, commit, entries, {blob: data.decode(errors="replace") for blob, data in links.items()})

    async def read_blobs(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of files by their ids; raises SourceError."""
        if not blobs:
            return {}
        wanted = "".join(f"{blob}\n" for blob in dict.fromkeys(blobs))
        return dict(_blobs(await self._git("cat-file", "--batch", given=wanted.encode())))

    async def find_commits(self, commit: str) -> dict[str, Commit]:
        """Return the last commit that changed each file, of the files that the fetched commits changed."""
        prefix = f"{self._repository.path}/" if self._repository.path else ""
        boundary = self._directory / ".git" / "shallow"
        first = set(boundary.read_text().split()) if boundary.exists() else set()
        options = ("-z", "--format=%x01%H%x00%an%x00%B%x00", "--name-only", "--no-renames")
        text = await self._git("log", *options, commit, "--", *filter(None, [prefix]))
        return dict(_commits(text.decode(errors="replace"), first, prefix))

    async def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run git in the checkout and return its output; raises SourceError with what it says on stderr."""
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", *arguments),
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
            )
        except FileNotFoundError as error:
            raise SourceError("this machine has no program git; install it to read repositories") from error
        try:
            with contextlib.suppress(OSError):  # it has ended, or has a lower limit
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_MAX_BYTES, _MAX_BYTES))
            async with asyncio.timeout(LIMIT_SECONDS):
                output, errors = await _communicate(process, given)
                await process.wait()
        except TimeoutError as error:
            raise SourceError(f"git {arguments[0]} took longer than {LIMIT_SECONDS:.0f} s, and was stopped") from error
        finally:
            if process.returncode is None:  # also when this sync is cancelled
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise SourceError(_explain(arguments[0], self._repository, errors))
        return output


async def _communicate(process: asyncio.subprocess.Process, given: bytes) -> tuple[bytes, bytes]:
    """Return what a program writes on stdout, and the beginning of what it writes on stderr; raises SourceError."""
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    reading = asyncio.gather(_read(process.stdout), _collect(process.stderr, _MAX_ERRORS))
    # uvloop raises RuntimeError for a pipe that it has closed, since the program has ended.
    if process.stdin is not None and not process.stdin.is_closing():
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(given)
            await process.stdin.drain()
            process.stdin.close()
    output, errors = await reading
    return output, errors


async def _read(stream: asyncio.StreamReader) -> bytes:
    """Read a stream to its end; raises SourceError as soon as that is too much."""
    found = bytearray()
    while data := await stream.read(64 * 1024):
        found += data
        if len(found) > _MAX_OUTPUT:
            raise SourceError(f"git gave more than {_MAX_OUTPUT // 2**20} MiB; the repository has too many files")
    return bytes(found)


async def _collect(stream: asyncio.StreamReader, most: int) -> bytes:
    """Read a stream to its end, and return a little more than ``most`` bytes of it at most."""
    found = bytearray()
    while data := await stream.read(64 * 1024):
        if len(found) <= most:
            found += data
    return bytes(found)


class GitTree:
    """The definition files of a commit."""

    def __init__(
        self, checkout: Checkout, commit: str, entries: Mapping[str, _Entry], links: Mapping[str, str]
    ) -> None:
        self._checkout = checkout
        self.commit = commit
        self._entries = entries
        self._paths = sorted(entries)
        self._links = links
        self._blobs: dict[str, str] = {}  # by path

    def list_files(self, closing: Event) -> Listing:
        """Return the files, each with the id of its blob; raises SourceError if there are too many, or when closing."""
        found = list[TreeFile]()
        for path in self._paths:
            if closing.is_set():  # nothing else ends the thread of this loop
                raise SourceError("the server is stopping")
            if (file := self._file(path)) is not None:
                found.append(file)
        if len(found) > MAX_FILES:
            raise SourceError(f"there are more than {MAX_FILES:,} definition files; choose a subdirectory with path")
        return Listing(found)

    async def read_texts(self, paths: Sequence[str]) -> dict[str, Text]:
        """Return the texts of files by path; raises SourceError."""
        contents = await self._checkout.read_blobs([self._blobs[path] for path in paths])
        return {
            path: msgspec.structs.replace(decode(contents[blob]), content=blob)
            for path in paths
            if (blob := self._blobs[path]) in contents
        }

    def _file(self, path: str) -> TreeFile | None:
        entry = self._entries[path]
        if any(part.startswith(".") for part in path.split("/")):
            return None
        if entry.mode == _LINK:
            return self._link(path)
        if not path.endswith(SUFFIXES) or entry.mode not in _FILE_TYPES:
            return None
        return self._regular(path, entry)

    def _regular(self, path: str, entry: _Entry) -> TreeFile:
        if entry.size > MAX_BYTES:
            return TreeFile(path, entry.blob, TOO_LARGE)
        self._blobs[path] = entry.blob
        return TreeFile(path, entry.blob)

    def _link(self, path: str) -> TreeFile | None:
        place, entry = path, self._entries[path]
        for _ in range(_MAX_HOPS):
            place = posixpath.normpath(posixpath.join(posixpath.dirname(place), self._links.get(entry.blob, "")))
            if place.startswith(("/", "..")):
                return self._refuse(path, "this is a link out of the source, which is not followed")
            target = self._entries.get(place)
            first = bisect_left(self._paths, f"{place}/")  # in it, if it is a directory
            inside = (path for path in self._paths[first : first + 1] if path.startswith(f"{place}/"))
            if target is None and (place == "." or any(inside)):
                return self._refuse(path, "this is a link to a directory, which is not followed; links to files are")
            if target is None:
                return self._refuse(path, "this link leads nowhere") if path.endswith(SUFFIXES) else None
            if target.mode != _LINK:
                return self._regular(path, target) if path.endswith(SUFFIXES) else None
            entry = target
        return self._refuse(path, "this link leads back to itself")

    def _refuse(self, path: str, message: str) -> TreeFile:
        return TreeFile(path, self._entries[path].blob, FileProblem(0, message))


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _entries(listed: bytes, prefix: str) -> Iterator[tuple[str, _Entry]]:
    """Read the output of ``git ls-tree -r -l -z``."""
    for line in listed.split(b"\0"):
        head, _, name = line.partition(b"\t")
        parts = head.split()
        if len(parts) == 4:  # noqa: PLR2004 - mode, type, id, size
            path = name.decode(errors="backslashreplace").removeprefix(prefix)
            size = int(parts[3]) if parts[3].isdigit() else 0
            yield path, _Entry(parts[0].decode(), parts[2].decode(), size)


def _blobs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Read the output of ``git cat-file --batch``."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        head = data[at:end].split()
        if len(head) != 3:  # noqa: PLR2004 - id, type, size; or id and "missing"
            at = end + 1
            continue
        size = int(head[2])
        yield head[0].decode(), data[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def _commits(text: str, first: Collection[str], prefix: str) -> Iterator[tuple[str, Commit]]:
    """Read the output of ``git log``, oldest first, so that the last commit of a file counts.

    The oldest fetched commits seem to add all files that there are, so they are left out.
    """
    for part in reversed(text.split("\1")[1:]):
        key, author, message, names = [*part.split("\0", 3), "", "", ""][:4]
        if key not in first:
            commit = Commit(key, author, message.strip())
            for name in names.split("\0"):
                if path := name.strip("\n").removeprefix(prefix):
                    yield path, commit


def _explain(command: str, repository: Repository, errors: bytes) -> str:
    """Return a sentence about a failed git, with its first lines."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    said = printable("; ".join(lines[:3]))[:400] or "it gave no reason"
    if "couldn't find remote ref" in said:
        return f"{repository.place} has no branch {repository.branch or 'that is its default'}"
    if "Host key verification failed" in said:
        return f"{repository.place} could not be fetched: add the key of its host to known_hosts of this account"
    if _FILE_SIZE.search(said):
        return f"git {command} stopped ({said}); probably a file would be larger than {_MAX_BYTES // 2**20:,} MiB"
    if _REDIRECT.search(said):
        return f"{repository.place} could not be fetched: it redirects, which is not followed; use the new address"
    if command == "fetch":
        return f"{repository.place} could not be fetched: {said}"
    return f"git {command} failed: {said}"
