"""Runs that are about to be accepted, without a server around them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import services
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.run_rows import (
    AttemptChange,
    NewApproval,
    NewAttemptRow,
    NewChunk,
    NewEvent,
    ReopenedRun,
    RunChange,
)
from dagbook.db.repositories.runs.run_writes import Fence, NewAttempt, NewRun, Transition
from dagbook.engine.admission import Admission
from dagbook.engine.status import RunStatus
from dagbook.identifiers import new_key
from dagbook.runs.model import ClaimedRun, RunInputs, RunRequest, StartOptions
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.server_context import HostEnvironment, ServerContext, ServerIdentity
from dagbook.runs.store import new_run as new_run_module
from dagbook.runs.store import row_mapping
from dagbook.spec.model import Pair
from dagbook.spec.reading.load import load
from dagbook.telemetry.metrics import RunMetrics

IDENTITY = ServerIdentity(
    id="me",
    kind="server",
    host="here",
    boot_id="this-boot",
    pid_namespace="1",
    pid=1,
    pid_started=1,
    address="http://localhost",
    version="0",
)
SPEC = "steps: [{name: a, command: 'true'}, {name: b, command: 'true'}]\n"


def now() -> datetime:
    return datetime.now(UTC)


def ground_of(directory: Path, identity: ServerIdentity = IDENTITY) -> ServerContext:
    return ServerContext(
        identity=identity,
        machine=HostEnvironment(environ={}, home="/", default_shell=("/bin/sh",)),
        spool=directory,
        work_dir=directory,
        base_config=directory / "base.yaml",
        log_limit=2**30,
        evaluation_limit_seconds=1,
        lease_seconds=10,
        detached_lease_seconds=900,
        orphan_grace_seconds=180,
        zone=UTC,
        now=now,
        encrypter=Encrypter("k" * 32, directory),
        metrics=RunMetrics(CollectorRegistry()),
    )


async def register(database: Database, identity: ServerIdentity = IDENTITY, **values: Any) -> None:
    """Make a server known to the database."""
    row = msgspec.structs.replace(identity.registered(now(), 10), **values)
    await database.write(lambda connection: services.add(connection, row))


def new_run(name: str = "", run_id: str = "r1", spec: str = SPEC, **start: Any) -> NewRun:
    dag_name = name or f"t{secrets.token_hex(4)}"
    definition = load(spec, name=dag_name).definition
    owned = ClaimedRun(
        key=new_key(),
        dag_name=dag_name,
        run_id=run_id,
        attempt=1,
        token=1,
        definition=definition,
        inputs=RunInputs(work_dir="/"),
        last_seq=1,
    )
    wanted = RunRequest(spec=spec, base="", file_name=None, start=StartOptions(run_id=run_id, **start))
    return new_run_module.new_run(wanted, owned, ground_of(Path("/")))


def told(run: NewRun, seq: int, *, token: int = 1, **fields: Any) -> Transition:
    """Make the transition that appends one event to a run."""
    event = NewEvent(run_id=run.key, seq=seq, attempt=1, at=now(), position=None, data=fields or {"n": seq})
    return Transition(fence=Fence(run.key, 1, token), events=[event])


def running(run: NewRun, *, started_at: datetime | None = None) -> RunChange:
    """Make the change of a run that starts."""
    return RunChange(id=run.key, status=RunStatus.RUNNING, started_at=started_at, finished_at=None, error=None)


def ended(run: NewRun, seq: int, *, attempt: int = 1) -> Transition:
    """Make the transition that ends a run as failed."""
    at = now()
    event = NewEvent(run_id=run.key, seq=seq, attempt=attempt, at=at, position=None, data={"status": 2})
    failed = RunStatus.FAILED
    return Transition(
        fence=Fence(run.key, attempt, 1),
        events=[event],
        run=RunChange(id=run.key, status=failed, started_at=None, finished_at=at, error="it failed"),
        attempt=AttemptChange(run_id=run.key, number=attempt, status=failed, state={}, closed_at=at),
    )


def again(run: NewRun, last_seq: int, *, previous: int = 1, admission: Admission = Admission.START) -> NewAttempt:
    """Make the next attempt of a run that was read when it had ``last_seq`` events."""
    context, number = now(), previous + 1
    return NewAttempt(
        key=run.key,
        dag_name=run.dag_name,
        run_id=run.run_id,
        previous=previous,
        last_seq=last_seq,
        queue=run.queue,
        max_active_runs=run.max_active_runs,
        admission=admission,
        run=ReopenedRun(
            id=run.key,
            status=RunStatus.NOT_STARTED,
            attempt=number,
            params=run.run.params,
            params_text=run.run.params_text,
            queued_at=None,
        ),
        attempt=NewAttemptRow(
            run_id=run.key,
            number=number,
            status=RunStatus.NOT_STARTED,
            owner=IDENTITY.id,
            token=1,
            host=IDENTITY.host_key,
            opened_at=context,
        ),
        inputs=msgspec.structs.replace(run.inputs, dotenv=[Pair("A", "again")], work_dir="/again"),
        nodes=[],
        events=[row_mapping.retried_event(run.key, context, seq=last_seq + 1, attempt=number, actor=None, step=None)],
    )


def asked(run: NewRun) -> Transition:
    """Make the transition in which the first step asks for an approval; it has no event."""
    approval = NewApproval(run_id=run.key, attempt=1, position=0, asked_at=now(), request={"prompt": ""})
    return Transition(fence=Fence(run.key, 1, 1), approvals=[approval])


def written(run: NewRun, seq: int) -> Transition:
    """Make the transition that stores one line of a step's stdout, its number, as a chunk."""
    text = f"{seq}\n"
    chunk = NewChunk(
        run_id=run.key,
        attempt=1,
        position=0,
        execution=1,
        stream=1,
        seq=seq,
        ordinal=seq,
        received_at=now(),
        first_line=seq + 1,
        line_count=1,
        byte_offset=seq * len(text),
        byte_count=len(text),
        text=text,
        packed=None,
    )
    return Transition(fence=Fence(run.key, 1, 1), chunks=[chunk])


def sequences(connection: ReadConnection, run: NewRun) -> list[int]:
    return [event.seq for event in runs.get_events(connection, run.key)]
