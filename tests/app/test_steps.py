"""What a definition's steps do when it is run: order, failure, outputs."""

from __future__ import annotations

from tests.app.dagbook import Dagbook


async def test_steps_of_a_chain_run_one_after_another(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - name: a\n    command: echo one\n  - name: b\n    command: echo two\n")
    assert (ended.status, ended.statuses) == ("succeeded", ["succeeded", "succeeded"])
    assert await ended.log("a") == "one"
    assert ended.nodes["b"]["step"]["depends"] == ["a"]
