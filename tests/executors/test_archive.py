"""The archive executor (DAG format 4.9): what it packs, unpacks and lists, and how it tells what went wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import py7zr
import pytest

from dagbook.executors.archive import options, program
from dagbook.executors.archive.report import ArchiveError
from dagbook.executors.contract import ExecutionFiles, Outcome, SetupError
from dagbook.executors.process import process
from tests.executors.archives import CONTENT, CREATED, PACK, READ, Workplace, job_of, open_files, pack_honestly
from tests.waiting import until_written

BELOW = {"a.txt": "alpha\n", "link": "-> a.txt", "sub": "", "sub/b.txt": "beta\n", "void": "", "x.log": "log\n"}


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Workplace:
    return Workplace(tmp_path, capfd)


# -- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", CREATED)
def test_what_was_packed_is_unpacked_again(place: Workplace, ending: str) -> None:
    place.run("create", source="src", destination=f"out.{ending}")
    place.run("extract", source=f"out.{ending}", destination="back")
    assert place.tree("back/src") == BELOW


@pytest.mark.parametrize("ending", CREATED)
def test_modes_and_times_come_back(place: Workplace, ending: str) -> None:
    os.utime(place.folder / "src/a.txt", (1_000_000_000, 1_000_000_000))
    place.run("create", source="src", destination=f"out.{ending}")
    place.run("extract", source=f"out.{ending}", destination="back")
    found = (place.folder / "back/src/a.txt").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o750, 1_000_000_000)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_other_programs_read_what_was_packed(place: Workplace, ending: str) -> None:
    place.run("create", source="src", destination=f"out.{ending}")
    listed = subprocess.run(["tar", "tf", place.folder / f"out.{ending}"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [
        "src/",
        "src/a.txt",
        "src/link",
        "src/sub/",
        "src/sub/b.txt",
        "src/void/",
        "src/x.log",
    ]


@pytest.mark.parametrize("ending", READ)
def test_archives_of_other_programs_are_unpacked(place: Workplace, ending: str) -> None:
    honest = pack_honestly(place.folder, ending)
    place.run("extract", source=honest.name, destination="back")
    assert {name: text for name, text in place.tree("back").items() if text} == CONTENT


@pytest.mark.parametrize("codec", PACK)
def test_a_single_file_is_packed_listed_and_unpacked(place: Workplace, codec: str) -> None:
    place.run("create", source="src/a.txt", destination=f"a.txt.{codec}")
    listed = place.run("list", source=f"a.txt.{codec}")
    place.run("extract", source=f"a.txt.{codec}", destination="back")
    assert [(file["path"], file["size"]) for file in listed["files"]] == [("a.txt", 6)]
    assert place.tree("back") == {"a.txt": "alpha\n"}


@pytest.mark.parametrize("codec", PACK)
def test_streams_one_after_the_other_are_one_file(place: Workplace, codec: str) -> None:
    (place.folder / f"two.{codec}").write_bytes(PACK[codec](b"one\n") + PACK[codec](b"two\n"))
    place.run("extract", source=f"two.{codec}", destination="back")
    assert place.tree("back") == {"two": "one\ntwo\n"}


@pytest.mark.parametrize("ending", CREATED)
def test_large_files_go_through_in_pieces(place: Workplace, ending: str) -> None:
    data = os.urandom(700_000) + bytes(2_000_000)
    (place.folder / "src/large").write_bytes(data)
    place.run("create", source="src/large", destination=f"out.{ending}", verifyIntegrity=True)
    assert place.run("extract", source=f"out.{ending}", destination="back")["bytesExtracted"] == len(data)
    assert (place.folder / "back/large").read_bytes() == data


# -- what is reported ------------------------------------------------------------------------------------------------


def test_create_reports_what_it_added(place: Workplace) -> None:
    found = place.run("create", source="src", destination="out.zip")
    assert found.pop("duration").endswith("ms")
    assert list(found.items()) == [
        ("operation", "create"),
        ("source", f"{place.folder}/src"),
        ("destination", f"{place.folder}/out.zip"),
        ("filesAdded", 7),
        ("bytesArchived", 15),
        ("verifyPerformed", False),
    ]


@pytest.mark.parametrize("ending", READ)
def test_extract_reports_what_it_wrote(place: Workplace, ending: str) -> None:
    honest = pack_honestly(place.folder, ending)
    found = place.run("extract", source=honest.name, destination="back", exclude="**/*.log", verifyIntegrity=True)
    assert found.pop("duration").endswith("ms")
    assert list(found.items()) == [
        ("operation", "extract"),
        ("source", str(honest)),
        ("destination", f"{place.folder}/back"),
        ("filesExtracted", 2),
        ("bytesExtracted", 11),
        ("filesSkipped", 1),
        ("verifyPerformed", True),
    ]


@pytest.mark.parametrize("ending", READ)
def test_list_reports_the_entries_of_an_archive(place: Workplace, ending: str) -> None:
    for name in CONTENT:
        os.utime(place.folder / name, (1_000_000_000, 1_000_000_000))
    honest = pack_honestly(place.folder, ending)
    found = place.run("LIST", source=honest.name)
    assert list(found) == ["operation", "source", "totalFiles", "totalSize", "files", "verified", "duration"]
    assert (found["operation"], found["totalFiles"], found["totalSize"], found["verified"]) == ("list", 3, 15, False)
    assert found["files"][0] == {
        "path": "src/a.txt",
        "size": 6,
        "mode": "-rwxr-x---",
        "modTime": "2001-09-09T01:46:40Z",
        "isDir": False,
    }


def test_links_and_folders_are_listed_as_what_they_are(place: Workplace) -> None:
    place.run("create", source="src", destination="out.tar")
    files = {file["path"]: file for file in place.run("list", source="out.tar")["files"]}
    assert (files["src/link"]["mode"], files["src/link"]["isDir"]) == ("Lrwxrwxrwx", False)
    assert (files["src/void"]["mode"][0], files["src/void"]["isDir"]) == ("d", True)


def test_an_empty_list_is_one(place: Workplace) -> None:
    pack_honestly(place.folder, "tar")
    assert place.run("list", source="honest.tar", include=["nothing"])["files"] == []


@pytest.mark.parametrize("ending", READ)
def test_a_list_can_check_all_data(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    assert place.run("list", source=f"honest.{ending}", verifyIntegrity=True)["verified"]


def test_verbose_logs_every_entry_to_stderr(place: Workplace) -> None:
    place.run("create", source="src/a.txt", destination="out.tar", verbose=True)
    assert place.err == "added a.txt (6 bytes)\n"
    place.run("extract", source="out.tar", destination="back", verbose=True)
    assert place.err == "extracted a.txt (6 bytes)\n"


# -- what goes in ----------------------------------------------------------------------------------------------------


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def test_patterns_choose_what_is_packed(place: Workplace) -> None:
    found = place.run(
        "create", source="src", destination="out.tar", include=["**/*.txt", "**/*.log"], exclude="src/sub/**"
    )
    assert (names_in(place.folder / "out.tar"), found["filesAdded"]) == (["src/a.txt", "src/x.log"], 2)


def test_an_archive_does_not_take_itself_in(place: Workplace) -> None:
    for _ in range(2):
        found = place.run("create", source="src", destination="src/self.tar")
    assert found["filesAdded"] == 7


def test_the_current_folder_gives_its_content_without_a_name(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder / "src")
    program.carry_out(job_of("create", {"source": ".", "destination": "../out.tar"}))
    assert names_in(place.folder / "out.tar") == ["a.txt", "link", "sub", "sub/b.txt", "void", "x.log"]


def test_links_can_be_followed(place: Workplace) -> None:
    place.run("create", source="src", destination="out.tar", followSymlinks=True)
    place.run("extract", source="out.tar", destination="back")
    assert place.tree("back/src")["link"] == "alpha\n"


def test_a_cycle_of_followed_links_is_an_error(place: Workplace) -> None:
    (place.folder / "src/sub/up").symlink_to("..")
    code, error = place.fail("create", source="src", destination="out.tar", followSymlinks=True)
    assert (code, "sub/up is a link to a folder that it is in" in error) == (7, True)


def test_base_names_alone_can_be_packed(place: Workplace) -> None:
    place.run("create", source="src", destination="out.tar", preservePaths=False)
    assert names_in(place.folder / "out.tar") == ["a.txt", "link", "b.txt", "x.log"]


def test_base_names_must_not_meet(place: Workplace) -> None:
    (place.folder / "src/sub/a.txt").write_text("another")
    code, error = place.fail("create", source="src", destination="out.tar", preservePaths=False)
    assert (code, "two files would be named 'a.txt'" in error) == (7, True)


@pytest.mark.parametrize("ending", CREATED)
def test_a_pipe_is_not_packed(place: Workplace, ending: str) -> None:
    os.mkfifo(place.folder / "src/pipe")
    assert place.fail("create", source="src", destination=f"out.{ending}")[0] == 7
    found = place.run("create", source="src", destination=f"out.{ending}", continueOnError=True)
    assert (found["filesAdded"], len(found["errors"])) == (7, 1)


def test_hard_links_are_packed_once(place: Workplace) -> None:
    (place.folder / "src/second.txt").hardlink_to(place.folder / "src/a.txt")
    place.run("create", source="src", destination="out.tar")
    place.run("extract", source="out.tar", destination="back")
    assert (place.folder / "back/src/second.txt").samefile(place.folder / "back/src/a.txt")


@pytest.mark.parametrize(("ending", "level"), [("tar.gz", 0), ("tar.gz", 9), ("gz", 1), ("tar.bz2", 1), ("zip", 3)])
def test_a_level_can_be_chosen(place: Workplace, ending: str, level: int) -> None:
    place.run("create", source="src/a.txt", destination=f"out.{ending}", compressionLevel=level)
    assert place.run("list", source=f"out.{ending}", verifyIntegrity=True)["totalSize"] == 6


@pytest.mark.parametrize("year", [1970, 2200])
def test_times_that_zip_does_not_have_are_no_error(place: Workplace, year: int) -> None:
    seconds = (year - 1970) * 31_557_600
    os.utime(place.folder / "src/a.txt", (seconds, seconds))
    assert place.run("create", source="src", destination="out.zip")["filesAdded"] == 7


def test_an_existing_archive_is_replaced_by_a_complete_one_only(place: Workplace) -> None:
    (place.folder / "out.tar").write_text("the last one")
    os.mkfifo(place.folder / "src/pipe")
    place.fail("create", source="src", destination="out.tar")
    assert (place.folder / "out.tar").read_text() == "the last one"
    assert not list(place.folder.glob(".*"))


def test_the_folder_of_a_new_archive_is_made(place: Workplace) -> None:
    place.run("create", source="src", destination="deep/er/out.zip")
    assert zipfile.is_zipfile(place.folder / "deep/er/out.zip")


def test_a_dry_run_creates_nothing(place: Workplace) -> None:
    assert place.run("create", source="src", format="zip", dryRun=True)["filesAdded"] == 7
    assert [path.name for path in place.folder.iterdir()] == ["src"]


# -- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", READ)
def test_a_dry_run_extracts_nothing(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    found = place.run("extract", source=f"honest.{ending}", destination="back", dryRun=True)
    assert (found["filesExtracted"], found["bytesExtracted"]) == (3, 15)
    assert not (place.folder / "back").exists()


@pytest.mark.parametrize("ending", READ)
def test_leading_folders_can_be_stripped(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    found = place.run("extract", source=f"honest.{ending}", destination="back", stripComponents="2")
    assert (place.tree("back"), found["filesSkipped"]) == ({"b.txt": "beta\n"}, 2)


@pytest.mark.parametrize("ending", READ)
def test_base_names_alone_can_be_extracted(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    place.run("extract", source=f"honest.{ending}", destination="back", preservePaths="false")
    assert list(place.tree("back")) == ["a.txt", "b.txt", "x.log"]


@pytest.mark.parametrize("ending", READ)
def test_existing_files_are_not_overwritten(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    (place.folder / "back/src").mkdir(parents=True)
    (place.folder / "back/src/a.txt").write_text("mine")
    code, error = place.fail("extract", source=f"honest.{ending}", destination="back")
    assert (code, "back/src/a.txt exists already; set overwrite" in error) == (4, True)
    assert place.tree("back")["src/a.txt"] == "mine"


@pytest.mark.parametrize("ending", READ)
def test_existing_files_can_be_overwritten(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    for _ in range(2):
        place.run("extract", source=f"honest.{ending}", destination="back", overwrite=True)
    assert {name: text for name, text in place.tree("back").items() if text} == CONTENT


def test_links_can_be_overwritten(place: Workplace) -> None:
    (place.folder / "src/second.txt").hardlink_to(place.folder / "src/a.txt")
    place.run("create", source="src", destination="out.tar")
    for _ in range(2):
        place.run("extract", source="out.tar", destination="back", overwrite=True)
    assert place.tree("back/src") == {**BELOW, "second.txt": "alpha\n"}


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_is_never_replaced_by_a_file(place: Workplace, overwrite: bool) -> None:
    pack_honestly(place.folder, "tar")
    (place.folder / "back/src/a.txt").mkdir(parents=True)
    assert place.fail("extract", source="honest.tar", destination="back", overwrite=overwrite)[0] == 4


def test_a_file_is_never_replaced_by_a_folder(place: Workplace) -> None:
    pack_honestly(place.folder, "tar")
    (place.folder / "back").mkdir()
    (place.folder / "back/src").write_text("mine")
    assert place.fail("extract", source="honest.tar", destination="back", overwrite=True)[0] == 4
    assert place.tree("back") == {"src": "mine"}


@pytest.mark.parametrize("ending", READ)
def test_one_can_go_on_after_errors(place: Workplace, ending: str) -> None:
    pack_honestly(place.folder, ending)
    (place.folder / "back/src").mkdir(parents=True)
    (place.folder / "back/src/a.txt").write_text("mine")
    found = place.run("extract", source=f"honest.{ending}", destination="back", continueOnError=True)
    assert (found["filesExtracted"], len(found["errors"])) == (2, 1)
    assert "a.txt exists already" in found["errors"][0]
    assert "a.txt exists already" in place.err


def test_the_folder_to_extract_to_is_the_current_one(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_honestly(place.folder, "tar")
    (place.folder / "here").mkdir()
    monkeypatch.chdir(place.folder / "here")
    assert place.run("extract", source="honest.tar")["destination"] == "."
    assert place.tree("here")["src/a.txt"] == "alpha\n"


# -- passwords -------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret_7z(place: Workplace) -> str:
    with py7zr.SevenZipFile(place.folder / "secret.7z", "w", password="right") as archive:  # noqa: S106 - the test's own
        archive.write(place.folder / "src/a.txt", "a.txt")
    return "secret.7z"


def test_a_7z_archive_opens_with_its_password(place: Workplace, secret_7z: str) -> None:
    place.run("extract", source=secret_7z, destination="back", password="right")  # noqa: S106 - the test's own
    assert place.tree("back") == {"a.txt": "alpha\n"}


@pytest.mark.parametrize("password", ["", "wrong"])
def test_without_the_right_password_nothing_of_a_7z_archive_is_left(
    place: Workplace, secret_7z: str, password: str
) -> None:
    code, error = place.fail("extract", source=secret_7z, destination="back", password=password)
    assert (code, "password" in error, "wrong" in error) == (13, True, bool(password))
    assert place.tree("back") == {}


def test_an_encrypted_entry_of_a_zip_archive_needs_a_password(place: Workplace) -> None:
    pack_honestly(place.folder, "zip")
    data = bytearray((place.folder / "honest.zip").read_bytes())
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags_at] |= 1
    (place.folder / "honest.zip").write_bytes(data)
    assert place.fail("extract", source="honest.zip", destination="back")[0] == 13
    assert place.fail("extract", source="honest.zip", destination="back", password="x")[0] == 13  # noqa: S106 - wrong
    assert place.tree("back") == {"src": ""}


# -- errors by class -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "config", "code", "fault"),
    [
        ("extract", {"source": "none.tar"}, 3, "none.tar does not exist"),
        ("extract", {"source": "src"}, 3, "src is not a file"),
        ("extract", {"source": "src/a.txt/x"}, 3, "does not exist"),
        ("list", {"source": "src/a.txt"}, 5, "is not an archive of a known format"),
        ("list", {"source": "src/a.txt", "format": "tarball"}, 5, "there is no format 'tarball'; choose one of zip"),
        ("list", {"source": "src/a.txt", "format": "zip"}, 12, "damaged or cut off"),
        ("create", {"source": "none", "destination": "out.zip"}, 3, "none does not exist"),
        ("create", {"source": "src", "destination": "out.bin"}, 5, "cannot be derived from the destination"),
        ("create", {"source": "src", "destination": "out.7z"}, 5, "not created; choose zip or tar.gz"),
        ("create", {"source": "src", "destination": "out.rar"}, 5, "not created; choose zip or tar.gz"),
        ("create", {"source": "src", "destination": "out.gz"}, 7, "holds one file; choose tar.gz"),
        ("create", {"source": "src", "destination": "src", "format": "tar"}, 4, "src is a folder; name the archive"),
        ("create", {"source": "src", "destination": "src/a.txt/out.tar"}, 4, "src/a.txt, is not a folder"),
        ("create", {"source": "src", "destination": "o.bz2.tar.bz2", "compressionLevel": 0}, 2, "from 1 to 9"),
    ],
)
def test_an_error_has_the_exit_code_of_its_class(
    place: Workplace, operation: str, config: dict[str, Any], code: int, fault: str
) -> None:
    found, error = place.fail(operation, **config)
    assert (found, fault in error) == (code, True), error


@pytest.mark.parametrize("name", ["x.rar", "noname"])
def test_a_rar_archive_is_refused_with_advice(place: Workplace, name: str) -> None:
    (place.folder / name).write_bytes(b"Rar!\x1a\x07\x01\x00")
    assert place.fail("extract", source=name) == (
        5, "archive: rar archives cannot be read; unpack them in a command step, with unrar or bsdtar",
    )  # fmt: skip


def test_a_destination_that_is_a_file_is_an_error(place: Workplace) -> None:
    pack_honestly(place.folder, "tar")
    assert place.fail("extract", source="honest.tar", destination="src/a.txt")[0] == 4


def test_a_full_disk_is_reported_and_leaves_nothing_behind(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk of its own that is full would need a mount, and so root: the system's answer is given here."""
    pack_honestly(place.folder, "tar")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        code, error = place.fail("extract", source="honest.tar", destination="back", continueOnError=True)
    assert (code, "back/src/a.txt: no space left" in error) == (11, True)
    assert "src/a.txt" not in place.tree("back")


