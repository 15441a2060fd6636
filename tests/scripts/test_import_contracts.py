"""The contracts of ours: what others may import of a package, and that no imports form a circle."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest

from scripts.no_circles import NoCirclesContract
from scripts.public_modules import PublicModulesContract

FILES = {
    "house/__init__.py": "",
    "house/kitchen/__init__.py": '__all__ = ["stove"]\n',
    "house/kitchen/stove.py": "from house.kitchen import drawer\n",
    "house/kitchen/drawer.py": "",
    "house/hall.py": "from house.kitchen import stove\n",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def broken_imports(house: Path) -> list[tuple[str, str]]:
    options = {"source": str(house)}
    contract = PublicModulesContract("borders", {"root_packages": ["house"]}, options)
    found = contract.check(grimp.build_graph("house", cache_dir=None), verbose=False)
    assert found.kept is not bool(found.metadata["found"])
    return [(importer, imported) for importer, imported, _, _ in found.metadata["found"]]


def test_named_modules_may_be_imported_and_all_within_a_package(house: Path) -> None:
    assert broken_imports(house) == []


def test_a_module_that_is_not_named_may_not_be_imported_from_outside(house: Path) -> None:
    (house / "house/hall.py").write_text("from house.kitchen import drawer\n")
    assert broken_imports(house) == [("house.hall", "house.kitchen.drawer")]


def find_circle() -> list[str]:
    contract = NoCirclesContract("circles", {"root_packages": ["house"]}, {})
    found: list[str] = contract.check(grimp.build_graph("house", cache_dir=None), verbose=False).metadata["circle"]
    return found


def test_imports_of_one_another_are_a_circle_even_in_a_function(house: Path) -> None:
    assert find_circle() == []
    (house / "house/kitchen/drawer.py").write_text("def open():\n    from house import hall\n")
    stove, drawer, hall = "house.kitchen.stove", "house.kitchen.drawer", "house.hall"
    assert find_circle() in ([stove, drawer, hall, stove], [drawer, hall, stove, drawer], [hall, stove, drawer, hall])
