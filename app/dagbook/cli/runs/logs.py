"""``dagbook logs`` and ``dagbook search``: the output of a run, and searches in it and in definitions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import click

from dagbook.api.schemas.dags import SearchResults
from dagbook.api.schemas.run_logs import LogHits, LogPiece, LogPieces
from dagbook.api.schemas.runs import DAGRunDetails
from dagbook.cli.api import Api, path_of, use_api, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_dags, complete_runs, complete_what
from dagbook.cli.output import echo, echo_output, echo_styled, notice, print_json, style, wants_json
from dagbook.cli.runs.lookup import find_run, nodes_of, read_details, read_name
from dagbook.cli.settings import with_settings

_PAGE = 1000
_AGE = re.compile(r"([0-9]{1,9})([smhd])")
_TIME_OF_DAY = re.compile(r"[0-2][0-9]:[0-5][0-9]")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLOURS = ("cyan", "magenta", "blue", "yellow", "green")
_Key = tuple[str, str]  # step and stream


class Moment(click.ParamType[datetime]):
    """A time, how long ago it was, or the last such time of day: ``2030-01-31T12:00:00Z``, ``10m``, ``03:00``."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse a time; one without a zone is in this machine's."""
        if age := _AGE.fullmatch(value):
            try:
                return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
            except OverflowError:
                self.fail(f"{value!r} is too long ago", param, ctx)
        now = datetime.now().astimezone()
        try:
            if _TIME_OF_DAY.fullmatch(value):
                at = datetime.combine(now.date(), time.fromisoformat(value)).astimezone()
                return at if at <= now else (at - timedelta(days=1))
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write 10m, 2h, 1d, or one such as 2030-01-31T12:00:00Z", param, ctx)


@click.command(cls=GlobalOptions, example="dagbook logs etl -f --step load")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-f", "--follow", is_flag=True, help="Print what is added, until the run is finished.")
@click.option("--step", default="", help="Only the output of this step.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this stream.")
@click.option("--since", type=Moment(), help="Only output since this time, such as 10m or 2030-01-31T12:00:00Z.")
@with_settings("database_url")
def logs(*, what: str, run_id: str, follow: bool, step: str, stream: str | None, since: datetime | None) -> None:
    """Print the output of run RUN_ID of a DAG, of its newest without an id, in the order in which it came.

    Lines begin with the name of their step, unless one step is chosen. With --json each piece of output is one line.
    """
    name = read_name(what)

    async def work(api: Api) -> None:
        run = await find_run(api, name, run_id)
        if step and step not in _steps(run):
            raise click.ClickException(f"run {run.dag_run_id} has no step {step!r}; it has {', '.join(_steps(run))}")
        printer = _Printer(is_named=not step)
        async for page in _pages(api, run, since, is_followed=follow):
            chosen = [one for one in page.pieces if step in ("", one.step) and stream in (None, one.stream)]
            printer.print(_Page(chosen, page.ended))
        printer.finish()

    with suppress(KeyboardInterrupt) if follow else nullcontext():  # the usual end of what follows something
        use_api(work)


def _steps(run: DAGRunDetails) -> list[str]:
    return [node.step.name for node in nodes_of(run)]


class _Page(NamedTuple):
    """Pieces of output, and the names of the steps that have none after them."""

    pieces: list[LogPiece]
    ended: Collection[str]


async def _pages(api: Api, run: DAGRunDetails, since: datetime | None, *, is_followed: bool) -> AsyncIterator[_Page]:
    """Yield the pieces of output of a run, and those that are added until it is finished."""
    path = path_of(run)
    after = "" if since is None else await _place_before(api, path, since)
    while True:
        # Read before the output: what a finished run or step has written is stored.
        is_finished = run.status.is_final
        ended = {node.step.name for node in nodes_of(run) if node.status.is_final}
        more = True
        while more:
            page = await api.get(f"{path}/log/pieces", LogPieces, {"after": after, "limit": _PAGE})
            found, more = page.pieces, page.has_more
            after = found[-1].place if found else after
            if since is not None:
                found = [piece for piece in found if datetime.fromisoformat(piece.at) >= since]
            yield _Page(found, () if more else ended)
        if is_finished or not is_followed:
            return
        if api.transport.is_alone:
            notice("no server is running, so nothing is added; `dagbook serve` continues the run")
            return
        await asyncio.sleep(api.transport.poll_seconds)
        run = await read_details(api, path)


