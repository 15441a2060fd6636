"""Reading of a Dagu 1.x home. Its files are hostile: sizes are bounded, and no link leads out of the given folders."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec
import yaml

from dagbook.identifiers import is_name, strip_suffix
from dagbook.transfer import layout
from dagbook.transfer.conversion.converter import SourceAttempt, SourceRun
from dagbook.transfer.layout import QueueItemRecord, RecordError, SnapshotRecord, UserRecord, WebhookRecord
from dagbook.transfer.report import Finding, Kind
from dagbook.transfer.source import FoundDefinition, FoundRun, FoundUser, FoundWebhook, TransferError

_MEBIBYTE = 1024 * 1024
_MOST_TEXT, _MOST_RECORD, _MOST_SMALL = 4 * _MEBIBYTE, 64 * _MEBIBYTE, _MEBIBYTE
_MOST_SUB_RUNS, _MOST_NESTED = 20_000, 100
_NESTED = "only files directly in the folder are DAGs; store it under a name of its own"
_NO_KEYS = "API keys are stored as hashes of another kind; create tokens with `dagbook tokens add`"
T = TypeVar("T")


class Folders(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The folders of a home; those that are given instead of the usual ones may be anywhere."""

    home: Path
    dags: Path
    data: Path
    logs: Path
    suspend: Path

    @classmethod
    def of(cls, home: Path, **given: Path | None) -> Folders:
        """Return the usual folders of a home, or the given ones; raises TransferError."""
        usual = {name: home / name for name in ("dags", "data", "logs", "suspend")}
        chosen = usual | {name: path for name, path in given.items() if path is not None}
        for path in (home, *(path for path in given.values() if path is not None)):
            if not path.is_dir():
                raise TransferError(f"{path} is not a directory")
        if not any(path.is_dir() for path in chosen.values()):
            raise TransferError(
                f"{home} is not a home of Dagu 1.x: it has none of the folders dags, data, logs and suspend; "
                "name other folders with --dags-dir, --data-dir, --log-dir and --suspend-dir"
            )
        return cls(home=home, **chosen)

    @cached_property
    def roots(self) -> tuple[Path, ...]:
        """The folders that files may be in, with links resolved."""
        usual = {self.home / name for name in ("dags", "data", "logs", "suspend")}
        given = [path for path in (self.dags, self.data, self.logs, self.suspend) if path not in usual]
        return tuple(path.resolve() for path in (self.home, *given))

    def contain(self, path: Path) -> bool:
        """Whether a path, with links resolved, is in one of the folders."""
        try:
            found = path.resolve()
        except (OSError, RuntimeError):
            return False
        return any(found.is_relative_to(root) for root in self.roots)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of a root run, with what its name says."""

    path: Path
    dag: str
    run_id: str
    at: datetime


class HomeSource:
    """A home directory."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.name = str(folders.home)
        self.dag_folder = folders.dags.name
        self.untold_handlers = frozenset[int]()

    # -- definitions and settings ----------------------------------------------------------------------------------

    def read_definitions(self) -> tuple[list[FoundDefinition], list[Finding]]:
        """Return the definitions, which are directly in their folder, and whether they are suspended."""
        found, findings = dict[str, FoundDefinition](), list[Finding]()
        suspended = {
            entry.name.removesuffix(layout.SUSPEND_SUFFIX)
            for entry in self._entries(self._folders.suspend, findings, "suspend")
            if entry.name.endswith(layout.SUSPEND_SUFFIX)
        }
        for entry in self._entries(self._folders.dags, findings, "definition"):
            name = strip_suffix(entry.name)
            if entry.is_dir(follow_symlinks=False):
                for file in self._entries(Path(entry.path), findings, "definition")[:_MOST_NESTED]:
                    if file.name != strip_suffix(file.name):
                        findings.append(_left_out("definition", f"{name}/{file.name}", _NESTED, file.path))
                continue
            if name == entry.name:
                continue  # a file of another kind
            reason = "" if is_name(name) else "its name is not one that a DAG can have here"
            reason = reason or ("there is another file of this name with another extension" if name in found else "")
            text = "" if reason else self._text(Path(entry.path), "definition", findings)
            if reason:
                findings.append(_left_out("definition", name, reason, entry.path))
            elif text is not None:
                found[name] = FoundDefinition(name=name, text=text, file=entry.path, suspended=name in suspended)
        for name in sorted(suspended - found.keys()):
            path = str(self._folders.suspend / f"{name}{layout.SUSPEND_SUFFIX}")
            findings.append(_left_out("suspend", name, "there is no such definition", path))
        return [found[name] for name in sorted(found)], findings

    def read_base(self) -> tuple[str, list[Finding]]:
        """Return the text of ``base.yaml``."""
        findings = list[Finding]()
        path = self._folders.home / "base.yaml"
        return (self._text(path, "base", findings) or "" if path.exists() else ""), findings

    def read_config(self) -> tuple[Mapping[str, object], list[Finding]]:
        """Return ``config.yaml`` as a map."""
        findings = list[Finding]()
        path = self._folders.home / "config.yaml"
        text = self._text(path, "setting", findings) if path.exists() else None
        try:
            found = yaml.safe_load(text) if text else {}
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            reason = f"it is not YAML: {str(error).partition(chr(10))[0]}"
            return {}, [*findings, _left_out("setting", "config.yaml", reason, str(path))]
        if not isinstance(found, dict | None):
            return {}, [*findings, _left_out("setting", "config.yaml", "it is not a map", str(path))]
        return {str(key): value for key, value in (found or {}).items()}, findings

    def read_users(self) -> tuple[list[FoundUser], list[Finding]]:
        """Return the users; API keys are left behind."""
        findings = list[Finding]()
        records = self._records("users", UserRecord, findings, "user")
        entries = self._entries(self._folders.data / "apikeys", findings, "access")
        findings += [_left_out("access", entry.name, _NO_KEYS, entry.path) for entry in entries]
        return [FoundUser(record=record, file=file) for record, file in records], findings

    def read_webhooks(self) -> tuple[list[FoundWebhook], list[Finding]]:
        """Return the webhooks."""
        findings = list[Finding]()
        records = self._records("webhooks", WebhookRecord, findings, "webhook")
        return [FoundWebhook(record=record, file=file) for record, file in records], findings

    def _records(self, folder: str, type_: type[T], findings: list[Finding], kind: Kind) -> list[tuple[T, str]]:
        """Return the records in a folder of data, each with its file."""
        found = list[tuple[T, str]]()
        for entry in self._entries(self._folders.data / folder, findings, kind):
            if not entry.name.endswith(".json"):
                continue
            try:
                found.append((layout.decode(self._read(Path(entry.path), _MOST_SMALL), type_), entry.path))
            except (OSError, RecordError) as error:
                findings.append(_left_out(kind, entry.name, _reason(error), entry.path))
        return found

    # -- runs ------------------------------------------------------------------------------------------------------

    def count_runs(self) -> int:
        """Count the folders of root runs."""
        return len(self._places[0])

    @cached_property
    def _places(self) -> tuple[list[_Place], list[Finding]]:
        """The folders of all root runs, oldest first; of two with one id, the later one."""
        newest, findings = dict[tuple[str, str], _Place](), list[Finding]()
        for place in sorted(self._walk(findings), key=lambda each: (each.at, str(each.path))):
            other = newest.get((place.dag, place.run_id))
            newest[place.dag, place.run_id] = place
            if other is not None:
                reason = f"a later run has the same id: {place.path.name}"
                findings.append(_left_out("run", f"{other.dag}/{other.run_id}", reason, str(other.path)))
        return sorted(newest.values(), key=lambda each: (each.at, str(each.path))), findings

    def _walk(self, findings: list[Finding]) -> Iterator[_Place]:
        for dag in self._entries(self._folders.data / layout.RUNS_FOLDER, findings, "run"):
            if not dag.is_dir(follow_symlinks=False):
                findings.append(_left_out("run", dag.name, "it is not a folder of runs", dag.path))
                continue
            for year in self._numbered(Path(dag.path, layout.RUNS_FOLDER), findings):
                for month in self._numbered(year, findings):
                    for day in self._numbered(month, findings):
                        yield from self._places_of_day(dag.name, day, findings)

    def _numbered(self, folder: Path, findings: list[Finding]) -> Iterator[Path]:
        """Yield the folders of years, months and days."""
        for entry in self._entries(folder, findings, "run"):
            if entry.name.isdigit() and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
            elif not entry.name.startswith("."):
                findings.append(_left_out("run", entry.name, "it is not a year, month or day of runs", entry.path))

    def _places_of_day(self, dag: str, day: Path, findings: list[Finding]) -> Iterator[_Place]:
        for entry in self._entries(day, findings, "run"):
            matched = layout.RUN_FOLDER.fullmatch(entry.name)
            if entry.name.startswith("."):
                continue  # an index of the folder
            if matched is None or not entry.is_dir(follow_symlinks=False):
                findings.append(_left_out("run", entry.name, "it is not the folder of a run", entry.path))
                continue
            try:
                yield _Place(path=Path(entry.path), dag=dag, run_id=matched[2], at=layout.read_stamp(matched[1]))
            except RecordError as error:
                findings.append(_left_out("run", entry.name, str(error), entry.path))

    def read_runs(self) -> Iterable[FoundRun]:
        """Yield the runs; the first one has no run, but what was found on the way to their folders."""
        places, findings = self._places
        queues = self._read_queues(findings)
        if findings:
            yield FoundRun(run=None, findings=tuple(findings), is_run=False)
        for place in places:
            yield self._read_run(place, queues)

    def _read_queues(self, findings: list[Finding]) -> dict[tuple[str, str], str]:
        """Return the queues of the runs that wait, by name and id."""
        queues: dict[tuple[str, str], str] = {}
        for queue in self._entries(self._folders.data / "queue", findings, "run"):
            for item in self._entries(Path(queue.path), findings, "run") if queue.is_dir(follow_symlinks=False) else ():
                try:
                    found = layout.decode(self._read(Path(item.path), _MOST_SMALL), QueueItemRecord).dag_run
                    queues[found.name, found.id] = queue.name
                except (OSError, RecordError) as error:
                    findings.append(_left_out("run", item.name, _reason(error), item.path))
        return queues

    def _read_run(self, place: _Place, queues: Mapping[tuple[str, str], str]) -> FoundRun:
        findings: list[Finding] = []
        children = []
        for number, entry in enumerate(self._entries(place.path / layout.CHILDREN_FOLDER, findings, "run")):
            matched = layout.CHILD_FOLDER.fullmatch(entry.name)
            if number >= _MOST_SUB_RUNS or matched is None:
                reason = "it is not a sub-run" if matched is None else f"a run has at most {_MOST_SUB_RUNS} sub-runs"
                findings.append(_left_out("run", entry.name, reason, entry.path))
            elif attempts := self._attempts(Path(entry.path), matched[1], findings):
                name = attempts[-1].status.name
                children.append(SourceRun(name=name, run_id=matched[1], attempts=attempts, file=entry.path))
        attempts = self._attempts(place.path, place.run_id, findings)
        if not attempts:
            if not findings:
                findings.append(_left_out("run", f"{place.dag}/{place.run_id}", "it has no attempt", str(place.path)))
            return FoundRun(run=None, findings=tuple(findings))
        name = attempts[-1].status.name  # not always that of the folder
        run = SourceRun(
            name=name,
            run_id=place.run_id,
            attempts=attempts,
            file=str(place.path),
            queue=queues.get((name, place.run_id), ""),
            children=tuple(children),
        )
        return FoundRun(run=run, findings=tuple(findings))

    def _attempts(self, folder: Path, run_id: str, findings: list[Finding]) -> tuple[SourceAttempt, ...]:
        """Return the attempts in a folder, oldest first; hidden ones were taken out of a queue.

        Only the last one has its definition, which is that of the run.
        """
        found = []
        for entry in self._entries(folder, findings, "run"):
            matched = layout.ATTEMPT_FOLDER.fullmatch(entry.name)
            if matched is None or entry.name.startswith("."):
                if entry.name != layout.CHILDREN_FOLDER and not entry.name.startswith("."):
                    findings.append(_left_out("run", entry.name, "it is not an attempt of a run", entry.path))
                continue
            try:
                opened_at = layout.read_stamp(matched[1], matched[2])
                status = layout.read_status(self._read(Path(entry.path, layout.STATUS_FILE), _MOST_RECORD), run_id)
                found.append(SourceAttempt(opened_at=opened_at, status=status, file=entry.path))
            except (OSError, RecordError) as error:
                findings.append(_left_out("run", f"{run_id}, {entry.name}", _reason(error), entry.path))
        found.sort(key=lambda attempt: attempt.opened_at)
        return (*found[:-1], *(self._with_snapshot(last, run_id, findings) for last in found[-1:]))

    def _with_snapshot(self, attempt: SourceAttempt, run_id: str, findings: list[Finding]) -> SourceAttempt:
        """Return an attempt with its definition; one that cannot be read is named, and the run is read without."""
        path, snapshot = Path(attempt.file, layout.SNAPSHOT_FILE), SnapshotRecord()
        try:
            snapshot = layout.decode(self._read(path, _MOST_RECORD), SnapshotRecord)
            _ = snapshot.text
        except (OSError, RecordError) as error:
            snapshot = msgspec.structs.replace(snapshot, yaml_data="")
            reason = f"its definition cannot be read: {_reason(error)}"
            findings.append(Finding(kind="run", name=run_id, outcome="changed", reason=reason, file=str(path)))
        return msgspec.structs.replace(attempt, snapshot=snapshot)

    def find_log(self, reference: str, folder: Path) -> tuple[Path | None, str]:  # noqa: ARG002 - files are there
        """Return the file of some output: as its record names it, or below the folder of logs of a moved home."""
        if not reference:
            return None, ""
        if "\0" in reference:
            return None, "its name is not that of a file"
        paths = [Path(reference)]
        parts = PurePosixPath(reference).parts
        if self._folders.logs.name in parts:
            at = len(parts) - 1 - parts[::-1].index(self._folders.logs.name)
            paths.append(self._folders.logs.joinpath(*parts[at + 1 :]))
        outside = False
        for path in paths:
            try:
                is_there = stat.S_ISREG(path.stat().st_mode)
            except OSError:
                continue
            if is_there and self._folders.contain(path):
                return path, ""
            outside = outside or is_there
        return None, "it is outside of the home; name its folder with --log-dir" if outside else "it is not there"

    def close(self) -> None:
        """Do nothing: a home needs no connection."""

    # -- files -----------------------------------------------------------------------------------------------------

    def _entries(self, folder: Path, findings: list[Finding], kind: Kind) -> list[os.DirEntry[str]]:
        """Return the entries of a folder by name; none if there is no such folder, or it cannot be read."""
        try:
            if folder.is_symlink() or not folder.is_dir():
                if folder.is_symlink() and not self._folders.contain(folder):
                    reason = "it is a link out of the home; name the folder that it leads to with an option"
                    findings.append(_left_out(kind, folder.name, reason, str(folder)))
                if not folder.is_dir() or not self._folders.contain(folder):
                    return []
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            findings.append(_left_out(kind, folder.name, _reason(error), str(folder)))
            return []

    def _read(self, path: Path, most: int) -> bytes:
        """Read a regular file of at most ``most`` bytes; raises OSError and RecordError."""
        if path.is_symlink() and not self._folders.contain(path):
            raise RecordError("it is a link out of the home")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RecordError("it is not a regular file")
            if status.st_size > most:
                raise RecordError(f"it has {status.st_size:,} bytes, more than {most:,}")
            return file.read(most)

    def _text(self, path: Path, kind: Kind, findings: list[Finding]) -> str | None:
        try:
            text = self._read(path, _MOST_TEXT).decode("utf-8-sig")
            if "\0" not in text:
                return text
            reason = "it has NUL in it"
        except UnicodeDecodeError:
            reason = "it is not a text in UTF-8"
        except (OSError, RecordError) as error:
            reason = _reason(error)
        findings.append(_left_out(kind, strip_suffix(path.name), reason, str(path)))
        return None


def _left_out(kind: Kind, name: str, reason: str, file: str) -> Finding:
    return Finding(kind=kind, name=name, outcome="left_out", reason=reason, file=file)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return "it is missing" if error.errno == errno.ENOENT else error.strerror or str(error)
    return str(error)
