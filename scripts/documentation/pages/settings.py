"""The page of the settings, from their definitions."""

from __future__ import annotations

import re
from typing import Any

from dagbook.settings import TABLE, Setting
from dagbook.settings.definitions import OTHER_VARIABLES
from scripts.documentation.pages.markdown import code, escape, head, table

INTRO = """\
Every setting: its name in `dagbook.yaml`, its environment variable, its option on the command line, and the release of
Dagbook that came with it. [configuration.md](configuration.md) explains where settings come from and which source
takes precedence, how values are written, and how secrets are read from files. `dagbook config` prints the effective
settings.

`<home>` is the value of `home`, `<system>` the time zone of the machine (`TZ`, else `/etc/localtime`), `<locale>` the
encoding of the locale (`LC_ALL`, else `LANG`), else `utf-8`. A setting without a default is empty. A secret, like
`database_url`, can also be given by a file, with `_FILE` or `_file` after its name; secrets, and
`remote_nodes` with its tokens, `sources`, `alert_channels` and `secret_commands` have no option."""
OTHER_INTRO = """\
## Other variables

Any other variable that starts with `DAGBOOK_` is an error, except these:
"""
PAGES = {
    "Alerts": "../how-to/alerts.md",
    "Operations": "../how-to/operations.md",
    "Secrets": "../how-to/secrets.md",
    "Sources": "../how-to/sources.md",
    "Audit": "../how-to/audit.md",
    "Authentication": "../how-to/authentication.md",
}


def make() -> str:
    """Return the page of the settings."""
    lines = [*head("Settings", "the definitions in `app/dagbook/settings/definitions.py`", INTRO), ""]
    lines += table("setting variable option type default meaning since", map(row, TABLE))
    lines += ["", *OTHER_INTRO.splitlines(), ""]
    lines += table("variable meaning", ((code(name), escape(meaning)) for name, meaning in OTHER_VARIABLES.items()))
    return "\n".join([*lines, "| `DAGBOOK_TEST_…` | for the tests |", ""])


def row(setting: Setting[Any]) -> tuple[str, ...]:
    """Return the row of a setting."""
    flag = "" if setting.kind.is_secret else code(setting.flag)
    meaning = re.sub(r"see (\w+)\.$", lambda found: f"see [{found[1]}]({PAGES[found[1]]}).", escape(setting.meaning))
    kind = setting.kind
    return code(setting.name), code(setting.variable), flag, kind.name, code(setting.default), meaning, setting.since