async def _place_before(api: Api, path: str, since: datetime) -> str:
    """Go back from the end to a piece that came before a time; returns its place, empty if there is none."""
    before = "end"
    while True:
        page = await api.get(f"{path}/log/pieces", LogPieces, {"before": before, "limit": _PAGE})
        if not page.pieces:
            return ""
        first = page.pieces[0]
        if datetime.fromisoformat(first.at) < since:
            return first.place
        if not page.has_earlier:
            return ""
        before = first.place


class _Printer:
    """Prints pieces as whole lines: one without a line end waits for the piece that continues it, or the step's end."""

    def __init__(self, *, is_named: bool) -> None:
        self._is_named = is_named
        self._begun: dict[_Key, str] = {}
        self._colours: dict[str, str] = {}

    def print(self, page: _Page) -> None:
        """Print the complete lines of pieces, and the last lines of the steps that have ended."""
        last = {_key(piece): number for number, piece in enumerate(page.pieces)}
        for key in [key for key in self._begun if key not in last and key[0] in page.ended]:
            self._line(key, self._begun.pop(key))
        for number, piece in enumerate(page.pieces):
            key = _key(piece)
            self._print(key, piece)
            if number == last[key] and key[0] in page.ended and key in self._begun:
                self._line(key, self._begun.pop(key))

    def _print(self, key: _Key, piece: LogPiece) -> None:
        if wants_json():
            print_json(piece)
            return
        *lines, rest = (self._begun.pop(key, "") + piece.text).split("\n")
        if rest:
            self._begun[key] = rest
        for line in lines:
            self._line(key, line)

    def _line(self, key: _Key, line: str) -> None:
        step, stream = key
        if self._is_named:
            colour = self._colours.setdefault(step, _COLOURS[len(self._colours) % len(_COLOURS)])
            echo_styled(style(f"{step} | ", fg=colour), err=stream == "stderr", nl=False)
        echo_output(line, err=stream == "stderr")

    def finish(self) -> None:
        """Print the lines that have no end."""
        for key, line in self._begun.items():
            self._line(key, line)


def _key(piece: LogPiece) -> _Key:
    return piece.step, piece.stream


@click.command(cls=GlobalOptions, example="dagbook search 'disk is full' etl")
@click.argument("text", metavar="TEXT")
@click.argument("name", required=False, default="", metavar="[DAG]", shell_complete=complete_dags)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("--regex", is_flag=True, help="TEXT is a regular expression (RE2).")
@click.option("--step", default="", help="Only the log of this step.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Lines of a log at most.")
@with_api()
async def search(  # noqa: PLR0913 - one for each option
    api: Api, *, text: str, name: str, run_id: str, regex: bool, step: str, limit: int
) -> int:
    """Search for TEXT in the definitions of all DAGs; with DAG, in the log of its run RUN_ID, or of its newest.

    Case is ignored. Exit status 1 when nothing is found.
    """
    if step and not name:
        raise click.UsageError("--step is for the log of a run; give its DAG")
    if not name:
        query = text if regex else re.escape(text)
        return _print_definitions(await api.get("/dags/search", SearchResults, {"q": query}))
    run = await find_run(api, name, run_id)
    params: dict[str, str | int] = {"q": text, "regex": regex, "limit": limit}
    if step:
        params["step"] = step
    return _print_hits(run, await api.get(f"{path_of(run)}/log/search", LogHits, params))


def _print_definitions(found: SearchResults) -> int:
    """Print the lines of definitions as grep does; returns the exit status."""
    if wants_json():
        print_json(found)
        return 0 if found.results else 1
    for problem in found.errors:
        echo(problem, err=True)
    for result in found.results:
        for match in result.matches:
            line = match.line.split("\n")[match.line_number - match.start_line]
            echo_styled(style(f"{result.name}:{match.line_number}: ", fg="cyan"), style(line))
    if not found.results and not found.errors:
        echo("no definition has this text", err=True)
    return 0 if found.results else 1


def _print_hits(run: DAGRunDetails, found: LogHits) -> int:
    """Print the lines of a log; returns the exit status."""
    if wants_json():
        print_json(found)
        return 0 if found.hits else 1
    for hit in found.hits:
        place = style(f"{hit.step}:{hit.stream}:{hit.line}: ", fg="cyan")
        before, match, after = hit.text[: hit.start], hit.text[hit.start : hit.end], hit.text[hit.end :]
        echo_styled(place, style(before), style(match, fg="red", bold=True), style(after))
    if not found.hits:
        echo(f"the log of run {run.dag_run_id} of DAG {run.name} does not have this text", err=True)
    elif found.next:
        echo("there are more lines; --limit shows up to 1000", err=True)
    return 0 if found.hits else 1
