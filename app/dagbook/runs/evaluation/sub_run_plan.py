"""Plan of the sub-runs of a step: evaluated name, params and items, and the run ids made from them (runtime 20)."""

from __future__ import annotations

import asyncio
import re
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
from dagbook.spec.params.param_text import GivenParams

_SALT_BYTES = 8
_LONGEST_ITEMS = 1024 * 1024  # as of params
_QUICK = 8 * 1024  # characters that are split in a few milliseconds

Evaluate = Callable[[Sequence[str], Mapping[str, str]], Awaitable[list[str]]]  # texts, with extra variables
_LITERAL = re.compile(r"[^$`\\]*")
# An item that is a reference or a command alone is replaced by a text of params.
_ALONE = re.compile(r"\s*(?:\$\{[^}]*\}|\$\w+(?:\.\S+)?|`[^`]*`)\s*")


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


async def evaluate_calls(step: Step, evaluate: Evaluate) -> tuple[str, tuple[GivenParams, ...]]:
    """Evaluate the name of the called DAG and the params of each sub-run; raises SetupError and ExpansionError.

    Params are split into pairs before values are put in, so that no value becomes another param.
    """
    if step.call is None:
        raise SetupError(f"a step of type {step.executor.type!r} needs a 'call' that names the DAG to run")
    name = (await evaluate([step.call.name], {}))[0].strip()
    if not name:
        raise SetupError("call: the name of the DAG to call is empty")
    if step.parallel is None:
        return name, (GivenParams.of_pairs(await _evaluate_pairs(step.call.pairs, {}, evaluate)),)
    found = [item for item in await _evaluate_items(step.parallel, evaluate, step.call.pairs) if item.text]
    if not found:
        raise SetupError("parallel: there is no item; at least one is needed")
    if len(found) > param_text.MOST_ITEMS:
        raise SetupError(f"parallel: {len(found)} items are too many; the most is {param_text.MOST_ITEMS}")
    params = await _evaluate_params(step.call.pairs, found, evaluate)
    return name, tuple(dict.fromkeys(params))


async def _evaluate_pairs(pairs: Sequence[Pair], extra: Mapping[str, str], evaluate: Evaluate) -> tuple[Pair, ...]:
    if all(_LITERAL.fullmatch(text) for pair in pairs for text in (pair.name, pair.value)):
        return tuple(pairs)
    # Behind another character, so that a leading ~ is left to the called DAG.
    texts = await evaluate([f"={text}" for pair in pairs for text in (pair.name, pair.value)], extra)
    if "=" in texts[::2]:
        raise SetupError("params: the name of a param is empty")
    return tuple(Pair(name[1:], value[1:]) for name, value in zip(texts[::2], texts[1::2], strict=True))


async def _evaluate_params(
    pairs: Sequence[Pair], items: Sequence[GivenParams], evaluate: Evaluate
) -> list[GivenParams]:
    params, size = [], 0
    for item in items:
        evaluated = await _evaluate_pairs(pairs, {"ITEM": item.text}, evaluate) if pairs else ()
        params.append(GivenParams.of_pairs(evaluated) if pairs else item)
        size += len(params[-1].text)
        if size > MAX_CHARACTERS:
            raise SetupError(f"parallel: the params of all items together have more than {MAX_CHARACTERS} characters")
    return params


async def _evaluate_items(parallel: Parallel, evaluate: Evaluate, params: Sequence[Pair]) -> list[GivenParams]:
    if parallel.variable:
        [text] = await evaluate([parallel.variable], {})
        if len(text) > _LONGEST_ITEMS:
            raise SetupError(f"parallel: the text of the items has more than {_LONGEST_ITEMS} characters")
        items = await asyncio.to_thread(param_text.split, text) if len(text) > _QUICK else param_text.split(text)
        return [GivenParams(item) for item in items]
    found = []
    for item in parallel.items:
        if isinstance(item, str):
            found.append(await _evaluate_item(item, evaluate, is_params=not params))
        else:
            values = await evaluate([pair.value for pair in item], {})
            found.append(
                GivenParams(
                    param_text.map_text([Pair(pair.name, value) for pair, value in zip(item, values, strict=True)])
                )
            )
    return found


async def _evaluate_item(text: str, evaluate: Evaluate, *, is_params: bool) -> GivenParams:
    """Evaluate an item that is a text: as a whole, or as pairs where it is the params of its sub-run."""
    is_broken_json = text.lstrip().startswith(("{", "[")) and not param_text.is_json(text)  # without its values
    if not is_params or is_broken_json or _ALONE.fullmatch(text) or _LITERAL.fullmatch(text):
        return GivenParams((await evaluate([text], {}))[0])
    pairs = await _evaluate_pairs(param_text.tokenise(text), {}, evaluate)
    shown = param_text.quote(pairs, positions=False) if "`" in text else (await evaluate([text], {}))[0]
    return GivenParams.of_item(shown, pairs)


class SubRunCall(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one execution: run id and step of the caller, name as written, name of the DAG, params of each run."""

    parent: str
    step: str
    called: str
    dag_name: str
    params: Sequence[GivenParams]


def plan_calls(before: SubRunRecord | None, node: NodeState, calls: SubRunCall) -> SubRunRecord:
    """Assign the run ids of an execution: those of the last one if it is retried, new ones if it is repeated."""
    salt, earlier = "", tuple[SubRun, ...]()
    if before is not None and node.retry_count == before.retries:
        salt, earlier = secrets.token_hex(_SALT_BYTES), (*before.earlier, *before.current)
    elif before is not None:
        salt, earlier = before.salt, tuple(before.earlier)
    current = []
    for params in calls.params:
        run_id = sub_run_id(calls.parent, calls.step, params.text, salt)
        current.append(SubRun(id=run_id, name=calls.dag_name, params=params.text, pairs=params.pairs))
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
