"""Take pictures of all pages of the web UI, on a demo server whose pages are not empty.

    scripts/screenshots [FOLDER]     each page at 1440 and 390 pixels, light and dark;
                                     without FOLDER a temporary one, which is named at the end
    scripts/screenshots --readme     docs/pictures/run-light.png and run-dark.png, of a run, and first-page-….png,
                                     of a new server
    scripts/screenshots --only run   only the pages whose name has this text

The server is real, with a fresh home, the DAGs of `serve --demo`, and some more with a month of runs. Needs Chromium.
Prints each file; fails when a page writes an error or a warning into the browser's console.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.async_api import Browser, FloatRect, Route

from tests.process.conftest import end
from tests.process.program import FINAL, Program
from tests.process.waiting import wait_for
from tests.web.browser import WIDTHS, Visitor, running_browser, visiting
from tests.web.site import SETTINGS, Site

Theme = Literal["light", "dark"]
ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
THEMES: tuple[Theme, ...] = ("light", "dark")
MOST_README_BYTES = 150_000
FIRST_PAGE_CLIP: FloatRect = {"x": 0, "y": 0, "width": 1440, "height": 420}
README_CLIP: FloatRect = {"x": 0, "y": 0, "width": 1440, "height": 590}  # down to the end of the list of steps
RUN = "/dag-runs/orders/orders-nightly"
PAGES = {
    "dashboard": "/",
    "dags": "/dags",
    "dag": "/dags/orders",
    "dag-graph": "/dags/orders/graph",
    "dag-spec": "/dags/orders/spec",
    "dag-revisions": "/dags/orders/revisions",
    "dag-schedule": "/dags/orders/schedule",
    "dag-alerts": "/dags/orders/alerts",
    "dag-access": "/dags/orders/access",
    "start": "/dags/orders?start=1",
    "shortcuts": RUN,
    "runs": "/dag-runs",
    "run-failed": RUN,
    "run-graph": f"{RUN}?view=graph",
    "run-gantt": f"{RUN}?view=gantt",
    "run-events": f"{RUN}?view=events",
    "run-spec": f"{RUN}?view=spec",
    "run-output": f"{RUN}?output=all",
    "run-succeeded": "/dag-runs/diamond/latest",
    "run-calling": "/dag-runs/for-each/latest",
    "run-waiting": "/dag-runs/approval/latest",
    "run-running": "/dag-runs/reindex/reindex-1",
    "run-queued": "/dag-runs/reindex/reindex-2",
    "run-sub": "/dag-runs/for-each/latest?step=each%20city",
    "compare": "/compare?run=orders/orders-nightly",
    "approvals": "/approvals",
    "alerts": "/alerts",
    "queues": "/queues",
    "schedules": "/schedules",
    "schedules-past": "/schedules?tab=past",
    "workers": "/workers",
    "sources": "/sources",
    "source": "/sources/team",
    "search": "/search?q=extract",
    "search-empty": "/search",
    "system": "/system",
    "users": "/users",
    "access": "/access",
    "tokens": "/tokens",
    "audit": "/audit",
    "account": "/account",
    "cli-login": "/cli-login?port=40000&host=laptop",
    "login": "/login",
    "missing": "/nothing/here",
}
KEYS = {"shortcuts": "?"}  # to press when the page is there
ANONYMOUS = ("login",)
_EXPECTED = {"missing": "status of 404 .*/nothing/here"}  # a page that is not there is a real 404
ORDERS = """\
description: Loads the orders of a day, with prices and customers
tags: [nightly, sales]
schedule: "0 3 * * *"
type: graph
params:
  - DAY: "2026-03-02"
  - REGION: eu-west-1
steps:
  - name: extract-orders
    script: for part in 1 2 3 4 5 6; do echo "orders.part${part} read, 8035 rows"; sleep 0.2; done
  - name: extract-customers
    script: echo "reading 6020 customers"; sleep 0.7; echo "done"
  - name: extract-prices
    script: |
      [ -e "/tmp/dagbook-screenshots-${DAG_RUN_ID}" ] || { touch "/tmp/dagbook-screenshots-${DAG_RUN_ID}"; exit 1; }
      rm "/tmp/dagbook-screenshots-${DAG_RUN_ID}"; sleep 0.8; echo "prices of ${DAY}: 412 articles"
    retryPolicy: {limit: 2, intervalSec: 1}
  - name: validate-against-the-schema
    depends: [extract-orders, extract-customers, extract-prices]
    script: sleep 0.5; echo "48210 rows are valid"
  - name: transform
    depends: validate-against-the-schema
    script: |
      echo "joining orders with customers: 48210 rows"; sleep 0.6
      echo "joining with prices of ${DAY}"; sleep 0.6
      if [ "${FAIL:-yes}" = yes ]; then
        echo "WARNING 112 articles have no price" >&2
        printf 'Traceback (most recent call last):\\n  File "transform.py", line 88, in <module>\\n' >&2
        printf '    total += order["price"]\\nKeyError: '"'price'"'\\n' >&2
        exit 1
      fi
  - name: load
    depends: transform
    script: sleep 0.4; echo "48210 rows loaded"
  - name: report
    depends: load
    command: echo "the report is at /reports/${DAY}"
