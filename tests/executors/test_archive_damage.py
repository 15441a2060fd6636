"""Damaged archives: cut off or with bytes turned, they fail with one sentence, class 12 and nothing half written."""

from __future__ import annotations

import json
import lzma
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from dagbook.executors.archive import options
from dagbook.executors.archive.program import carry_out
from dagbook.executors.archive.report import ArchiveError
from dagbook.executors.contract import Command
from dagbook.unix.descriptors import memory_file
from tests.executors.archives import CONTENT, PACK, READ, Workplace, job_of, pack_honestly, write_zeros

_LARGE_BYTES = 80 * 1024**2
_DATA_BYTES = 70 * 1024**2  # of private memory, what the interpreter itself takes included


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Workplace:
    return Workplace(tmp_path, capfd)


def pack_single(place: Workplace, codec: str) -> Path:
    path = place.folder / f"single.txt.{codec}"
    data = random.Random(1).randbytes(5_000)  # noqa: S311 - data that do not shrink
    path.write_bytes(PACK[codec](data))
    return path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ending", [ending for ending in READ if ending != "tar"])
def test_an_archive_that_was_cut_off_is_damaged(place: Workplace, ending: str, share: float) -> None:
    honest = pack_honestly(place.folder, ending)
    data = honest.read_bytes()
    honest.write_bytes(data[: int(len(data) * share)])
    for operation in ("extract", "list"):
        code, error = place.fail(operation, source=honest.name, destination=f"back-{operation}", verifyIntegrity=True)
        assert (code, "empty" in error or "damaged or cut off" in error) == (12, True), error


@pytest.mark.parametrize("size", [100, 600, 1024 + 3, 2048 + 100])
def test_a_plain_tar_archive_that_was_cut_off_is_damaged(place: Workplace, size: int) -> None:
    honest = pack_honestly(place.folder, "tar")
    honest.write_bytes(honest.read_bytes()[:size])
    assert place.fail("extract", source="honest.tar", destination="back")[0] == 12


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("codec", PACK)
def test_a_single_file_that_was_cut_off_is_damaged_and_not_left(place: Workplace, codec: str, share: float) -> None:
    packed = pack_single(place, codec)
    data = packed.read_bytes()
    packed.write_bytes(data[: int(len(data) * share)])
    assert place.fail("extract", source=packed.name, destination="back")[0] == 12
    assert not list((place.folder / "back").glob("*"))


@pytest.mark.parametrize("ending", [*READ, *PACK])
def test_turned_bytes_lead_to_an_error_with_a_class_or_do_no_harm(place: Workplace, ending: str) -> None:
    honest = pack_single(place, ending) if ending in PACK else pack_honestly(place.folder, ending)
    data = honest.read_bytes()
    chance = random.Random(ending)  # noqa: S311 - the same for every run
    for round_number in range(60):
        broken = bytearray(data)
        for _ in range(chance.choice([1, 1, 3])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        honest.write_bytes(broken)
        back = place.folder / f"back{round_number}"
        try:
            carry_out(job_of("extract", {"source": str(honest), "destination": str(back)}))
        except ArchiveError as error:
            assert error.exit_code in {4, 5, 6, 9, 12, 13}, str(error)  # noqa: PT017 - whether it fails is up to chance
        shutil.rmtree(back, ignore_errors=True)
    assert not {path.name for path in place.folder.iterdir()} - {"src", honest.name}


def test_a_damaged_entry_of_a_zip_archive_need_not_end_the_step(place: Workplace) -> None:
    honest = pack_honestly(place.folder, "zip")
    data = honest.read_bytes()
    at = data.index(b"src/sub/b.txt") + len("src/sub/b.txt")
    honest.write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    assert place.fail("extract", source="honest.zip", destination="back")[0] == 12
    found = place.run("extract", source="honest.zip", destination="back2", continueOnError=True)
    assert (found["filesExtracted"], len(found["errors"])) == (2, 1)
    left = {name: text for name, text in place.tree("back2").items() if text}
    assert left == {name: text for name, text in CONTENT.items() if "b.txt" not in name}


def test_an_archive_is_verified_before_anything_is_written(place: Workplace) -> None:
    honest = pack_honestly(place.folder, "tar.gz")
    honest.write_bytes(honest.read_bytes()[:-4])
    assert place.fail("extract", source="honest.tar.gz", destination="back", verifyIntegrity=True)[0] == 12
    assert not (place.folder / "back").exists()


def test_a_checksum_at_the_very_end_counts(place: Workplace) -> None:
    honest = pack_honestly(place.folder, "tar.gz")
    data = honest.read_bytes()
    honest.write_bytes(data[:-6] + b"\x00\x00" + data[-4:])
    assert place.fail("extract", source="honest.tar.gz", destination="back")[0] == 12


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(place: Workplace) -> None:
    honest = pack_honestly(place.folder, "tar")
    data = bytearray(honest.read_bytes())
    data[1024 + 150] ^= 0xFF  # in the checksum of the second header
    honest.write_bytes(data)
    assert place.fail("extract", source="honest.tar", destination="back")[0] == 12


@pytest.mark.parametrize("codec", PACK)
def test_what_is_packed_carries_a_checksum(place: Workplace, codec: str) -> None:
    (place.folder / "src/random").write_bytes(random.Random(1).randbytes(5_000))  # noqa: S311 - data that do not shrink
    place.run("create", source="src/random", destination=f"x.{codec}")
    packed = place.folder / f"x.{codec}"
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0x10
    packed.write_bytes(data)
    assert place.fail("list", source=packed.name)[0] == 12


def _run_limited(command: Command, data_bytes: int) -> subprocess.CompletedProcess[str]:
    job = memory_file(command.job)
    argv = ["prlimit", f"--data={data_bytes}", *command.argv, str(job)]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, pass_fds=[job])
    finally:
        os.close(job)


@pytest.mark.parametrize("ending", [*PACK, "tar.zst", "zip", "7z"])
def test_a_little_that_stands_for_much_is_read_in_bounded_memory(tmp_path: Path, ending: str) -> None:
    packed = tmp_path / f"large.{ending}"
    write_zeros(packed, _LARGE_BYTES)
    job = job_of("list", {"source": str(packed), "verifyIntegrity": True})
    done = _run_limited(options.command(job), _DATA_BYTES)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["totalSize"] >= _LARGE_BYTES


def test_a_dictionary_beyond_all_memory_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "large.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 26}]
    packed.write_bytes(lzma.compress(bytes(1_000_000), filters=filters))
    done = _run_limited(options.command(job_of("list", {"source": str(packed)})), 70_000_000)
    assert (done.returncode, done.stderr.count("\n")) == (9, 1)
