"""Contract for import-linter: no module imports itself by way of others, not even inside a function."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class NoCirclesContract(Contract):
    """The imports between modules have no circle. Imports in functions, and those for types alone, count."""

    type_name = "no_circles"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the interface
        """Sort the modules by their imports."""
        imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            return ContractCheck(kept=False, metadata={"circle": [*reversed(error.args[1])]})
        return ContractCheck(kept=True, metadata={"circle": []})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one circle; there may be more."""
        output.print_error(" imports ".join(check.metadata["circle"]))
