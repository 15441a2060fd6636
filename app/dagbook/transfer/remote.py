"""Reading of a server of API v2, Dagu 1.x or Dagbook, into the records that a home would have.

Its answers are hostile: sizes and numbers are bounded.
"""

from __future__ import annotations

import base64
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import msgspec

from dagbook.engine.event import HANDLER_NAMES, INIT
from dagbook.identifiers import API_PATH, is_name
from dagbook.json_values import Json
from dagbook.runs.store.run_loading import output_key
from dagbook.transfer.conversion.converter import SourceAttempt, SourceRun
from dagbook.transfer.layout import RecordError, SnapshotRecord, StatusRecord, read_time
from dagbook.transfer.report import Finding
from dagbook.transfer.source import FoundDefinition, FoundRun, FoundUser, FoundWebhook, TransferError

Answer = Mapping[str, Any]
_COPIED = ("startedAt", "finishedAt", "status", "retryCount", "doneCount", "error")
_BETWEEN_PARAMS = re.compile(r" (?=[A-Za-z0-9_]+=)")

_TIMEOUT = httpx.Timeout(60, connect=10)
_MOST_BYTES = 64 * 1024 * 1024
_MOST_IN_LIST, _PER_PAGE, _MOST_PAGES = 1_000, 100, 1_000
_LINES = 10_000
_MOST_SUB_RUNS, _MOST_DEPTH = 20_000, 20
_LAST_SECOND = 4_102_444_800  # the year 2100: its clock may be wrong
_UNTOLD = "the API does not tell base configuration, users, settings and earlier attempts; import the home for them"


def status_of(details: Answer, summary: Answer, outputs: Answer, logs: str) -> StatusRecord:
    """Return the status of a run from its details; raises RecordError.

    ``summary`` is its entry in a list, ``logs`` the path below which the output of its steps is.
    """
    try:
        found = {
            "root": {"name": details.get("rootDAGRunName", ""), "id": details.get("rootDAGRunId", "")},
            "parent": {"name": details.get("parentDAGRunName") or "", "id": details.get("parentDAGRunId") or ""},
            "name": details["name"],
            "dagRunId": details["dagRunId"],
            "status": details["status"],
            "nodes": [_node(node, outputs, logs) for node in details.get("nodes") or ()],
            **{name: _node(details[name], {}, logs) for name in HANDLER_NAMES.values() if details.get(name)},
            "queuedAt": summary.get("queuedAt") or "",
            "startedAt": details.get("startedAt") or "",
            "finishedAt": details.get("finishedAt") or "",
            "params": details.get("params") or "",
            "paramsList": split_params(details.get("params") or ""),
            "preconditions": details.get("preconditions"),
        }
        return msgspec.convert(found, StatusRecord)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise RecordError(f"the answer is not that of a run: {error}") from error


def split_params(text: str) -> list[str]:
    """Split the params of a run, which are not quoted, before each ``NAME=``."""
    return _BETWEEN_PARAMS.split(text) if text else []


def _node(node: Answer, outputs: Answer, logs: str) -> dict[str, object]:
    step = node["step"]
    name, output = step["name"], step.get("output") or ""
    value = outputs.get(step.get("outputKey") or output_key(output)) if output else None
    path = f"{logs}\n{name}\n"
    is_merged = bool(node.get("stdout")) and node.get("stdout") == node.get("stderr")
    return {
        "step": _step(step),
        **{field: node[field] for field in _COPIED if node.get(field) is not None},
        "stdout": f"{path}stdout" if node.get("stdout") else "",
        "stderr": f"{path}stderr" if node.get("stderr") and not is_merged else "",
        "children": node.get("subRuns"),
        "childrenRepeated": node.get("subRunsRepeated"),
        "outputVariables": {output: f"{output}={value}"} if isinstance(value, str) else None,
    }


def _step(step: Answer) -> dict[str, object]:
    fields = ("name", "description", "commands", "command", "args", "cmdWithArgs", "script", "output", "depends")
    called = {"name": step["call"], "params": step.get("params") or ""} if step.get("call") else None
    return {
        **{field: step[field] for field in fields if step.get(field) is not None},
        "childDag": called,
        "preconditions": step.get("preconditions"),
    }


def snapshot_of(spec: str, file_name: str) -> SnapshotRecord:
    """Return what is known of the definition of a run; ``file_name`` is that of a stored DAG with this text."""
    return SnapshotRecord(
        yaml_data=base64.b64encode(spec.encode()).decode(),
        location=f"dags/{file_name}.yaml" if file_name else "",
    )


def opened_at(status: StatusRecord) -> datetime:
    """Return the earliest time that a run tells, for a server tells no time of creation; raises RecordError."""
    texts = [status.queued_at, status.started_at, *(node.started_at for node in status.nodes or ()), status.finished_at]
    known = [at for text in texts if (at := read_time(text, "startedAt")) is not None]
    return min(known, default=datetime(2000, 1, 1, tzinfo=UTC))


