"""Writing of a home of Dagu 1.x: private files, each complete or not there, and runs that appear as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from dagbook.unix.files import make_private_folder, open_privately

_UNFINISHED = ".dagbook-export"


class HomeTarget:
    """A home in ``folder``; ``place`` is where it will be used, which records name."""

    def __init__(self, folder: Path, place: str) -> None:
        self.folder = folder
        self.place = place.rstrip("/")

    def open(self) -> None:
        """Make the folder, and remove what an interrupted export has left; raises OSError."""
        make_private_folder(self.folder)
        self.close()

    def close(self) -> None:
        shutil.rmtree(self.folder / _UNFINISHED, ignore_errors=True)

    def find(self, name: str) -> bytes | None:
        """Return the content of a file, None if it is not there; raises OSError."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def write(self, name: str, content: bytes) -> None:
        """Write a file under its name once it is complete; raises OSError."""
        fresh = self.folder / _UNFINISHED / "file"
        write_file(fresh, [content])
        target = self.folder / name
        make_private_folder(target.parent)
        fresh.replace(target)

    def prepare(self, name: str, content: Iterable[bytes]) -> int:
        """Write a file of a run that is not there yet; returns its size. Raises OSError."""
        return write_file(self.folder / _UNFINISHED / "run" / name, content)

    def place_run(self, folders: Iterable[str]) -> None:
        """Move the prepared folders to their places, the last one last, in place of those that are there."""
        for name in folders:
            prepared, target = self.folder / _UNFINISHED / "run" / name, self.folder / name
            if not prepared.exists():
                continue
            if target.exists():
                shutil.rmtree(target)
            make_private_folder(target.parent)
            prepared.rename(target)

    def discard_run(self) -> None:
        """Remove what was prepared and not placed."""
        shutil.rmtree(self.folder / _UNFINISHED / "run", ignore_errors=True)


def write_file(path: Path, content: Iterable[bytes], mode: str = "wb") -> int:
    """Write a private file, in folders that are made; returns its size. Raises OSError, which names the file."""
    make_private_folder(path.parent)
    size = 0
    try:
        with open(path, mode, opener=open_privately) as file:
            for part in content:
                size += file.write(part)
    except OSError as error:
        # A full disk is told without the file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    return size
