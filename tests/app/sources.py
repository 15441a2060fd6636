"""A source of definitions as its owner sees it: files that are written, commits, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import wait_until

GOOD = "steps:\n  - name: a\n    command: {}\n"
BROKEN = "steps:\n  - name: a\n    comand: x\n"


def good(word: str = "one") -> str:
    return GOOD.format(f"echo {word}")


class Team:
    """A source whose DAGs have names that no other test uses."""

    def __init__(self, client: httpx.AsyncClient, name: str, folder: Path) -> None:
        self.client = client
        self.name = name
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def dag(self, path: str = "") -> str:
        """Return the name of the DAG of a file below the team's own directory."""
        return f"{self.name}.{path}" if path else self.name

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.folder / self.name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    async def add(self, place: str = "", **body: Any) -> dict[str, Any]:
        answer = await self.client.post(
            "/sources", json={"name": self.name, "place": place or str(self.folder), **body}
        )
        assert answer.status_code == 201, answer.text
        return await self.sync()

    async def sync(self) -> dict[str, Any]:
        answer = await self.client.post(f"/sources/{self.name}/sync")
        assert answer.status_code == 200, answer.text

        async def look() -> dict[str, Any] | None:  # the server may have begun another one by itself
            found = await self.details()
            return None if "syncing" in found else found

        return await wait_until(look)

    async def details(self, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(f"/sources/{self.name}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def problems(self) -> dict[str, list[tuple[int, str]]]:
        """Return lines and messages by the path below the team's own directory."""
        found = (await self.details(problems="true", perPage=1000))["sourcedFiles"]
        return {
            file["path"].removeprefix(f"{self.name}/"): [(each["line"], each["message"]) for each in file["problems"]]
            for file in found
        }

    async def texts(self) -> dict[str, str]:
        """Return the stored texts of the source's DAGs by their file names."""
        found: dict[str, str] = {}
        page = 1
        while files := (await self.details(page=page, perPage=1000))["sourcedFiles"]:
            for file in files:
                if "fileName" in file:
                    found[file["fileName"]] = await self.text(file["fileName"])
            page += 1
        return found

    async def text(self, dag: str) -> str:
        answer = await self.client.get(f"/dags/{dag}/spec")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["spec"])

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.client.get(f"/dags/{self.dag(path)}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def revisions(self, path: str) -> list[dict[str, Any]]:
        answer = await self.client.get(f"/dags/{self.dag(path)}/revisions")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["revisions"]
        return found


class Repository:
    """A Git repository of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main", str(folder))

    @property
    def place(self) -> str:
        return f"file://{self.folder}"

    def git(self, *arguments: str, author: str = "Ann") -> str:
        names = {f"GIT_{who}_{what}": author for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **names}
        folder = self.folder if self.folder.exists() else self.folder.parent
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str, author: str = "Ann") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message, author=author)
        return self.git("rev-parse", "HEAD")
