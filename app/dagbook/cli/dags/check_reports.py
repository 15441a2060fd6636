"""Reports of ``dagbook check``: lines of text, JSON, JUnit XML and SARIF 2.1.0."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import msgspec

from dagbook import __version__
from dagbook.spec.folder import BASE_PATH, RULES, Finding
from dagbook.telemetry.printable import printable

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class Checked(msgspec.Struct, frozen=True):
    """What a check found in the files of a folder, by their paths in it."""

    folder: Path
    base: Path | None
    paths: list[str]
    findings: list[Finding]
    is_strict: bool = False  # warnings are failures

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if self.is_strict or not finding.is_warning]

    @property
    def has_failed(self) -> bool:
        return bool(self.failures)

    @property
    def summary(self) -> str:
        """One sentence with the numbers of files, problems and warnings."""
        warnings = sum(finding.is_warning for finding in self.findings)
        problems = len(self.findings) - warnings
        counts = [(len(self.paths), "file"), (problems, "problem"), (warnings, "warning")]
        return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)

    def shown(self, path: str) -> str:
        """Return the path of a file for a report: below the folder, as the folder was given."""
        return os.fsencode(self.locate(path)).decode(errors="backslashreplace")

    def locate(self, path: str) -> Path:
        """Return the path of a file from the working directory."""
        return self.base if path == BASE_PATH and self.base else self.folder / path


def report_text(checked: Checked) -> str:
    """Write ``path:line:column: message`` for each finding."""
    return "".join(f"{_line(checked, finding)}\n" for finding in checked.findings)


def report_json(checked: Checked) -> str:
    """Write an object with the number of files, and the findings as ``problems`` and ``warnings``."""
    entries = [
        (
            finding.is_warning,
            {
                "path": checked.shown(finding.path),
                "line": finding.line,
                "column": finding.column,
                "rule": finding.rule,
                "message": finding.message,
            },
        )
        for finding in checked.findings
    ]
    report = {
        "files": len(checked.paths),
        "problems": [entry for is_warning, entry in entries if not is_warning],
        "warnings": [entry for is_warning, entry in entries if is_warning],
    }
    return json.dumps(report, indent=2) + "\n"


def report_junit(checked: Checked) -> str:
    """Write a test case for each file, with one failure that lists its problems; warnings are its output."""
    cases: dict[str, list[Finding]] = {path: [] for path in checked.paths}
    for finding in checked.findings:
        cases.setdefault(finding.path, []).append(finding)
    failed = {finding.path for finding in checked.failures}
    counts = {"tests": str(len(cases)), "failures": str(len(failed)), "errors": "0"}
    root = ET.Element("testsuites", {"name": "dagbook check", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": printable(str(checked.folder)), **counts})
    for path, findings in cases.items():
        case = ET.SubElement(suite, "testcase", classname="dagbook", name=printable(checked.shown(path)))
        problems = [finding for finding in findings if checked.is_strict or not finding.is_warning]
        warnings = [finding for finding in findings if finding not in problems]
        if problems:
            message = problems[0].message + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
            failure = ET.SubElement(case, "failure", type=problems[0].rule, message=printable(message))
            failure.text = "\n".join(_line(checked, finding) for finding in problems)
        if warnings:
            ET.SubElement(case, "system-out").text = "\n".join(_line(checked, finding) for finding in warnings)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(('<?xml version="1.0"?>\n', "\n"))


def report_sarif(checked: Checked) -> str:
    """Write one run with a result for each finding."""
    names = list(RULES)
    driver = {
        "name": "dagbook check",
        "version": __version__,
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()],
    }
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": names.index(finding.rule),
            "level": "warning" if finding.is_warning else "error",
            "message": {"text": finding.message},
            "locations": [{"physicalLocation": _location(checked, finding)}],
        }
        for finding in checked.findings
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Checked], str]] = {
    "text": report_text,
    "junit": report_junit,
    "sarif": report_sarif,
    "json": report_json,
}


def _line(checked: Checked, finding: Finding) -> str:
    place = f"{checked.shown(finding.path)}:{finding.line}:{finding.column}"
    return printable(f"{place}: {'warning: ' if finding.is_warning else ''}{finding.message}")


def _location(checked: Checked, finding: Finding) -> dict[str, object]:
    """Return the place of a finding; viewers take a relative path as one in the repository."""
    path = checked.locate(finding.path)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="surrogateescape")
    return {
        "artifactLocation": {"uri": uri},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
