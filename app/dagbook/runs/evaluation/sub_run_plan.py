"""Plan of the sub-runs of a step: evaluated name, params and items, and the run ids made from them (runtime 20)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from dagbook.engine.state import NodeState
from dagbook.executors.calls import SubRun
from dagbook.executors.contract import SetupError
from dagbook.identifiers import sub_run_id
from dagbook.spec.expansion.requests import MAX_CHARACTERS
from dagbook.spec.model import Pair, Parallel, Step
from dagbook.spec.params import param_text

_SALT_BYTES = 8
_LONGEST_ITEMS = 1024 * 1024  # as of params
_QUICK = 8 * 1024  # characters that are split in a few milliseconds

Evaluate = Callable[[str, Mapping[str, str]], Awaitable[str]]  # a text, with extra variables


class SubRunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Stored calls of a node: ``current`` belong to ``execution``, ``earlier`` to the executions before.

    A retry calls the same runs again, with the same salt; a repetition calls new ones.
    """

    execution: int
    called: str
    retries: int = 0
    salt: str = ""
    current: Sequence[SubRun] = ()
    earlier: Sequence[SubRun] = ()


def read_record(stored: object) -> SubRunRecord | None:
    """Decode the stored calls of a node; None if there are none."""
    return None if stored is None else msgspec.convert(stored, type=SubRunRecord)


async def evaluate_calls(step: Step, evaluate: Evaluate) -> tuple[str, tuple[str, ...]]:
    """Evaluate the name of the called DAG and the params of each sub-run; raises SetupError and ExpansionError."""
    if step.call is None:
        raise SetupError(f"a step of type {step.executor.type!r} needs a 'call' that names the DAG to run")
    name = (await evaluate(step.call.name, {})).strip()
    if not name:
        raise SetupError("call: the name of the DAG to call is empty")
    if step.parallel is None:
        return name, (await evaluate(step.call.params, {}),)
    found = [item for item in await _evaluate_items(step.parallel, evaluate) if item]
    if not found:
        raise SetupError("parallel: there is no item; at least one is needed")
    if len(found) > param_text.MOST_ITEMS:
        raise SetupError(f"parallel: {len(found)} items are too many; the most is {param_text.MOST_ITEMS}")
    params = await _evaluate_params(step.call.params, found, evaluate)
    return name, tuple(dict.fromkeys(params))


async def _evaluate_params(text: str, items: Sequence[str], evaluate: Evaluate) -> list[str]:
    params, size = [], 0
    for item in items:
        params.append(await evaluate(text, {"ITEM": item}) if text else item)
        size += len(params[-1])
        if size > MAX_CHARACTERS:
            raise SetupError(f"parallel: the params of all items together have more than {MAX_CHARACTERS} characters")
    return params


async def _evaluate_items(parallel: Parallel, evaluate: Evaluate) -> list[str]:
    if parallel.variable:
        text = await evaluate(parallel.variable, {})
        if len(text) > _LONGEST_ITEMS:
            raise SetupError(f"parallel: the text of the items has more than {_LONGEST_ITEMS} characters")
        return await asyncio.to_thread(param_text.split, text) if len(text) > _QUICK else param_text.split(text)
    found = []
    for item in parallel.items:
        if isinstance(item, str):
            found.append(await evaluate(item, {}))
        else:
            found.append(param_text.map_text([Pair(pair.name, await evaluate(pair.value, {})) for pair in item]))
    return found


class SubRunCall(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one execution: run id and step of the caller, name as written, name of the DAG, params of each run."""

    parent: str
    step: str
    called: str
    dag_name: str
    params: Sequence[str]


def plan_calls(before: SubRunRecord | None, node: NodeState, calls: SubRunCall) -> SubRunRecord:
    """Assign the run ids of an execution: those of the last one if it is retried, new ones if it is repeated."""
    salt, earlier = "", tuple[SubRun, ...]()
    if before is not None and node.retry_count == before.retries:
        salt, earlier = secrets.token_hex(_SALT_BYTES), (*before.earlier, *before.current)
    elif before is not None:
        salt, earlier = before.salt, tuple(before.earlier)
    current = []
    for params in calls.params:
        run_id = sub_run_id(calls.parent, calls.step, params, salt)
        current.append(SubRun(id=run_id, name=calls.dag_name, params=params))
    return SubRunRecord(
        execution=node.execution,
        called=calls.called,
        retries=node.retry_count,
        salt=salt,
        current=current,
        earlier=earlier,
    )


def with_retries(record: SubRunRecord, attempts: Mapping[str, int]) -> SubRunRecord:
    """Set the next attempt number of the sub-runs that exist already (``attempts``, by run id)."""
    current = [
        msgspec.structs.replace(run, attempt=attempts[run.id] + 1) if run.id in attempts else run
        for run in record.current
    ]
    return msgspec.structs.replace(record, current=current)
