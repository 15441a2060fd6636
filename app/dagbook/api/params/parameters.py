"""Path, query and header parameters, declared once.

Their bounds are documented as in the contract but not enforced by the framework: values out of range are read
leniently as the behaviour reference says (1.7, 3.9), and a path value that cannot exist is a 404 (1.5).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar.params import HeaderParameter, PathParameter, QueryParameter
from msgspec import UnsetType

from dagbook.api.schemas.batches import BatchItemState
from dagbook.api.schemas.overview import OverviewRange
from dagbook.api.schemas.triggers import TriggerEventState
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_NAME = {"pattern": "^[a-zA-Z0-9_.-]+$", "format": "regex"}
_RUN_ID = {"pattern": "^[a-zA-Z0-9_-]+$"}
_NUMBERS = ", ".join(f"{status.value} {status.label}" for status in RunStatus)
_LONGEST_REASON, _FARTHEST_END = 500, timedelta(days=3660)
_STATUSES = f"Runs of this status: {_NUMBERS}."


def _path(name: str, **schema: object) -> PathParameter:
    return PathParameter(name=name, schema_extra=schema or None)


def _query(
    name: str, description: str | None = None, ge: int | None = None, le: int | None = None, **schema: object
) -> QueryParameter:
    """Make a parameter; ``schema`` is documented, while litestar enforces ``ge`` and ``le``."""
    return QueryParameter(name=name, description=description, ge=ge, le=le, schema_extra=schema or None)


def _header(name: str, description: str) -> HeaderParameter:
    return HeaderParameter(name=name, description=description)


FileName = Annotated[str, _path("fileName", **_NAME)]
DagName = Annotated[str, _path("name", **_NAME)]
AnyDagName = Annotated[str, _path("name")]
DagRunId = Annotated[str, _path("dagRunId", **_RUN_ID)]
SubRunId = Annotated[str, _path("subDAGRunId")]
RevisionNumber = Annotated[str, _path("number", pattern="^[1-9][0-9]*$")]
# Handlers trim it as in a definition: browsers resolve `..` as the parent directory, so clients may put a blank before.
StepName = Annotated[str, _path("stepName")]
UserId = Annotated[str, _path("userId", minLength=1)]
QueueName = Annotated[str, _path("name")]
QueueItem = Annotated[str, _path("itemId", pattern="^[1-9][0-9]*$")]
SessionId = Annotated[str, _path("sessionId")]
SessionsOf = Annotated[str | None, _query("username", "User whose sessions end; admins only.")]
SourceName = Annotated[str, _path("sourceName", **_NAME)]
Signature = Annotated[
    str | None, _header("X-Hub-Signature-256", "HMAC-SHA256 of the body with the source's secret, as sha256=HEX.")
]
OnlyProblems = Annotated[bool, _query("problems", "Only files with problems, and removed ones.")]
ChannelName = Annotated[str, _path("channelName", **_NAME)]
RuleName = Annotated[str, _path("ruleName", **_NAME)]
AlertId = Annotated[str, _path("alertId", pattern="^[1-9][0-9]*$")]
DeliveryId = Annotated[str, _path("deliveryId")]
OpenAlerts = Annotated[bool | None, _query("open", "Only alerts that are open, or only past ones.")]
AlertKind = Annotated[str | None, _query("kind", "Alerts of this kind, such as failed.")]
OfDag = Annotated[str | None, _query("dag", "Alerts about the DAG with this name.")]
DeliveryStatus = Annotated[
    Literal["pending", "sent", "failed", "dropped"] | None, _query("status", "Deliveries of this status.")
]
HookName = Annotated[str, _path("hookName", **_NAME)]
TriggerName = Annotated[str, _path("triggerName", **_NAME)]
EventId = Annotated[str, _path("eventId")]
EventState = Annotated[TriggerEventState | None, _query("state", "Events of this state.")]
AlertCursor = Annotated[str | None, _query("cursor", "The nextCursor of the previous page.")]
BatchId = Annotated[str, _path("batchId", pattern="^[1-9][0-9]*$")]
ItemState = Annotated[BatchItemState | None, _query("state", "Items of this state.")]
FirstDay = Annotated[str | None, _query("from", "First day of the schedule, or a time with a zone.")]
LastDay = Annotated[str | None, _query("to", "Last day of the schedule, or a time with a zone.")]
GroupId = Annotated[str, _path("groupId")]
GrantId = Annotated[str, _path("grantId")]
TokenId = Annotated[str, _path("tokenId")]

RemoteNode = Annotated[str, _query("remoteNode", "Name of the server that the request is forwarded to.")]
Page = Annotated[int, _query("page", "Number of the page, from 1.", minimum=1)]
PerPage = Annotated[int, _query("perPage", "Entries of a page.", minimum=1, maximum=1000)]
LatestStatus = Annotated[
    int | None, _query("status", f"DAGs whose latest run has this status: {_NUMBERS}.", enum=[0, 1, 2, 3, 4, 5, 6])
]
LatestWaits = Annotated[
    bool | None, _query("waitingForApproval", "DAGs of whose latest run, a running one, a step waits for an approval.")
]
Status = Annotated[int | None, _query("status", _STATUSES, enum=[0, 1, 2, 3, 4, 5, 6])]
FromDate = Annotated[int | None, _query("fromDate", "Runs created from this time on, in seconds since 1970.")]
ToDate = Annotated[int | None, _query("toDate", "Runs created before this time, in seconds since 1970.")]
RunIdPart = Annotated[str | None, _query("dagRunId", "Runs whose id contains this text.", **_RUN_ID)]
ParentSubRunId = Annotated[str | None, _query("parentSubDAGRunId", "Sub-runs of this sub-run.")]
Duration = Annotated[str, _query("duration", "Period up to now, such as 30m or 6h.")]
Text = Annotated[str | None, _query("name", "Text that the name contains.")]
Query = Annotated[str, _query("q", "What is searched.")]
WithRuns = Annotated[bool, _query("runs", "Whether runs and params are searched, too.")]
Since = Annotated[int | None, _query("after", "Runs created from this time on, in seconds since 1970.")]
Tag = Annotated[str | None, _query("tag", "DAGs with this tag.")]
Tags = Annotated[list[str] | None, _query("tag", "Runs with this tag; repeated, all of them.")]
RunParams = Annotated[list[str] | None, _query("param", "Runs with this param, as NAME=value; repeated, all of them.")]
Trigger = Annotated[str | None, _query("trigger", "Runs with this trigger, such as api, schedule or call.")]
Actor = Annotated[str | None, _query("actor", "Entries, or runs, of this user.")]
RevisionFilter = Annotated[int | None, _query("revision", "Runs of this revision of their DAG.", minimum=1)]
SubRuns = Annotated[
    Literal["exclude", "include", "only"], _query("subRuns", "Whether runs that steps of other runs called are listed.")
]
WaitingForApproval = Annotated[
    bool | None, _query("waitingForApproval", "Running runs of which a step waits for an approval, or does not.")
]
MinDuration = Annotated[
    str | None, _query("minDuration", "Finished runs that took at least this long: seconds, or as 90s, 5m, 1h30m.")
]
MaxDuration = Annotated[str | None, _query("maxDuration", "Finished runs that took at most this long.")]
ErrorPart = Annotated[str | None, _query("error", "Finished runs with this text in their errors, ignoring case.")]
Replaced = Annotated[
    bool, _query("replaced", "Whether runs of a bad status are listed, too, that a batch has replaced by other runs.")
]
Recent = Annotated[int, _query("recent", "Newest runs that each DAG is listed with.", ge=0, le=20)]
RunLimit = Annotated[int | None, _query("limit", "Runs of a page.", minimum=1, maximum=1000)]
CursorText = Annotated[str | None, _query("cursor", "The nextCursor of the previous page.")]
Last = Annotated[int | None, _query("last", "Newest finished runs that count.", minimum=1, maximum=1000)]
Days = Annotated[int | None, _query("days", "Finished runs of as many days count.", minimum=1, maximum=3650)]
HistoryDays = Annotated[int, _query("days", "Days up to today.", minimum=1, maximum=366)]
Zone = Annotated[str | None, _query("zone", "Time zone that days begin in, such as Europe/Berlin.")]
TimeRange = Annotated[OverviewRange, _query("range", "The last night (18:00 to 8:00), 24 hours, 7 days or 30 days.")]
Count = Annotated[int, _query("count", "Starts that are listed.", minimum=1, maximum=100)]
Sort = Annotated[str, _query("sort", "What DAGs are sorted by.", enum=["name", "nextRun"])]
Order = Annotated[str, _query("order", "The direction of sorting.", enum=["asc", "desc"])]
Tail = Annotated[int | None, _query("tail", "Last lines.", minimum=1)]
Head = Annotated[int | None, _query("head", "First lines.", minimum=1)]
Offset = Annotated[int | None, _query("offset", "Number of the first line, from 1.", minimum=1)]
UpcomingLimit = Annotated[int, _query("limit", "How many starts, stops and restarts at most.", minimum=1, maximum=1000)]
PerDagLimit = Annotated[
    int | None, _query("perDag", "How many starts, stops and restarts of each DAG at most.", minimum=1, maximum=1000)
]
Until = Annotated[int | None, _query("until", "Starts before this time, in seconds since 1970.")]
Limit = Annotated[int | None, _query("limit", "Lines of a page.", minimum=1, maximum=10000)]
Code = Annotated[str, _query("code")]
LoginState = Annotated[str, _query("state")]
OriginalUrl = Annotated[str, _query("originalURL")]
AllUsers = Annotated[bool, _query("all", "Those of all users; admins only.")]
FromRevision = Annotated[int, _query("from", "Number of the older revision.", minimum=1)]
ToRevision = Annotated[int, _query("to", "Number of the newer revision.", minimum=1)]
AuditAction = Annotated[
    str | None, _query("action", "Entries of this action, or with a point at its end, of those that begin so.")
]
AuditObject = Annotated[str | None, _query("object", "Entries about this object.")]
RequestId = Annotated[str | None, _query("requestId", "Entries of the request with this X-Request-Id.")]
FromInstant = Annotated[str | None, _query("from", "Entries from this time on.", format="date-time")]
ToInstant = Annotated[str | None, _query("to", "Entries before this time.", format="date-time")]
BeforeEntry = Annotated[int | None, _query("before", "Entries older than this one, by its number.", minimum=1)]
AuditLimit = Annotated[int, _query("limit", "Entries of a page.", minimum=1, maximum=1000)]
TraceParent = Annotated[
    str | None, _header("traceparent", "W3C Trace Context of the caller, which the trace of the run continues.")
]
IfMatch = Annotated[
    str | None, _header("If-Match", "ETag of the revision that the change is for; another one is answered with 412.")
]
AfterNumber = Annotated[int, _query("after", "Number of the last event of the previous page.", ge=0, le=2**31 - 1)]
PageLimit = Annotated[int, _query("limit", "Entries of a page.", ge=1, le=1000)]
Step = Annotated[str | None, _query("step", "Output of this step only.")]
EitherStream = Annotated[Literal["stdout", "stderr"] | None, _query("stream", "Output of this stream only.")]
IsRegex = Annotated[bool, _query("regex", "Whether q is a regular expression (RE2).")]
After = Annotated[
    str | None, _query("after", "What the answer begins after: a place, line or event of a previous answer.")
]
BeforePosition = Annotated[
    str | None, _query("before", "What the answer ends before, of a previous answer; end for the last page.")
]
LastEventId = Annotated[str | None, _header("Last-Event-ID", "Id of the last event that was received.")]
ByDag = Annotated[str | None, _query("dag", "Changes, or slots, of this DAG only.")]
ByRun = Annotated[str | None, _query("run", "Changes of this run only, as NAME/RUN_ID.")]
OutputOf = Annotated[
    list[str] | None, _query("output", "The output of this run, too, as NAME/RUN_ID; repeated, of all of them.")
]
ByDagName = Annotated[str | None, _query("dagName", "The DAG with this name only.")]
Integrity = Annotated[bool, _query("integrity", "Whether the database checks its own files, too.")]
Stream = Annotated[Literal["stdout", "stderr"], _query("stream", "The stream.")]
DownloadStream = Annotated[
    Literal["stdout", "stderr", "all"], _query("stream", "The stream, or both in the order of arrival.")
]
FirstLine = Annotated[int, _query("offset", "Number of the first line, from 1.", ge=1, le=2**31 - 1)]
LineLimit = Annotated[int, _query("limit", "Lines of a page.", ge=1, le=1000)]
LineOf = Annotated[
    Literal["stdout", "stderr"] | None, _query("of", "Stream in which offset counts, if both are selected.")
]
Execution = Annotated[int | None, _query("execution", "Lines of this try or repetition only.", ge=1, le=2**31 - 1)]
IsMerged = Annotated[
    bool, _query("merged", "Whether lines of both streams are counted as one, in the order of arrival; needs step.")
]
WithSubRuns = Annotated[bool, _query("subRuns", "Whether output of sub-runs is included.")]
AtLine = Annotated[
    int | None, _query("line", "The answer begins with the piece of this line of step and stream.", ge=1, le=2**31 - 1)
]
AtSubRun = Annotated[str | None, _query("subRun", "The sub-run that has the line.")]


def read_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name; raises BadRequestError."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise BadRequestError(f"zone: {shorten(name)} is no time zone; write one such as Europe/Berlin") from None


def read_instant(field: str, text: str) -> datetime:
    """Parse a time with a time zone; raises BadRequestError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"{field}: {shorten(text)} is no time; write one such as 2030-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise BadRequestError(f"{field}: has no time zone; write one such as 2030-01-31T12:00:00Z")
    return instant


def read_end(text: str | UnsetType | None, now: datetime) -> datetime | None:
    """Parse the end of a pause, None without one; raises BadRequestError, also if it has passed."""
    if not text:
        return None
    until = read_instant("until", text)
    if until <= now:
        raise BadRequestError(f"until: {shorten(text)} has passed; give a later time, or leave it out")
    if until > now + _FARTHEST_END:
        raise BadRequestError(f"until: {shorten(text)} is more than ten years from now; leave it out for no end")
    return until


def read_reason(text: str | UnsetType | None) -> str | None:
    """Check the reason of a pause, None without one; raises BadRequestError."""
    reason = (text or "").strip()
    if len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise BadRequestError(f"reason: {shorten(reason)} is not one line of at most {_LONGEST_REASON} characters")
    return reason or None
