"""What has come to rest between two looks, which files count, and which options what looks may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.errors import BadRequestError
from dagbook.triggers.looks import options
from dagbook.triggers.looks.comparison import Entry, Pending, batches, compare, together
from dagbook.triggers.looks.files import FileFound, LookError, choose
from dagbook.triggers.looks.options import FILES, HTTP, MOST_ENTRIES, SFTP, Place
from dagbook.triggers.requests import WebhookSettings
from dagbook.triggers.values import Pointer

SETTLE = 10.0
STATES = st.sampled_from([None, "1", "2", "3"])  # of a file: missing, or with one of some fingerprints


def entries(**fingerprints: str | None) -> dict[str, Entry]:
    return {path: Entry(path=path, fingerprint=each, item={}) for path, each in fingerprints.items() if each}


class Watcher:
    """Looks again and again, as the loop does, and keeps what became of it."""

    def __init__(self, settle: float = SETTLE, **known: str) -> None:
        self.settle, self.known = settle, known
        self.pending: Mapping[str, Pending] = {}
        self.events: list[tuple[float, str, str]] = []
        self.next_in: float | None = None

    def look(self, now: float, **there: str | None) -> list[str]:
        """Return the paths that make an event now."""
        found = compare(self.known, entries(**there), self.pending, (now, now), self.settle)
        self.pending, self.next_in = found.pending, found.next_in(now, self.settle)
        for path in found.gone:
            del self.known[path]
        for each in found.settled:
            self.known[each.path] = each.fingerprint
            self.events.append((now, each.path, each.fingerprint))
        return [each.path for each in found.settled]


@pytest.mark.parametrize(
    ("looks", "events"),
    [
        pytest.param([(0, "1"), (9, "1")], [], id="not at rest yet"),
        pytest.param([(0, "1"), (10, "1"), (20, "1")], [10], id="new"),
        pytest.param([(0, "1"), (9, "2"), (18, "3"), (27, "3"), (28, "3")], [28], id="growing"),
        pytest.param([(0, "1"), (10, "1"), (20, "2"), (30, "2")], [10, 30], id="changed"),
        pytest.param([(0, "1"), (10, "1"), (20, None), (30, None), (40, "1"), (50, "1")], [10, 50], id="put back"),
        pytest.param([(0, "1"), (10, "1"), (20, None), (25, "1"), (40, "1")], [10], id="missed by one look"),
        pytest.param([(0, "1"), (5, None), (9, "1"), (12, "1"), (19, "1")], [19], id="gone before it was at rest"),
    ],
)
def test_a_file_makes_an_event_when_it_is_new_or_changed_and_rests(
    looks: list[tuple[float, str | None]], events: list[float]
) -> None:
    watcher = Watcher()
    for now, fingerprint in looks:
        watcher.look(now, a=fingerprint)
    assert [at for at, *_ in watcher.events] == events


@given(st.lists(st.tuples(st.sampled_from([1.0, 6.0, 10.0]), STATES), max_size=40))
def test_no_event_is_made_of_what_changed_within_the_settle_time_and_each_final_state_makes_one(
    steps: list[tuple[float, str | None]],
) -> None:
    watcher, now, since, state = Watcher(), 0.0, 0.0, None
    for pause, after in steps:
        now += pause
        since, state = (since, state) if after == state else (now, after)
        watcher.look(now, a=after)
        if watcher.events and watcher.events[-1][0] == now:
            assert now - since >= SETTLE
            assert watcher.events[-1][2] == state
    watcher.look(now + SETTLE, a=state)
    watcher.look(now + 2 * SETTLE, a=state)
    assert watcher.known.get("a") == state
    assert watcher.look(now + 9 * SETTLE, a=state) == []


def test_what_was_there_at_first_makes_none_and_the_older_of_two_comes_first() -> None:
    watcher = Watcher(settle=0, a="1")
    assert watcher.look(0, a="1") == []
    files = {each: Entry(path=each, fingerprint="1", order=order, item={}) for each, order in (("b", 2), ("c", 1))}
    assert [each.path for each in compare({}, files, {}, (0, 0), 0).settled] == ["c", "b"]


def test_a_look_that_takes_long_proves_no_rest_while_it_lasts() -> None:
    there = entries(a="1")
    first = compare({}, there, {}, (0, 8), SETTLE)
    assert compare({}, there, first.pending, (10, 30), SETTLE).settled == []
    assert len(compare({}, there, first.pending, (18, 30), SETTLE).settled) == 1
    assert len(compare({}, there, {}, (0, 8), 0).settled) == 1


def test_the_next_look_is_made_when_a_change_will_rest() -> None:
    watcher = Watcher()
    watcher.look(0, a="1")
    watcher.look(4, a="1", b="1")
    assert watcher.next_in == 6
    watcher.look(10, a="1", b="1")
    assert watcher.next_in == 4
    watcher.look(14, a="1", b="1")
    assert watcher.next_in is None


def test_without_a_settle_time_it_still_takes_two_looks_until_something_is_gone() -> None:
    watcher = Watcher(settle=0, a="1")
    watcher.look(0)
    assert watcher.known == {"a": "1"}
    watcher.look(1)
    assert watcher.known == {}


def test_events_for_several_files_have_lists_that_fit_into_a_param() -> None:
    found = [Entry(path=str(n), fingerprint="1", item={"path": "x" * 1_000, "size": n}) for n in range(100)]
    groups = list(batches(found))
    assert [each.path for group in groups for each in group] == [str(n) for n in range(100)]
    item = together(groups[0])
    assert (len(groups) > 1, item["count"], item["size"]) == (True, len(groups[0]), list(range(len(groups[0]))))
    assert len(msgspec.json.encode(item["path"])) <= 32 * 1024
    assert list(batches([])) == []


# -- which files count -----------------------------------------------------------------------------------------------


def chosen(found: Iterable[FileFound | None], **place: str) -> dict[str, str]:
    listing = choose(Place(**{"directory": "/in", "pattern": "*", **place}), found)
    return {path: each.fingerprint for path, each in listing.entries.items()}


def test_files_that_are_being_written_or_whose_names_do_not_fit_are_left_out() -> None:
    names = ["a.csv", "b.txt", ".c.csv", "d.csv.part", "e.csv.TMP", "f.csv.filepart", "G.CSV", "h\n.csv"]
    found = [FileFound(name, 1, 2) for name in names]
    assert list(chosen(found, pattern="*.csv")) == ["/in/a.csv", "/in/h\n.csv"]
    assert list(chosen([FileFound("a", 1, 2), None], directory="/")) == ["/a"]


def test_with_a_marker_a_file_counts_when_it_is_there_and_changes_with_it() -> None:
    files = [FileFound("a.csv", 1, 1), FileFound("b.csv", 1, 1), FileFound("a.csv.done", 0, 7)]
    assert chosen(files, marker=".done") == {"/in/a.csv": "0-7"}


@pytest.mark.parametrize("name", ["a\udcff", "a\0b", "../a", "x" * 2_500])
def test_names_that_no_row_can_have_are_counted_and_left_out(name: str) -> None:
    listing = choose(Place(directory="/in", pattern="*"), [FileFound(name, 1, 1), FileFound("b", 1, 1)])
    assert (list(listing.entries), listing.unreadable) == (["/in/b"], 1)


def test_a_directory_with_too_many_names_of_any_kind_is_refused() -> None:
    assert chosen([None] * MOST_ENTRIES) == {}
    with pytest.raises(LookError, match="/in has more than 10,000 names"):
        chosen([None] * (MOST_ENTRIES + 1))


@pytest.mark.parametrize("changed", [-(10**18), 0, 2**63])
def test_a_time_that_no_calendar_has_is_shown_as_the_nearest(changed: int) -> None:
    (entry,) = choose(Place(directory="/in", pattern="*"), [FileFound("a", 1, changed)]).entries.values()
    assert str(entry.item["modified"])[:4] in ("1970", "2262", "9999")


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (FILES, {}, "settings.files: is missing"),
        (FILES, {"files": "inbox/*"}, "settings.files: 'inbox/*' is no pattern of files"),
        (FILES, {"files": "/srv/"}, "settings.files: '/srv/' is no pattern of files"),
        (FILES, {"files": "/srv/*/a"}, "settings.files: '/srv/*/a' is no pattern of files"),
        (FILES, {"files": "/srv/\0"}, "is no pattern of files"),
        (FILES, {"files": "/srv/*", "url": "http://a"}, "settings.url: is no option of a trigger of the kind files"),
        (FILES, {"files": "/srv/*", "time_header": "X"}, "settings.timeHeader: is no option"),
        (FILES, {"files": "/srv/*", "marker": "a/b"}, "settings.marker: is no end of a name"),
        (SFTP, {"url": "sftp://host/out/*"}, "settings.url: 'sftp://host/out/*' is no address"),
        (SFTP, {"url": "sftp://me:secret@host/out/*"}, "is no address"),
        (SFTP, {"url": "sftp://me@host:65536/out/*"}, "is no address"),
        (SFTP, {"url": "sftp://me@host/out/"}, "settings.url: '/out/' is no pattern of files"),
        (SFTP, {"url": "sftp://me@host/*", "changed": "json:/a"}, "settings.changed: is no option"),
        (HTTP, {"url": "ftp://a/b"}, "settings.url: 'ftp://a/b' is no address"),
        (HTTP, {"url": "https://me:secret@a/b"}, "is no address"),
        (HTTP, {"url": "https://a/b c"}, "is no address"),
        (HTTP, {"url": "https://a/ü"}, "is no address"),
        (HTTP, {"url": "https://a/b", "settle": 1}, "settings.settle: is no option"),
        (HTTP, {"url": "https://a/b", "changed": "header:X"}, "settings.changed: 'header:X' is not in the body"),
    ],
)
def test_options_that_make_no_sense_are_named(kind: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        options.check_options(kind, WebhookSettings(**given))
    assert message in refused.value.message


def test_an_address_says_who_logs_in_where_and_what_is_listed() -> None:
    server, path = options.sftp_server("sftp://acme@[::1]:2222/out/a?.csv")
    assert (server.user, server.host, server.port, path) == ("acme", "::1", 2222, "/out/a?.csv")
    place = options.place_of(WebhookSettings(files="/srv//inbox/*.csv"))
    assert (place.directory, place.pattern) == ("/srv/inbox", "*.csv")
    assert options.place_of(WebhookSettings(files="/*")).directory == "/"


@pytest.mark.parametrize(
    ("kind", "pointer"), [(FILES, "json:/a"), (FILES, "item:url"), (HTTP, "item:path"), (SFTP, "header:X")]
)
def test_a_value_that_no_event_has_is_refused(kind: str, pointer: str) -> None:
    with pytest.raises(BadRequestError, match="has no such value; write one of item:"):
        options.check_pointer(kind, Pointer.read(pointer, "params"))


@pytest.mark.parametrize(
    ("kind", "secret", "message"),
    [(FILES, "x", "needs none"), (SFTP, " ", "is missing"), (HTTP, "a\nb", "is no token"), (HTTP, "ü", "is no token")],
)
def test_a_secret_is_one_of_its_kind(kind: str, secret: str, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        options.check_secret(kind, secret)


def test_what_a_marker_says_to_be_whole_does_not_have_to_rest() -> None:
    assert options.settle_seconds(FILES, WebhookSettings()) == 10
    assert options.settle_seconds(FILES, WebhookSettings(settle=0)) == 0
    assert options.settle_seconds(SFTP, WebhookSettings(marker=".done")) == 0
    assert options.settle_seconds(HTTP, WebhookSettings()) == 0