def test_a_missing_permission_is_reported(place: Workplace) -> None:
    config = {"source": str(place.folder / "src"), "destination": "/sys/out.tar"}  # not even root may write there
    with pytest.raises(ArchiveError) as caught:
        program.carry_out(job_of("create", config))
    assert caught.value.exit_code == 10


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({}, "archive: source: is missing"),
        ({"source": "x", "stripComponents": -1}, "archive: stripComponents: expected 0 or more"),
        ({"source": "x", "stripcomponents": "two"}, "archive: stripComponents: expected a whole number"),
        ({"source": "x", "compressionLevel": 10}, "archive: compressionLevel: expected 9 or less"),
        ({"source": "x", "include": ["["]}, "archive: include: the pattern '[' has a bracket without"),
        ({"source": "x", "exclude": {"a": 1}}, "archive: exclude: expected a list of texts"),
        ({"source": "x", "overwrite": "perhaps"}, "archive: overwrite: expected true or false"),
        ({"source": ["x"]}, "archive: source: expected a text"),
    ],
)
def test_a_wrong_config_names_the_key(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(SetupError) as caught:
        options.command(job_of("extract", config))
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("operation", "config", "fault"),
    [
        ("", {"source": "x"}, "the command has to be one of extract, create, list"),
        ("unpack", {"source": "x"}, "the command has to be one of extract, create, list; it is 'unpack'"),
        ("create", {"source": "x"}, "archive: destination: is missing"),
        ("create", {"source": "x", "destination": "y", "password": "hunter2"}, "archive: password: archives cannot be"),
    ],
)
def test_a_wrong_operation_is_refused_at_once(operation: str, config: dict[str, Any], fault: str) -> None:
    with pytest.raises(SetupError) as caught:
        options.command(job_of(operation, config))
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("ending", ["tar.zst", "tar.lz4", "7z"])
def test_a_missing_package_is_named_with_how_to_install_it(
    place: Workplace, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = pack_honestly(place.folder, ending)

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("dagbook.executors.archive.formats.import_module", missing)
    code, error = place.fail("list", source=honest.name)
    assert (code, "install it with: pip install 'dagbook[archive]'" in error) == (5, True)


def test_no_file_stays_open(place: Workplace) -> None:
    for ending in READ:
        pack_honestly(place.folder, ending)
    before = open_files()
    for ending in READ:
        place.run("extract", source=f"honest.{ending}", destination=f"back-{ending}")
        place.fail("extract", source=f"honest.{ending}", destination=f"back-{ending}")
    assert open_files() == before


# -- its process -----------------------------------------------------------------------------------------------------


def test_packages_are_imported_only_for_their_formats() -> None:
    code = (
        "import sys, dagbook.executors.archive.program; "
        "sys.exit(bool({'py7zr', 'zstandard', 'lz4'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_the_process_works_in_the_directory_of_the_run(place: Workplace, files: ExecutionFiles) -> None:
    job = job_of("create", {"source": "src", "destination": "out.tar"})
    command = options.command(msgspec.structs.replace(job, run_dir=place.folder, env=dict(os.environ)))
    assert await process.spawn(command, files).wait() == Outcome(exit_code=0)
    assert (place.folder / "out.tar").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
async def test_a_stopped_process_leaves_nothing_half_done(place: Workplace, files: ExecutionFiles, name: str) -> None:
    with (place.folder / "src/large").open("wb") as large:
        large.truncate(20 * 1024**3)  # holes: it takes a while to pack and no room
    job = job_of(
        "create", {"source": str(place.folder / "src"), "destination": str(place.folder / "o.tar.gz"), "verbose": True}
    )
    running = process.spawn(options.command(job), files)
    await until_written(files.stderr, "added src/a.txt")
    running.signal(name)
    assert (await running.wait()).exit_code == 14
    assert files.stderr.read_text().endswith("archive: stopped before it was done\n")
    assert [path.name for path in place.folder.glob("*o.tar*")] == []