def called_by(details: Answer) -> Iterator[str]:
    """Yield the ids of the sub-runs that the steps of a run called."""
    for node in details.get("nodes") or ():
        for call in (*(node.get("subRuns") or ()), *(node.get("subRunsRepeated") or ())):
            if isinstance(call, dict) and call.get("dagRunId"):
                yield str(call["dagRunId"])


class _Listed(NamedTuple):
    """A root run in a list."""

    name: str
    run_id: str
    summary: Answer


class RemoteSource:
    """A server at ``url``, with or without the path of the API; ``token`` is sent as a bearer token.

    Output is read up to ``log_limit`` bytes of each stream.
    """

    dag_folder = "dags"
    untold_handlers = frozenset({INIT})

    def __init__(self, url: str, token: str, log_limit: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TransferError("--url: it is not the http or https address of a server")
        path = parts.path.rstrip("/")
        base = urlunsplit((parts.scheme, parts.netloc, path if path.endswith(API_PATH) else path + API_PATH, "", ""))
        self.name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.HTTPTransport(retries=2, verify=ssl.create_default_context())
        self._client = httpx.Client(base_url=base, headers=headers, timeout=_TIMEOUT, transport=transport)
        self._log_limit = log_limit

    # -- definitions -----------------------------------------------------------------------------------------------

    def read_definitions(self) -> tuple[list[FoundDefinition], list[Finding]]:
        """Return the definitions, by name."""
        return self._definitions

    @cached_property
    def _definitions(self) -> tuple[list[FoundDefinition], list[Finding]]:
        found, findings = list[FoundDefinition](), list[Finding]()
        for page in range(1, _MOST_PAGES + 1):
            listed = self._list(f"/dags?page={page}&perPage={_PER_PAGE}")
            for entry in _maps(listed.get("dags")):
                name = str(entry.get("fileName", ""))
                address = f"/dags/{quote(name, safe='')}/spec"
                reason, text = "" if is_name(name) else "its name is not one that a DAG can have here", ""
                try:
                    text = "" if reason else str(self._get(address).get("spec") or "")
                except RecordError as error:
                    reason = str(error)
                if "\0" in text:
                    reason = "it has NUL in it"
                if reason:
                    findings.append(
                        Finding(kind="definition", name=name, outcome="left_out", reason=reason, file=address)
                    )
                else:
                    is_suspended = bool(entry.get("suspended"))
                    found.append(FoundDefinition(name=name, text=text, file=address, suspended=is_suspended))
            if len(_maps(listed.get("dags"))) < _PER_PAGE:
                break
        return sorted(found, key=lambda each: each.name), findings

    def read_base(self) -> tuple[str, list[Finding]]:
        """Return nothing: the API does not tell it."""
        return "", [Finding(kind="base", name="base.yaml", outcome="changed", reason=_UNTOLD)]

    def read_users(self) -> tuple[list[FoundUser], list[Finding]]:
        """Return nothing: the API tells no passwords."""
        return [], []

    def read_webhooks(self) -> tuple[list[FoundWebhook], list[Finding]]:
        """Return nothing: the API tells no tokens."""
        return [], []

    def read_config(self) -> tuple[Mapping[str, object], list[Finding]]:
        """Return nothing: the API does not tell it."""
        return {}, []

    # -- runs ------------------------------------------------------------------------------------------------------

    def count_runs(self) -> int:
        """List the runs, and count them."""
        return len(self._listed[0])

    @cached_property
    def _listed(self) -> tuple[list[_Listed], list[Finding]]:
        """All root runs, oldest first. A list has at most 1,000, so that the time is divided until each is shorter."""
        found, findings = dict[tuple[str, str], _Listed](), list[Finding]()
        spans = [(1, _LAST_SECOND)]
        while spans:
            start, end = spans.pop()
            answer = self._list(f"/dag-runs?fromDate={start}&toDate={end}&limit={_MOST_IN_LIST}")
            entries = _maps(answer.get("dagRuns"))
            if len(entries) >= _MOST_IN_LIST and end - start > 1:
                middle = (start + end) // 2
                spans += [(middle, end), (start, middle)]
                continue
            if len(entries) >= _MOST_IN_LIST:
                reason = f"more than {_MOST_IN_LIST} runs began in second {start}, of which the API lists no more"
                findings.append(Finding(kind="run", name=str(start), outcome="left_out", reason=reason))
            for entry in reversed(entries):
                listed = _Listed(str(entry.get("name", "")), str(entry.get("dagRunId", "")), entry)
                found[listed[:2]] = listed
        return list(found.values()), findings

    def read_runs(self) -> Iterable[FoundRun]:
        """Yield the runs with their sub-runs."""
        listed, findings = self._listed
        if findings:
            yield FoundRun(run=None, findings=tuple(findings), is_run=False)
        for each in listed:
            address = f"/dag-runs/{quote(each.name, safe='')}/{quote(each.run_id, safe='')}"
            lost = list[Finding]()
            try:
                yield FoundRun(run=self._run(each, address, lost), findings=tuple(lost))
            except RecordError as error:
                yield FoundRun(run=None, findings=(*lost, _left_out(each, str(error), address)))

    def _run(self, listed: _Listed, address: str, lost: list[Finding]) -> SourceRun:
        details = _details(self._get(address))
        spec = str((self._get_or_none(f"{address}/spec") or {}).get("spec") or "") or self._text_of(listed.name)
        outputs = (self._get_or_none(f"{address}/outputs") or {}).get("outputs") or {}
        root = self._source(details, listed.summary, outputs, (address, spec), listed.name)
        if root.run_id != listed.run_id:
            raise RecordError("its answer is that of another run")
        children = dict[str, SourceRun]()
        waiting = [(run_id, 1) for run_id in called_by(details)]
        while waiting:
            run_id, depth = waiting.pop(0)
            if run_id in children or depth > _MOST_DEPTH or len(children) >= _MOST_SUB_RUNS:
                continue
            below = f"{address}/sub-dag-runs/{quote(run_id, safe='')}"
            try:
                found = _details(self._get(below))
                name = str(found.get("name", ""))
                children[run_id] = self._source(found, {}, {}, (below, self._text_of(name) or spec), name)
                waiting += [(called, depth + 1) for called in called_by(found)]
            except RecordError as error:
                lost.append(_left_out(listed, f"its sub-run {run_id[:60]}: {error}", below))
        return msgspec.structs.replace(root, children=tuple(children.values()))

    def _source(self, details: Answer, summary: Answer, outputs: Answer, at: tuple[str, str], name: str) -> SourceRun:
        address, spec = at
        status = status_of(details, summary, outputs if isinstance(outputs, dict) else {}, address)
        files = (each.name for each in self._definitions[0] if each.text == spec)
        attempt = SourceAttempt(
            opened_at=opened_at(status),
            status=status,
            snapshot=snapshot_of(spec, next(files, "")),
            file=address,
        )
        return SourceRun(name=name, run_id=status.dag_run_id, attempts=(attempt,), file=address)

    def _text_of(self, name: str) -> str:
        """Return the text of the stored DAG whose file has the name of a run's DAG; empty without one."""
        return next((each.text for each in self._definitions[0] if each.name == name), "")

    def find_log(self, reference: str, folder: Path) -> tuple[Path | None, str]:
        """Return a file with the output of a step; raises TransferError if it cannot be written."""
        if not reference:
            return None, ""
        try:
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                problem = self._fetch_log(reference, file)
                return (None if problem else Path(file.name)), problem
        except OSError as error:
            raise TransferError(f"the output of a step cannot be kept in {folder}: {error.strerror}") from error

    def _fetch_log(self, reference: str, file: IO[bytes]) -> str:
        """Write the output of a step to a file; returns why there is none."""
        address, _, rest = reference.partition("\n")
        step, _, stream = rest.rpartition("\n")
        size, first = 0, 1
        while size <= self._log_limit:
            page = f"stream={stream}&offset={first}&limit={_LINES}"
            try:
                answer = self._get(f"{address}/steps/{quote(step, safe='')}/log?{page}")
            except RecordError as error:
                return str(error)
            content = str(answer.get("content") or "")
            if not content and not answer.get("lineCount"):
                break
            size += file.write(f"{content}\n".encode())
            lines = content.count("\n") + 1
            if lines < _LINES:
                break
            first += lines
        return ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- answers ---------------------------------------------------------------------------------------------------

    def _list(self, address: str) -> Answer:
        """Return an answer without which nothing can be imported; raises TransferError."""
        try:
            return self._get(address)
        except RecordError as error:
            raise TransferError(
                f"{self.name} is not a server of API v2: {address.partition('?')[0]}: {error}"
            ) from error

    def _get_or_none(self, address: str) -> Answer | None:
        """Return an answer that not every server has."""
        try:
            return self._get(address)
        except RecordError:
            return None

    def _get(self, address: str) -> Answer:
        """Return an answer; raises RecordError for one that is none, and TransferError without a connection."""
        try:
            with self._client.stream("GET", address) as response:
                data = b"".join(_bounded(response.iter_bytes()))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransferError(f"{self.name} cannot be reached: {error or type(error).__name__}") from error
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise TransferError(f"{self.name} refuses the request; give a token with --token-file")
        if response.status_code != httpx.codes.OK:
            raise RecordError(f"the server answers {response.status_code}")
        try:
            return msgspec.json.decode(data.replace(b"\\u0000", b"\\ufffd"), type=dict[str, Json])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(f"the answer is not a JSON object: {error}") from error


def _bounded(parts: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > _MOST_BYTES:
            raise RecordError(f"the answer has more than {_MOST_BYTES:,} bytes")
        yield part


def _maps(value: object) -> list[Answer]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _details(answer: Answer) -> Answer:
    found = answer.get("dagRunDetails")
    if not isinstance(found, dict):
        raise RecordError("the answer is not that of a run")
    return found


def _left_out(listed: _Listed, reason: str, address: str) -> Finding:
    name = f"{listed.name}/{listed.run_id}"
    return Finding(kind="run", name=name, outcome="left_out", reason=reason, file=address)
