"""What a stranger sends is text: no command in it runs, in any place that takes values (S13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_hostile_data import BELOW, PAYLOADS, PLACES
from tests.app.trigger_scene import trigger_scene
from tests.selection import Share

SOURCES = ("P", "H", "WEBHOOK_PAYLOAD")  # of a value: a param from the body, one from a header, the body itself


def _dag(tmp_path: Path, *names: str) -> str:
    """Return a DAG with a step for each place and name."""
    steps: list[dict[str, Any]] = []
    for name in names:
        for place in PLACES.values():
            text = json.dumps({**place, "continueOn": {"failure": True}})
            steps.append(json.loads(text.replace("${P}", f"${{{name}}}").replace("seen", f"seen{len(steps)}")))
    return f"{json.dumps({'workingDir': str(tmp_path), 'steps': steps})}\n---\n{json.dumps(BELOW)}"


@pytest.mark.timeout(600)  # some thousand steps in a full run
async def test_no_command_in_an_event_runs(database_url: str, tmp_path: Path, share: Share) -> None:
    hit, work = tmp_path / "hit", tmp_path / "work"
    work.mkdir()
    async with trigger_scene(database_url, tmp_path / "home") as scene:
        await scene.dag("mapped", _dag(work, "P", "H"))
        await scene.dag("whole", _dag(work, "WEBHOOK_PAYLOAD"))
        await scene.trigger("mapped", dag="mapped", params={"P": "json:/p", "H": "header:X-H"})
        await scene.trigger("whole", dag="whole")
        for payload in share.of(PAYLOADS):
            value = payload.format(hit=hit)
            mapped = await scene.accepted({"p": value}, "mapped", X_H=value.replace("\n", " "))
            whole = await scene.accepted(value.encode(), "whole")
            await scene.finished(mapped, "mapped")
            await scene.finished(whole, "whole")
            # The first place is the quoted reference in a command: it gives the value itself.
            assert (work / f"seen{len(PLACES)}").read_text() == value.replace("\n", " ")
    assert not hit.exists()
