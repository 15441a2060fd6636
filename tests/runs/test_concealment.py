"""Rows of a run with secrets: masked to read, whole for who drives it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagbook.db.repositories.runs.runs import CompleteRun, NodeRow
from dagbook.engine import event
from dagbook.engine.state import NodeState
from dagbook.runs.model import ClaimedRun, RunInputs
from dagbook.runs.secrets.encryption import Encrypter, EncryptionError
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store import row_mapping
from dagbook.runs.store.row_mapping import NodeRecord, input_row, read_inputs, read_record, redact_event, redact_node
from dagbook.spec.model import Pair
from dagbook.spec.reading.load import load
from tests.runs.rows import columns_of, row_of

pytestmark = pytest.mark.always

SEALER = Encrypter("k" * 32, Path("/nonexistent"))
MASKER = Masker(["hunter2"])
MASK = "*******"
INPUTS = RunInputs(
    params=(Pair("P", "hunter2"),),
    env=(Pair("E", "x hunter2"),),
    dotenv=(Pair("D", "hunter2 y"),),
    work_dir="/srv/hunter2",
    base_environment={"B": "hunter2"},
    secrets=(Pair("S", "hunter2"),),
    hidden=("older",),
)


def run_of(inputs: RunInputs) -> ClaimedRun:
    definition = load("steps: [{command: echo}]\n", name="flow").definition
    return ClaimedRun(
        key=7,
        dag_name="flow",
        run_id="r1",
        attempt=1,
        token=1,
        definition=definition,
        inputs=inputs,
        masker=Masker(inputs.to_hide),
    )


def stored_inputs(inputs: RunInputs) -> dict[str, Any]:
    return {"id": 7, **columns_of(input_row(run_of(inputs), SEALER))}


def node_of(records: NodeRecord) -> dict[str, Any]:
    change = row_mapping.node_change(7, 1, 0, NodeState(), records)
    return columns_of(redact_node(change, records.hidden, MASKER, SEALER))


def test_inputs_are_read_as_they_were_written() -> None:
    assert read_inputs(row_of(CompleteRun, stored_inputs(INPUTS)), SEALER) == INPUTS


def test_inputs_show_no_secret() -> None:
    row = stored_inputs(INPUTS)
    assert "hunter2" not in repr(row)
    assert row["env"] == [["E", f"x {MASK}"]]


def test_values_of_dotenv_files_are_only_stored_sealed() -> None:
    inputs = RunInputs(
        dotenv=(Pair("D", "dotted"),),
        work_dir="/srv",
        base_environment={"B": "base", "C": "called"},
        base_sealed=("C",),
    )
    row = stored_inputs(inputs)
    assert (row["dotenv"], row["base_environment"]) == ([["D", MASK]], {"B": "base", "C": MASK})
    assert not any(value in repr(row) for value in ("dotted", "called"))
    assert read_inputs(row_of(CompleteRun, row), SEALER) == inputs


def test_what_a_server_masks_in_every_run_is_sealed_where_it_is_in_the_inputs() -> None:
    run = run_of(RunInputs(env=(Pair("E", "hunter22"),), work_dir="/srv"))
    run = msgspec.structs.replace(run, masker=Masker((), ["hunter22"]))
    row = {"id": 7, **columns_of(input_row(run, SEALER))}
    assert row["env"] == [["E", MASK]]
    assert read_inputs(row_of(CompleteRun, row), SEALER) == run.inputs


def test_inputs_without_secrets_are_stored_as_they_are() -> None:
    inputs = RunInputs(params=(Pair("P", "1"),), work_dir="/srv")
    row = stored_inputs(inputs)
    assert (row["sealed"], row["params"], read_inputs(row_of(CompleteRun, row), SEALER)) == (None, [["P", "1"]], inputs)


@pytest.mark.parametrize("value", ["", "\n"])
def test_a_secret_that_nothing_has_to_hide_is_kept_all_the_same(value: str) -> None:
    inputs = RunInputs(work_dir="/", secrets=(Pair("S", value),))
    assert read_inputs(row_of(CompleteRun, stored_inputs(inputs)), SEALER) == inputs


def test_inputs_of_another_run_cannot_be_put_in_their_place() -> None:
    with pytest.raises(EncryptionError, match="does not belong"):
        read_inputs(row_of(CompleteRun, stored_inputs(INPUTS) | {"id": 8}), SEALER)


CALLS: dict[str, Any] = {
    "execution": 1,
    "called": "kid",
    "current": [{"id": "c1", "name": "kid", "params": 'P="hunter2"'}, {"id": "c2", "name": "kid"}],
}


def test_a_node_is_read_as_it_was_written() -> None:
    records = NodeRecord(output_name="O", output_value="is hunter2", sub_runs=CALLS, hidden=("learnt",))
    assert read_record(row_of(NodeRow, node_of(records)), SEALER) == records


def test_a_node_shows_no_secret() -> None:
    shown = {"command": "hunter2", "args": ["x", "hunter2"]}
    row = node_of(NodeRecord(output_name="O", output_value="is hunter2", sub_runs=CALLS, shown=shown))
    assert "hunter2" not in repr(row)
    assert row["shown"] == {"command": MASK, "args": ["x", MASK]}
    assert row["sub_runs"]["current"] == [{"id": "c1", "name": "kid", "params": f'P="{MASK}"'}, CALLS["current"][1]]


def test_a_node_without_a_secret_in_it_is_not_sealed() -> None:
    records = NodeRecord(output_name="O", output_value="fine", shown={"command": "echo", "args": []})
    row = node_of(records)
    assert (row["output_sealed"], read_record(row_of(NodeRow, row), SEALER)) == (None, records)


@pytest.mark.parametrize(
    ("fact", "field", "shown"),
    [
        (event.StepExited(key=0, execution=1, exit_code=1, error="x hunter2"), "error", f"x {MASK}"),
        (event.ConditionsChecked(key=0, errors=("", "hunter2")), "errors", ("", MASK)),
        (event.ConditionsChecked(key=0, errors=(), problem="hunter2"), "problem", MASK),
    ],
)
def test_the_texts_of_an_event_are_masked(fact: event.Event, field: str, shown: object) -> None:
    assert getattr(redact_event(fact, MASKER), field) == shown
