"""The files of the settings that other users of the machine may use."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dagbook.settings.definitions import Settings

# Not the group's right to read: the usual file of a service belongs to root and to the group of the service.
_OPEN = stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
_LINE = re.compile(r"(.+):[0-9]+")


def find_open_files(settings: Settings) -> Iterator[str]:
    """Warn of settings files and key files that other users of the machine may read or change."""
    origins = sorted({match[1] for origin in settings.origins.values() if (match := _LINE.fullmatch(origin))})
    keys = [settings.home / "secret.key", settings.tls_key_file]
    for path in [*map(Path, origins), *filter(None, keys)]:
        with suppress(OSError):
            if path.stat().st_mode & _OPEN:
                yield f"{path} can be read or changed by other users of this machine; `chmod 600 {path}` ends that"
