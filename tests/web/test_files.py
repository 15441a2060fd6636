"""Which files the web UI serves."""

from __future__ import annotations

from pathlib import Path

from dagbook.web import files


def test_the_types_of_the_scripts_are_for_checks_and_are_not_served() -> None:
    assert list(files.STATIC.rglob("*.d.ts")), "the bundles have types"
    assert not [name for name in files.known() if name.endswith(".ts")]


def test_a_bundle_comes_first_if_it_is_made_of_just_the_files_beside_it(tmp_path: Path) -> None:
    static, bundle = tmp_path / "static", tmp_path / "bundle"
    (static / "lib").mkdir(parents=True)
    bundle.mkdir()
    (static / "index.html").write_text("plain")
    (static / "lib" / "a.js").write_text("1")
    (bundle / "index.html").write_text("made")
    plain = files.find(static, bundle)
    assert {name: path.read_text() for name, path in plain.items()} == {"index.html": "plain", "lib/a.js": "1"}
    (bundle / files.MADE_OF).write_text(files.digest(plain))
    made = files.find(static, bundle)
    assert (made["index.html"].read_text(), made["lib/a.js"].read_text()) == ("made", "1")
    assert files.digest(made) != files.digest(plain)
    (static / "lib" / "a.js").write_text("2")
    assert files.find(static, bundle)["index.html"].read_text() == "plain"
