#!/usr/bin/env python3
"""Print the CycloneDX bill of materials of a release, from the locks.

    scripts/sbom.py VERSION [TIME] >dagbook.cdx.json

It lists the Python packages of requirements/runtime.txt, which is Dagbook with all its extras, with the hashes of
their files, and the npm packages that are bundled into the web UI. The same locks make the same document.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)((?:[^\n]*\n[ ]+[^\n]*)+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ASKED_BY = re.compile(r"^ +#(?: via)? +([A-Za-z0-9._-]+)", re.MULTILINE)
_PROJECT = "dagbook"


class Package(NamedTuple):
    """A locked package: its hashes as CycloneDX has them, and the names of the packages that ask for it."""

    purl: str
    name: str
    version: str
    hashes: list[dict[str, str]]
    asked_by: list[str]
    licence: str = ""


def read_python_lock(text: str) -> Iterator[Package]:
    """Read a lock that ``scripts/lock`` has made."""
    for name, version, rest in _ENTRY.findall(text):
        hashes = [{"alg": "SHA-256", "content": found} for found in _HASH.findall(rest)]
        asked_by = [by for by in _ASKED_BY.findall(rest) if by != "via"]
        yield Package(f"pkg:pypi/{name}@{quote(version)}", name, version, hashes, asked_by)


def read_npm_lock(text: str) -> Iterator[Package]:
    """Read the packages of a package-lock.json that are not for development only."""
    packages: Mapping[str, Any] = json.loads(text)["packages"]
    needs = {path.rpartition("node_modules/")[2]: entry.get("dependencies", {}) for path, entry in packages.items()}
    for path, entry in packages.items():
        if not path or entry.get("dev"):
            continue
        name = path.rpartition("node_modules/")[2]
        digest = base64.b64decode(entry["integrity"].removeprefix("sha512-")).hex()
        asked_by = [by or _PROJECT for by, wanted in needs.items() if name in wanted]
        hashes = [{"alg": "SHA-512", "content": digest}]
        purl = f"pkg:npm/{quote(name, safe='/')}@{entry['version']}"
        yield Package(purl, name, entry["version"], hashes, asked_by, entry.get("license", ""))


def make_document(version: str, time: str, packages: list[Package]) -> dict[str, Any]:
    """Make the document; its serial number follows from what is in it."""
    root = f"pkg:pypi/{_PROJECT}@{quote(version)}"
    application: dict[str, Any] = {
        "type": "application",
        "bom-ref": root,
        "name": _PROJECT,
        "version": version,
        "purl": root,
    }
    application["licenses"] = [{"license": {"id": "Apache-2.0"}}]
    content = {
        "metadata": {**({"timestamp": time} if time else {}), "component": application},
        "components": [_component(package) for package in packages],
        "dependencies": _dependencies(root, packages),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": serial.urn}
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", **head, **content}


def _component(package: Package) -> dict[str, Any]:
    files = {"type": "distribution", "url": package.purl, "hashes": package.hashes}
    component = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "externalReferences": [files],
    }
    return component | ({"licenses": [{"expression": package.licence}]} if package.licence else {})


def _dependencies(root: str, packages: list[Package]) -> list[dict[str, Any]]:
    refs = {f"{_kind(package)}/{package.name}": package.purl for package in packages}
    needs: dict[str, list[str]] = {ref: [] for ref in (root, *refs.values())}
    for package in packages:
        for by in package.asked_by:
            ref = root if by == _PROJECT else refs.get(f"{_kind(package)}/{by}")
            if ref:  # not one for development only
                needs[ref].append(package.purl)
    return [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in needs.items()]


def _kind(package: Package) -> str:
    return package.purl.partition("/")[0]


def read_locks(folder: Path) -> list[Package]:
    """Read all packages of a checkout that a release brings."""
    python = read_python_lock((folder / "requirements/runtime.txt").read_text(encoding="utf-8"))
    npm = read_npm_lock((folder / "scripts" / "libraries" / "package-lock.json").read_text(encoding="utf-8"))
    return sorted([*python, *npm])


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    document = make_document(sys.argv[1], "".join(sys.argv[2:]), read_locks(ROOT))
    print(json.dumps(document, indent=1))
