"""The machine's load over time (api-behaviour op 46)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from dagbook.telemetry.metrics import MetricsPage, MetricValues
from dagbook.telemetry.resources import ResourceSampler, Sample, machine_now


def _at(*times: int) -> ResourceSampler:
    """Make a sampler that keeps ten seconds, at these times."""
    moments: Iterator[int] = iter(times)
    sampler = ResourceSampler(lambda: Sample(next(moments), 1, 2, 3, 4, 5), 5, 10)
    for _ in times:
        sampler.run_once()
    return sampler


def test_samples_are_told_oldest_first_from_an_instant_on() -> None:
    assert [sample.at for sample in _at(1, 6, 11).since(6)] == [6, 11]


def test_what_is_older_than_the_retention_is_forgotten() -> None:
    assert [sample.at for sample in _at(1, 6, 11, 16).since(0)] == [6, 11, 16]


def test_a_sample_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    sampler = ResourceSampler(lambda: machine_now(Path("/nowhere/at/all")), 5, 10)
    sampler.run_once()
    assert not sampler.since(0)
    assert "could not be read" in caplog.text


def test_a_look_at_the_machine_tells_percentages(tmp_path: Path) -> None:
    seen = machine_now(tmp_path)
    assert all(0 <= share <= 100 for share in (seen.cpu, seen.memory, seen.disk))
    assert seen.memory > 0
    assert seen.load >= 0


async def test_a_sampler_samples_at_once_and_stops_when_told() -> None:
    sampler = ResourceSampler(lambda: Sample(1, 1, 2, 3, 4, 5), 1000, 10)
    await sampler.stop()
    sampler.start()
    sampler.start()
    await sampler.stop()
    await sampler.stop()
    assert len(sampler.since(0)) == 1


def test_what_could_not_be_counted_has_no_series() -> None:
    page = MetricsPage(CollectorRegistry()).write(MetricValues(version="1", uptime_seconds=2.5)).decode()
    assert "dagu_uptime_seconds 2.5" in page
    assert "dagu_dag" not in page
    assert "scheduler" not in page
