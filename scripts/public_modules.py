"""Contract for import-linter: what others may import of a package is named in ``__all__`` of its ``__init__``."""

from __future__ import annotations

import ast
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PublicModulesContract(Contract):
    """Every import across the border of a package has to be of a module, or through a sub-package, that it names.

    ``source`` is the folder of the root package's source.
    """

    type_name = "public_modules"

    source = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the interface
        """Look at all imports of modules of the root package."""
        found = {
            (importer, imported, package, name)
            for imported in graph.modules
            for importer in graph.find_modules_that_directly_import(imported)
            for package, name in _crossed(importer, imported)
            if name not in self._public_names(package)
        }
        return ContractCheck(kept=not found, metadata={"found": sorted(found)})

    def _public_names(self, package: str) -> frozenset[str]:
        path = Path(str(self.source)) / package.replace(".", "/") / "__init__.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return frozenset(ast.literal_eval(node.value))
        return frozenset()

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import that is not allowed."""
        for importer, imported, package, name in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}, but __all__ of {package} does not name {name!r}")


def _crossed(importer: str, imported: str) -> list[tuple[str, str]]:
    """Return the packages whose border an import crosses, each with the name in it that is imported.

    The root package has no outside, and external packages have no dots here: import-linter squashes them.
    """
    parts = imported.split(".")
    packages = ((".".join(parts[:depth]), parts[depth]) for depth in range(2, len(parts)))
    return [(package, name) for package, name in packages if not f"{importer}.".startswith(f"{package}.")]