handlerOn:
  failure:
    command: echo "telling the people on call"
"""
OTHERS = {
    "reindex": "description: Rebuilds the search index\ntags: [search]\nqueue: small\n"
    "steps:\n  - {name: rebuild, command: sh -c 'echo reading; sleep 7200'}\n",
    "backup": 'description: A copy of all databases\ntags: [ops]\nschedule: "30 * * * *"\n'
    "steps:\n  - {name: dump, command: sleep 0.2}\n  - {name: upload, command: sleep 0.1, depends: dump}\n",
}
ORDERS_STEPS = (  # name, begin and duration in seconds
    ("extract-orders", 0, 1.4),
    ("extract-customers", 0, 0.8),
    ("extract-prices", 0, 2.2),
    ("validate-against-the-schema", 2.2, 0.6),
    ("transform", 2.8, 1.9),
    ("load", 4.7, 0.7),
    ("report", 5.4, 0.1),
)


def history(now: datetime) -> Iterator[dict[str, Any]]:
    """Lines for scripts/seed-history: a month of nights of one DAG, a day of hours of another."""
    failed_days, slow_days, failed_hours = (9, 21), (12,), (5,)
    for day in range(30, 0, -1):
        begin = now - timedelta(days=day, hours=1)
        factor = 1 + (day * 7 % 5) / 10 + (0.9 if day in slow_days else 0)
        yield _line("orders", f"orders-{begin:%Y-%m-%d}", begin, ORDERS_STEPS, factor, failed=day in failed_days)
    for hour in range(30, 0, -1):
        begin = now - timedelta(hours=hour)
        steps = (("dump", 0, 0.2 + hour % 7 / 20), ("upload", 0.2 + hour % 7 / 20, 0.1))
        yield _line("backup", f"backup-{begin:%d-%H}", begin, steps, 1, failed=hour in failed_hours)


def _line(
    name: str, run_id: str, begin: datetime, steps: tuple[tuple[str, float, float], ...], factor: float, *, failed: bool
) -> dict[str, Any]:
    start = begin.timestamp()
    # A failed run ends with its second to last step.
    done = [
        {
            "name": step,
            "command": "true",
            "status": 2 if failed and at == len(steps) - 2 else 4,
            "startedAt": start + offset * factor,
            "finishedAt": start + (offset + seconds) * factor,
        }
        for at, (step, offset, seconds) in enumerate(steps[: len(steps) - failed])
    ]
    end_at = done[-1]["finishedAt"]
    status = 2 if failed else 4
    return {
        "name": name,
        "dagRunId": run_id,
        "status": status,
        "startedAt": start,
        "finishedAt": end_at,
        "steps": done,
    }


class Demo(Program):
    """A server with the examples of ``serve --demo``."""

    def _command(self) -> list[str]:
        return self._program("serve", "--demo")


def fill(site: Site) -> None:
    """Make runs in all states, people, a source, and a past."""
    site.add_people()
    for name, spec in {"orders": ORDERS, **OTHERS}.items():
        site.save(name, spec)
    _seed(site)
    _add_source(site)
    started = [(name, site.start(name)) for name in ("hello", "diamond", "for-each", "retry", "backup")]
    started.append(("handlers", site.start("handlers", params="OUTCOME=bad")))
    started.append(("orders", site.start("orders", dagRunId="orders-nightly")))
    site.start("approval")
    site.start("reindex", dagRunId="reindex-1")
    for number in (2, 3):
        site.send("POST", "/dags/reindex/enqueue", {"dagRunId": f"reindex-{number}"})
    site.send("PUT", "/dags/orders/spec", {"spec": ORDERS.replace("6020", "6,020")})
    wait_for("the ends of the runs", lambda: all(site.status(*run) in FINAL for run in started))


def _seed(site: Site) -> None:
    lines = site.program.home.with_name("history.jsonl")
    lines.write_text("".join(json.dumps(line) + "\n" for line in history(datetime.now(UTC))))
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "measuring" / "seed_history.py"), str(lines)],
        env={"DAGBOOK_DATABASE_URL": site.program.database_url, "DAGBOOK_HOME": str(site.program.home)},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _add_source(site: Site) -> None:
    folder = site.program.home.with_name("team")
    folder.mkdir()
    (folder / "invoices.yaml").write_text("steps:\n  - {name: send, command: 'true'}\n")
    (folder / "broken.yaml").write_text("steps:\n  - {name: send, comand: 'true'}\n")
    site.send("POST", "/sources", {"name": "team", "place": str(folder)})
    site.send("POST", "/sources/team/sync", {})


async def _settle(visitor: Visitor) -> None:
    await visitor.settle()
    await visitor.page.wait_for_timeout(400)  # what loads after the page itself: lines of a log, charts


async def take_all(browser: Browser, site: Site, folder: Path, only: str) -> list[str]:
    """Take all pictures; returns what the pages complained about."""
    complaints = []
    for theme in THEMES:
        for width in WIDTHS:
            for name, address in PAGES.items():
                if only not in name:
                    continue
                cookie = None if name in ANONYMOUS else site.cookies["admin"]
                async with visiting(browser, site.address, cookie=cookie, width=width, theme=theme) as visitor:
                    await visitor.open(address)
                    await _settle(visitor)
                    if name in KEYS:
                        await visitor.page.keyboard.press(KEYS[name])
                    path = folder / f"{name}-{width}-{theme}.png"
                    await visitor.page.screenshot(path=path, full_page=True)
                    print(path, flush=True)
                    said = [text for text in visitor.complaints if not re.search(_EXPECTED.get(name, "^$"), text)]
                complaints += [f"{name} at {width} pixels, {theme}: {text}" for text in said]
    return complaints


async def take_readme(browser: Browser, site: Site) -> list[str]:
    """Take the pictures of the README, of the run as if it had been at a fixed time."""
    complaints = []
    PICTURES.mkdir(exist_ok=True)
    begun = site.send("GET", RUN)["dagRunDetails"]["startedAt"]
    shown = datetime(2026, 3, 2, 3, tzinfo=UTC)
    back = datetime.fromisoformat(begun) - shown

    async def set_back(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=move_times(await answer.text(), back))

    for theme in THEMES:
        async with visiting(browser, site.address, cookie=site.cookies["admin"], theme=theme, zone="UTC") as visitor:
            await visitor.page.clock.set_fixed_time(shown + timedelta(minutes=6))
            await visitor.page.route(re.compile(r"/api/v2/(dags|dag-runs)/"), set_back)
            await visitor.open(f"{RUN}?step=transform")
            await _settle(visitor)
            path = PICTURES / f"run-{theme}.png"
            picture = await visitor.page.screenshot(path=path, clip=README_CLIP)
            print(path, flush=True)
            complaints += visitor.complaints
            if len(picture) > MOST_README_BYTES:
                complaints.append(f"{path} has {len(picture):,} bytes; at most {MOST_README_BYTES:,} are allowed")
    return complaints


async def take_first_page(browser: Browser) -> list[str]:
    """Take the picture of the first page of a server that has neither DAGs nor runs."""
    complaints: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dagbook-") as place:
        program = Program(Path(place) / "home", settings={"auth_mode": "none"}).start()
        address = str(program.api.client.base_url).partition("/api/")[0]
        try:
            for theme in THEMES:
                async with visiting(browser, address, theme=theme) as visitor:
                    await visitor.open("/")
                    await _settle(visitor)
                    path = PICTURES / f"first-page-{theme}.png"
                    await visitor.page.screenshot(path=path, clip=FIRST_PAGE_CLIP)
                    print(path, flush=True)
                    complaints += visitor.complaints
        finally:
            end(program)
    return complaints


def move_times(text: str, back: timedelta) -> str:
    """Return a response of the API with all its times moved back."""
    text = re.sub(
        r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"',
        lambda match: json.dumps((datetime.fromisoformat(match[1]) - back).astimezone(UTC).isoformat()),
        text,
    )
    millis = round(back.total_seconds() * 1000)
    return re.sub(r'("\w+AtMillis":)(\d{13})', lambda match: f"{match[1]}{int(match[2]) - millis}", text)


async def take(site: Site, folder: Path | None, only: str) -> list[str]:
    """Take the pictures of all pages into a folder, or else those of the README."""
    async with running_browser() as browser:
        if folder:
            return await take_all(browser, site, folder, only)
        return [*await take_readme(browser, site), *await take_first_page(browser)]


def main() -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    folder = None if options.readme else options.folder or Path(tempfile.mkdtemp(prefix="dagbook-screenshots-"))
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYTEST_CURRENT_TEST", "screenshots")  # names the picture of a page that fails
    with tempfile.TemporaryDirectory(prefix="dagbook-") as place:
        site = Site(Demo(Path(place) / "home", settings=SETTINGS).start())
        try:
            fill(site)
            complaints = asyncio.run(take(site, folder, options.only))
        finally:
            site.client.close()
            end(site.program)
    print(*complaints, sep="\n", file=sys.stderr)
    print(f"The pictures are in {folder or PICTURES}.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
