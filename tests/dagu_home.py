"""Homes of Dagu 1.x for tests, written file by file: only names, numbers and our own texts."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2031, 5, 1, 8, 0, 0, tzinfo=UTC)
SPEC = """\
params: A=1
steps:
  - name: one
    command: echo one
    output: OUT
  - name: two
    command: echo two
"""
BCRYPT = "$2a$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

Node = dict[str, Any]


def stamp(at: datetime) -> str:
    return at.strftime("%Y%m%d_%H%M%S")


def text(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str, status: int = 4, *, at: datetime | None = START, seconds: int = 1, **fields: Any) -> Node:
    """Make a node that ran for some seconds, with one command."""
    step = {"name": name, "commands": [{"command": "echo", "args": [name], "cmdWithArgs": f"echo {name}"}]}
    times = {"startedAt": text(at), "finishedAt": text(at and at + timedelta(seconds=seconds))}
    return {"step": step | fields.pop("step", {}), "stdout": "", "stderr": "", "status": status, **times, **fields}


def folder_of(name: str) -> str:
    """Return the folder of a DAG's runs; those of names with a dot are what Dagu 1.30.2 has made."""
    return {"named.inside": "named_inside-97b7"}.get(name, name)


def waiting_node(name: str) -> Node:
    return node(name, 0, at=None)


class DaguHome:
    """A home in a folder; each method adds files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("dags", "data", "logs", "suspend"):
            (path / name).mkdir(parents=True, exist_ok=True)

    def definition(self, name: str, spec: str = SPEC, *, suspended: bool = False) -> None:
        (self.path / "dags" / f"{name}.yaml").write_text(spec)
        if suspended:
            (self.path / "suspend" / f"{name}.suspend").touch()

    def user(self, name: str, role: str = "operator", **fields: Any) -> None:
        folder = self.path / "data" / "users"
        folder.mkdir(exist_ok=True)
        record = {"id": name, "username": name, "password_hash": BCRYPT, "role": role, **fields}
        (folder / f"{name}.json").write_text(json.dumps(record))

    def webhook(self, dag: str, token_hash: str, **fields: Any) -> Path:
        folder = self.path / "data" / "webhooks"
        folder.mkdir(exist_ok=True)
        record = {"id": f"w-{dag}", "dagName": dag, "tokenHash": token_hash, "tokenPrefix": "dagu_wh_", "enabled": True}
        path = folder / f"w-{dag}.json"
        path.write_text(json.dumps(record | {"createdAt": text(START), "createdBy": "ann"} | fields))
        return path

    def queue_item(self, queue: str, name: str, run_id: str) -> None:
        folder = self.path / "data" / "queue" / queue
        folder.mkdir(parents=True, exist_ok=True)
        record = {"fileName": "item.json", "dagRun": {"name": name, "id": run_id}, "queuedAt": text(START)}
        (folder / f"item_low_{stamp(START)}_000000000Z_{run_id}.json").write_text(json.dumps(record))

    def log(self, name: str, content: bytes) -> str:
        """Write a file of output, and return what a record calls it."""
        path = self.path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def run_folder(self, name: str, run_id: str, at: datetime = START) -> Path:
        day = self.path / "data" / "dag-runs" / folder_of(name) / "dag-runs" / at.strftime("%Y/%m/%d")
        return day / f"dag-run_{stamp(at)}Z_{run_id}"

    def run(self, name: str, run_id: str, *attempts: Mapping[str, Any], at: datetime = START, spec: str = SPEC) -> Path:
        """Write a run with its attempts, each a status; without any, one that succeeded."""
        folder = self.run_folder(name, run_id, at)
        for number, status in enumerate(attempts or [succeeded()]):
            self.attempt(folder, {"name": name, "dagRunId": run_id, **status}, at + timedelta(minutes=number), spec)
        return folder

    def sub_run(self, root: Path, run_id: str, status: Mapping[str, Any], *, spec: str = SPEC) -> Path:
        """Write a sub-run below the folder of its root run."""
        folder = root / "children" / f"child_{run_id}"
        self.attempt(folder, {"dagRunId": run_id, **status}, START, spec)
        return folder

    def attempt(self, folder: Path, status: Mapping[str, Any], at: datetime, spec: str) -> Path:
        name = status["name"]
        own = folder / f"attempt_{stamp(at)}_{at.microsecond // 1000:03}Z_{at.minute:06x}"
        own.mkdir(parents=True)
        (own / "status.jsonl").write_text(json.dumps(status) + "\n")
        snapshot = {
            "name": name,
            "location": str(self.path / "dags" / f"{name}.yaml"),
            "workingDir": str(self.path / "dags"),
            "env": ["HELLO=world"],
            "yamlData": base64.b64encode(spec.encode()).decode(),
        }
        (own / "dag.json").write_text(json.dumps(snapshot))
        return own


def succeeded(nodes: Sequence[Node] | None = None, *, at: datetime = START, **fields: Any) -> dict[str, Any]:
    """Make the status of an attempt that succeeded in some seconds, by default with the steps of ``SPEC``."""
    one = node("one", at=at, doneCount=1, outputVariables={"OUT": "OUT=one"})
    one["step"]["output"] = "OUT"
    found = [one, node("two", at=at + timedelta(seconds=1), doneCount=1)] if nodes is None else list(nodes)
    ends = {"startedAt": text(at), "finishedAt": text(at + timedelta(seconds=3))}
    return {"status": 4, "nodes": found, "params": "A=1", "paramsList": ["A=1"], **ends, **fields}
