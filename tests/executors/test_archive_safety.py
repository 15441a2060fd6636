"""Hostile archives: nothing is ever written outside the destination, in no format and by no detour."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from dagbook.executors.archive import extract
from dagbook.executors.archive.entries import Entry, Kind
from dagbook.executors.archive.report import ArchiveError
from dagbook.executors.archive.tree import Tree, check_target
from tests.executors.archives import READ, TARS, Hostile, Workplace, open_files, write

pytestmark = pytest.mark.always

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
LINKING = [*TARS, "zip", "7z"]  # formats that know symbolic links


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Workplace:
    return Workplace(tmp_path, capfd)


def assert_refused(place: Workplace, name: str, *, left: dict[str, str] | None = None) -> str:
    """Extract an archive that is refused, and make sure that nothing around its destination has changed."""
    before = {name: text for name, text in place.tree(".").items() if not name.startswith("back")}
    code, error = place.fail("extract", source=name, destination="back", overwrite=True)
    after = {name: text for name, text in place.tree(".").items() if not name.startswith("back")}
    assert (code, after) == (12, before), error
    assert place.tree("back") == (left or {})
    return error


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("name", ["../evil", "../../evil", "a/../../evil", "a/../b"])
def test_an_entry_that_climbs_is_refused(place: Workplace, ending: str, name: str) -> None:
    write(place.folder / f"x.{ending}", Hostile(name))
    assert "outside the destination" in assert_refused(place, f"x.{ending}")


@pytest.mark.parametrize("ending", [*TARS, "zip"])
def test_an_absolute_entry_lands_inside(place: Workplace, ending: str) -> None:
    write(place.folder / f"x.{ending}", Hostile(f"/{place.folder}/evil"))
    place.run("extract", source=f"x.{ending}", destination="back")
    assert not (place.folder / "evil").exists()
    assert (place.folder / f"back/{place.folder}/evil").read_text() == "evil"


@pytest.mark.parametrize("ending", READ)
def test_a_climbing_entry_is_refused_even_in_a_dry_run(place: Workplace, ending: str) -> None:
    write(place.folder / f"x.{ending}", Hostile("../evil"))
    assert place.fail("extract", source=f"x.{ending}", destination="back", dryRun=True)[0] == 12


@pytest.mark.parametrize("ending", [*TARS, "zip"])
def test_going_on_after_errors_leaves_hostile_entries_out(place: Workplace, ending: str) -> None:
    write(
        place.folder / f"x.{ending}",
        Hostile("../evil"),
        Hostile("up", LINK, "/etc"),
        Hostile("up/evil"),
        Hostile("good"),
    )
    found = place.run("extract", source=f"x.{ending}", destination="back", continueOnError=True)
    assert len(found["errors"]) == 2
    assert place.tree("back") == {"good": "evil", "up": "", "up/evil": "evil"}
    assert not (place.folder / "evil").exists()


def test_backslashes_are_letters_like_any_other(place: Workplace) -> None:
    write(place.folder / "x.zip", Hostile("..\\evil"))
    place.run("extract", source="x.zip", destination="back")
    assert list(place.tree("back")) == ["..\\evil"]


def test_stripping_makes_no_climbing_entry_harmless(place: Workplace) -> None:
    write(place.folder / "x.tar", Hostile("../evil"))
    for options in ({"stripComponents": 1}, {"preservePaths": False}, {"exclude": ["**"]}):
        assert place.fail("extract", source="x.tar", destination="back", **options)[0] == 12


# -- symbolic links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", LINKING)
@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../..", "../other", "./../other", "a/../../other"])
def test_a_link_that_leads_out_is_refused(place: Workplace, ending: str, target: str) -> None:
    write(place.folder / f"x.{ending}", Hostile("link", LINK, target))
    assert "may lead outside the destination" in assert_refused(place, f"x.{ending}")


@pytest.mark.parametrize("ending", LINKING)
def test_nothing_is_written_through_a_link(place: Workplace, ending: str) -> None:
    (place.folder / "back").mkdir()
    (place.folder / "back/out").symlink_to("../src")
    write(place.folder / f"x.{ending}", Hostile("out/evil"))
    error = assert_refused(place, f"x.{ending}", left={"out": "-> ../src"})
    assert "leads through out, which is a symbolic link" in error


@pytest.mark.parametrize("ending", TARS)
def test_links_that_lead_out_only_together_are_refused(place: Workplace, ending: str) -> None:
    """Each by itself seems to stay inside; `b` would be two folders above the destination once `a` is there."""
    write(place.folder / f"x.{ending}", Hostile("b", LINK, "a/a/../.."), Hostile("a", LINK, "."), Hostile("b/evil"))
    assert_refused(place, f"x.{ending}")


def test_a_file_is_not_written_through_a_link_of_its_name(place: Workplace) -> None:
    (place.folder / "back").mkdir()
    (place.folder / "back/a.txt").symlink_to("../src/a.txt")
    write(place.folder / "x.tar", Hostile("a.txt"))
    assert place.fail("extract", source="x.tar", destination="back")[0] == 4
    place.run("extract", source="x.tar", destination="back", overwrite=True)
    assert (place.tree("back"), place.tree("src")["a.txt"]) == ({"a.txt": "evil"}, "alpha\n")


@pytest.mark.parametrize("ending", LINKING)
def test_a_link_that_stays_inside_is_made(place: Workplace, ending: str) -> None:
    write(place.folder / f"x.{ending}", Hostile("top"), Hostile("d/e/link", LINK, "../../top"))
    place.run("extract", source=f"x.{ending}", destination="back")
    assert (place.folder / "back/d/e/link").read_text() == "evil"


@pytest.mark.parametrize("options", [{"stripComponents": 2}, {"preservePaths": False}])
def test_a_link_that_moves_up_is_judged_where_it_lands(place: Workplace, options: dict[str, object]) -> None:
    write(place.folder / "x.tar", Hostile("d/e/link", LINK, "../../top"))
    assert place.fail("extract", source="x.tar", destination="back", **options)[0] == 12
    assert place.tree("back") == {}


@pytest.mark.parametrize("target", ["", "x" * 5000])
def test_a_link_to_nothing_or_to_no_path_is_refused(place: Workplace, target: str) -> None:
    write(place.folder / "x.tar", Hostile("link", LINK, target))
    assert place.fail("extract", source="x.tar", destination="back")[0] in {6, 12}
    assert place.tree("back") == {}


def test_the_target_of_a_link_in_a_zip_archive_is_bounded(place: Workplace) -> None:
    write(place.folder / "x.zip", Hostile("link", LINK, "x" * 5000))
    assert "longer than a path can be" in assert_refused(place, "x.zip")


@pytest.mark.parametrize(
    ("parts", "target"), [(("a",), "b"), (("a", "b"), "../c"), (("a", "b", "c"), "../.././x"), (("a",), "./b//c")]
)
def test_links_that_stay_inside_are_allowed(parts: tuple[str, ...], target: str) -> None:
    check_target(parts, target)


# -- hard links ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["../src/a.txt", "/etc/passwd", "none", "folder"])
def test_a_hard_link_to_what_is_not_inside_is_refused(place: Workplace, target: str) -> None:
    write(place.folder / "x.tar", Hostile("folder/file"), Hostile("link", HARD, target))
    assert place.fail("extract", source="x.tar", destination="back")[0] == 12
    assert not (place.folder / "back/link").exists()


def test_a_hard_link_to_a_symbolic_link_is_refused(place: Workplace) -> None:
    (place.folder / "back").mkdir()
    (place.folder / "back/out").symlink_to("../src/a.txt")
    write(place.folder / "x.tar", Hostile("link", HARD, "out"))
    assert_refused(place, "x.tar", left={"out": "-> ../src/a.txt"})


def test_a_hard_link_through_a_symbolic_link_is_refused(place: Workplace) -> None:
    (place.folder / "back").mkdir()
    (place.folder / "back/out").symlink_to("../src")
    write(place.folder / "x.tar", Hostile("link", HARD, "out/a.txt"))
    assert_refused(place, "x.tar", left={"out": "-> ../src"})


def test_overwriting_a_hard_link_leaves_its_other_name_alone(place: Workplace) -> None:
    (place.folder / "back").mkdir()
    (place.folder / "back/a.txt").hardlink_to(place.folder / "src/a.txt")
    write(place.folder / "x.tar", Hostile("a.txt"))
    place.run("extract", source="x.tar", destination="back", overwrite=True)
    assert (place.folder / "src/a.txt").read_text() == "alpha\n"


# -- devices, modes, sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [*TARS, "zip"])
@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(place: Workplace, ending: str, kind: bytes) -> None:
    write(place.folder / f"x.{ending}", Hostile("null", kind))
    assert "is a device or a pipe" in assert_refused(place, f"x.{ending}")


def test_an_archive_cannot_set_the_user_id(place: Workplace) -> None:
    path = place.folder / "x.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("tool")
        info.mode = 0o7755
        tar.addfile(info)
    place.run("extract", source="x.tar", destination="back")
    assert (place.folder / "back/tool").stat().st_mode & 0o7000 == 0


def test_a_header_that_would_fill_the_memory_is_refused(place: Workplace) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    (place.folder / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert "impossible size" in assert_refused(place, "x.tar")


def test_two_entries_of_one_name_in_a_7z_archive_are_refused(place: Workplace) -> None:
    write(place.folder / "x.7z", Hostile("a"), Hostile("./a"))
    assert "two entries of the name 'a'" in assert_refused(place, "x.7z")


# -- the folder itself -----------------------------------------------------------------------------------------------


def test_a_folder_that_becomes_a_link_meanwhile_is_not_entered(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "back")
    tree.make_folder(("a", "b"), 0o755)
    tree.make_folder(("c",), 0o755)
    (tmp_path / "back/a/b").rmdir()
    (tmp_path / "back/a/b").symlink_to(tmp_path)
    with pytest.raises(ArchiveError, match="symbolic link"):
        tree.make_file(("a", "b", "evil"), Entry(name="a/b/evil", kind=Kind.FILE), overwrite=True)
    tree.close()


def test_the_tree_closes_all_folders_after_an_error(tmp_path: Path) -> None:
    before = open_files()
    tree = Tree(tmp_path / "back")
    (tmp_path / "back/link").symlink_to("/")
    for parts in (("link", "a"), ("d", "e", "f"), ("x" * 300, "a")):
        try:
            tree.make_file(parts, Entry(name="a", kind=Kind.FILE), overwrite=True).discard()
        except (ArchiveError, OSError):
            continue
    tree.close()
    assert open_files() == before


def test_the_umask_counts_for_what_is_extracted(place: Workplace) -> None:
    write(place.folder / "x.zip", Hostile("a"))
    old = os.umask(0o077)
    try:
        place.run("extract", source="x.zip", destination="back")
    finally:
        os.umask(old)
    assert (place.folder / "back/a").stat().st_mode & 0o777 == 0o600


def test_only_fatal_errors_end_a_step_with_continue_on_error() -> None:
    assert {int(code) for code in extract._FATAL} == {11, 13}
