"""Columns of runs with secrets: masked for readers, and a complete encrypted copy for the server that runs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dagbook.db.repositories.runs.runs import CompleteRun, NodeRow
from dagbook.engine import event
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store import row_mapping
from dagbook.runs.store.claimed_run import ClaimedRun, RunInputs
from dagbook.runs.store.row_mapping import NodeRecord, Row
from dagbook.spec.model import Pair
from dagbook.spec.params import param_text

_INPUT_COLUMNS = ("params", "env", "dotenv", "work_dir", "keep_dir", "source_directory", "base_environment")
_CALLS = ("current", "earlier")


class _NodeSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Encrypted part of a node."""

    output_value: str | None = None
    sub_runs: dict[str, Any] | None = None
    hidden: tuple[str, ...] = ()


# -- inputs ----------------------------------------------------------------------------------------------------------


def input_row(run: ClaimedRun, encrypter: Encrypter) -> Row:
    """Make the columns of the inputs of a run; raises EncryptionError."""
    inputs = run.inputs
    if not inputs.to_hide:
        return _columns(inputs, None)
    encrypted = encrypter.encrypt(msgspec.json.encode(inputs), _inputs_context(run.key))
    return _columns(mask_inputs(inputs, run.masker), encrypted)


def params_row(run: ClaimedRun) -> Row:
    """Make the columns of the masked params of a run."""
    masked = mask_inputs(run.inputs, run.masker)
    return {"params": masked.params, "params_text": param_text.format_pairs(masked.params)}


def mask_inputs(inputs: RunInputs, masker: Masker) -> RunInputs:
    """Mask secret values in the inputs of a run."""
    if not masker:
        return inputs
    base = inputs.base_environment
    return msgspec.structs.replace(
        inputs,
        params=_mask_pairs(inputs.params, masker),
        env=_mask_pairs(inputs.env, masker),
        dotenv=_mask_pairs(inputs.dotenv, masker),
        work_dir=masker.mask(inputs.work_dir),
        source_directory=masker.mask(inputs.source_directory) if inputs.source_directory else None,
        base_environment={name: masker.mask(value) for name, value in base.items()} if base is not None else None,
    )


def read_inputs(row: CompleteRun, encrypter: Encrypter) -> RunInputs:
    """Read the inputs of a run from its row; raises EncryptionError."""
    if row.sealed is not None:
        return msgspec.json.decode(encrypter.decrypt(row.sealed, _inputs_context(row.id)), type=RunInputs)
    return msgspec.convert({name: getattr(row, name) for name in _INPUT_COLUMNS}, type=RunInputs)


def _columns(masked: RunInputs, encrypted: bytes | None) -> Row:
    return {**{name: getattr(masked, name) for name in _INPUT_COLUMNS}, "sealed": encrypted}


def _inputs_context(run: int) -> str:
    return f"inputs/{run}"


def _mask_pairs(pairs: Iterable[Pair], masker: Masker) -> tuple[Pair, ...]:
    return tuple(Pair(pair.name, masker.mask(pair.value)) for pair in pairs)


# -- nodes -----------------------------------------------------------------------------------------------------------


def redact_node(row: Row, hidden: tuple[str, ...], masker: Masker, encrypter: Encrypter) -> Row:
    """Mask secret values in the row of a node, and encrypt the originals for its runner; raises EncryptionError."""
    masked = {
        **row,
        "output_value": _mask_tree(row["output_value"], masker),
        "shown": _mask_tree(row["shown"], masker),
        "sub_runs": _mask_calls(row["sub_runs"], masker),
    }
    originals = _NodeSecrets(
        output_value=row["output_value"] if masked["output_value"] != row["output_value"] else None,
        sub_runs=row["sub_runs"] if masked["sub_runs"] != row["sub_runs"] else None,
        hidden=hidden,
    )
    if originals != _NodeSecrets():
        masked["output_sealed"] = encrypter.encrypt(
            msgspec.json.encode(originals), _node_context(row["run_id"], row["position"])
        )
    return masked


def read_record(row: NodeRow, encrypter: Encrypter) -> NodeRecord:
    """Read the record of a node from its row, decrypted; raises EncryptionError."""
    records = row_mapping.node_record(row)
    if row.output_sealed is None:
        return records
    originals = msgspec.json.decode(
        encrypter.decrypt(row.output_sealed, _node_context(row.run_id, row.position)), type=_NodeSecrets
    )
    return msgspec.structs.replace(
        records,
        output_value=records.output_value if originals.output_value is None else originals.output_value,
        sub_runs=records.sub_runs if originals.sub_runs is None else originals.sub_runs,
        hidden=originals.hidden,
    )


def _node_context(run: int, position: int) -> str:
    return f"node/{run}/{position}"


def _mask_tree(value: Any, masker: Masker) -> Any:
    match value:
        case str():
            return masker.mask(value)
        case dict():
            return {key: _mask_tree(below, masker) for key, below in value.items()}
        case list():
            return [_mask_tree(below, masker) for below in value]
    return value


def _mask_calls(record: dict[str, Any] | None, masker: Masker) -> dict[str, Any] | None:
    """Mask secret values in the params of sub-runs; their ids and names have to stay unchanged."""
    if record is None:
        return None
    masked = dict(record)
    for group in _CALLS:
        if group in record:
            masked[group] = [
                call | {"params": masker.mask(call["params"])} if call.get("params") else call for call in record[group]
            ]
    return masked


# -- events ----------------------------------------------------------------------------------------------------------


def redact_event(posted: event.Event, masker: Masker) -> event.Event:
    """Mask secret values in the texts of an event, before they become part of state, history and log."""
    match posted:
        case event.StepExited():
            return msgspec.structs.replace(posted, error=masker.mask(posted.error))
        case event.ConditionsChecked():
            errors = tuple(map(masker.mask, posted.errors))
            return msgspec.structs.replace(posted, errors=errors, problem=masker.mask(posted.problem))
    return posted
