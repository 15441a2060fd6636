"""Path, query and header parameters, declared once; revisions in ETag and If-Match.

Their bounds are documented as in the contract but not enforced by the framework: values out of range are read
leniently as the behaviour reference says (1.7, 3.9), and a path value that cannot exist is a 404 (1.5).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_NAME = {"pattern": "^[a-zA-Z0-9_.-]+$", "format": "regex"}
_RUN_ID = {"pattern": "^[a-zA-Z0-9_-]+$"}
_FROM_ONE = {"minimum": 1}
_STATUSES = "Runs of this status: " + ", ".join(f"{status.value} {status.label}" for status in RunStatus) + "."

FileName = Annotated[str, PathParameter(name="fileName", schema_extra=_NAME)]
DagName = Annotated[str, PathParameter(name="name", schema_extra=_NAME)]
AnyDagName = Annotated[str, PathParameter(name="name")]
DagRunId = Annotated[str, PathParameter(name="dagRunId", schema_extra=_RUN_ID)]
SubRunId = Annotated[str, PathParameter(name="subDAGRunId")]
RevisionNumber = Annotated[str, PathParameter(name="number", schema_extra={"pattern": "^[1-9][0-9]*$"})]
StepName = Annotated[str, PathParameter(name="stepName")]
UserId = Annotated[str, PathParameter(name="userId", schema_extra={"minLength": 1})]
QueueName = Annotated[str, PathParameter(name="name")]
QueueItem = Annotated[str, PathParameter(name="itemId", schema_extra={"pattern": "^[1-9][0-9]*$"})]
SessionId = Annotated[str, PathParameter(name="sessionId")]
SessionsOf = Annotated[str | None, QueryParameter(name="username", description="User whose sessions end; admins only.")]
SourceName = Annotated[str, PathParameter(name="sourceName", schema_extra=_NAME)]
Signature = Annotated[
    str | None,
    HeaderParameter(
        name="X-Hub-Signature-256", description="HMAC-SHA256 of the body with the source's secret, as sha256=HEX."
    ),
]
OnlyProblems = Annotated[
    bool, QueryParameter(name="problems", description="Only files with problems, and removed ones.")
]
GroupId = Annotated[str, PathParameter(name="groupId")]
GrantId = Annotated[str, PathParameter(name="grantId")]
TokenId = Annotated[str, PathParameter(name="tokenId")]

RemoteNode = Annotated[
    str, QueryParameter(name="remoteNode", description="Name of the server that the request is forwarded to.")
]
Page = Annotated[int, QueryParameter(name="page", description="Number of the page, from 1.", schema_extra=_FROM_ONE)]
PerPage = Annotated[
    int, QueryParameter(name="perPage", description="Entries of a page.", schema_extra={"minimum": 1, "maximum": 1000})
]
Status = Annotated[
    int | None,
    QueryParameter(name="status", description=_STATUSES, schema_extra={"enum": [0, 1, 2, 3, 4, 5, 6]}),
]
FromDate = Annotated[
    int | None, QueryParameter(name="fromDate", description="Runs created from this time on, in seconds since 1970.")
]
ToDate = Annotated[
    int | None, QueryParameter(name="toDate", description="Runs created before this time, in seconds since 1970.")
]
RunIdPart = Annotated[
    str | None, QueryParameter(name="dagRunId", description="Runs whose id contains this text.", schema_extra=_RUN_ID)
]
ParentSubRunId = Annotated[
    str | None, QueryParameter(name="parentSubDAGRunId", description="Sub-runs of this sub-run.")
]
Duration = Annotated[str, QueryParameter(name="duration", description="Period up to now, such as 30m or 6h.")]
Text = Annotated[str | None, QueryParameter(name="name", description="Text that the name contains.")]
Query = Annotated[str, QueryParameter(name="q", description="What is searched.")]
Tag = Annotated[str | None, QueryParameter(name="tag", description="DAGs with this tag.")]
Tags = Annotated[list[str] | None, QueryParameter(name="tag", description="Runs with this tag; repeated, all of them.")]
RunParams = Annotated[
    list[str] | None,
    QueryParameter(name="param", description="Runs with this param, as NAME=value; repeated, all of them."),
]
Trigger = Annotated[
    str | None, QueryParameter(name="trigger", description="Runs with this trigger, such as api, schedule or call.")
]
Actor = Annotated[str | None, QueryParameter(name="actor", description="Entries, or runs, of this user.")]
RevisionFilter = Annotated[
    int | None,
    QueryParameter(name="revision", description="Runs of this revision of their DAG.", schema_extra=_FROM_ONE),
]
SubRuns = Annotated[
    Literal["exclude", "include", "only"],
    QueryParameter(name="subRuns", description="Whether runs that steps of other runs called are listed."),
]
MinDuration = Annotated[
    str | None,
    QueryParameter(
        name="minDuration", description="Finished runs that took at least this long: seconds, or as 90s, 5m, 1h30m."
    ),
]
MaxDuration = Annotated[
    str | None, QueryParameter(name="maxDuration", description="Finished runs that took at most this long.")
]
ErrorPart = Annotated[
    str | None, QueryParameter(name="error", description="Finished runs with this text in their errors, ignoring case.")
]
Recent = Annotated[
    int, QueryParameter(name="recent", description="Newest runs that each DAG is listed with.", ge=0, le=20)
]
RunLimit = Annotated[
    int | None,
    QueryParameter(name="limit", description="Runs of a page.", schema_extra={"minimum": 1, "maximum": 1000}),
]
CursorText = Annotated[str | None, QueryParameter(name="cursor", description="The nextCursor of the previous page.")]
Last = Annotated[
    int | None,
    QueryParameter(
        name="last", description="Newest finished runs that count.", schema_extra={"minimum": 1, "maximum": 1000}
    ),
]
Days = Annotated[
    int | None,
    QueryParameter(
        name="days", description="Finished runs of as many days count.", schema_extra={"minimum": 1, "maximum": 3650}
    ),
]
HistoryDays = Annotated[
    int, QueryParameter(name="days", description="Days up to today.", schema_extra={"minimum": 1, "maximum": 366})
]
Zone = Annotated[
    str | None, QueryParameter(name="zone", description="Time zone that days begin in, such as Europe/Berlin.")
]
Count = Annotated[
    int,
    QueryParameter(name="count", description="Starts that are listed.", schema_extra={"minimum": 1, "maximum": 100}),
]
Sort = Annotated[
    str, QueryParameter(name="sort", description="What DAGs are sorted by.", schema_extra={"enum": ["name", "nextRun"]})
]
Order = Annotated[
    str, QueryParameter(name="order", description="The direction of sorting.", schema_extra={"enum": ["asc", "desc"]})
]
Tail = Annotated[int | None, QueryParameter(name="tail", description="Last lines.", schema_extra=_FROM_ONE)]
Head = Annotated[int | None, QueryParameter(name="head", description="First lines.", schema_extra=_FROM_ONE)]
Offset = Annotated[
    int | None, QueryParameter(name="offset", description="Number of the first line, from 1.", schema_extra=_FROM_ONE)
]
UpcomingLimit = Annotated[
    int,
    QueryParameter(
        name="limit",
        description="How many starts, stops and restarts at most.",
        schema_extra={"minimum": 1, "maximum": 1000},
    ),
]
PerDagLimit = Annotated[
    int | None,
    QueryParameter(
        name="perDag",
        description="How many starts, stops and restarts of each DAG at most.",
        schema_extra={"minimum": 1, "maximum": 1000},
    ),
]
Until = Annotated[
    int | None, QueryParameter(name="until", description="Starts before this time, in seconds since 1970.")
]
Limit = Annotated[
    int | None,
    QueryParameter(name="limit", description="Lines of a page.", schema_extra={"minimum": 1, "maximum": 10000}),
]
Code = Annotated[str, QueryParameter(name="code")]
LoginState = Annotated[str, QueryParameter(name="state")]
OriginalUrl = Annotated[str, QueryParameter(name="originalURL")]
AllUsers = Annotated[bool, QueryParameter(name="all", description="Those of all users; admins only.")]
FromRevision = Annotated[
    int, QueryParameter(name="from", description="Number of the older revision.", schema_extra=_FROM_ONE)
]
ToRevision = Annotated[
    int, QueryParameter(name="to", description="Number of the newer revision.", schema_extra=_FROM_ONE)
]
AuditAction = Annotated[
    str | None,
    QueryParameter(
        name="action", description="Entries of this action, or with a point at its end, of those that begin so."
    ),
]
AuditObject = Annotated[str | None, QueryParameter(name="object", description="Entries about this object.")]
RequestId = Annotated[
    str | None, QueryParameter(name="requestId", description="Entries of the request with this X-Request-Id.")
]
FromInstant = Annotated[
    str | None,
    QueryParameter(name="from", description="Entries from this time on.", schema_extra={"format": "date-time"}),
]
ToInstant = Annotated[
    str | None, QueryParameter(name="to", description="Entries before this time.", schema_extra={"format": "date-time"})
]
BeforeEntry = Annotated[
    int | None,
    QueryParameter(name="before", description="Entries older than this one, by its number.", schema_extra=_FROM_ONE),
]
AuditLimit = Annotated[
    int, QueryParameter(name="limit", description="Entries of a page.", schema_extra={"minimum": 1, "maximum": 1000})
]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="ETag of the revision that the change is for; another one is answered with 412."
    ),
]
AfterNumber = Annotated[
    int, QueryParameter(name="after", description="Number of the last event of the previous page.", ge=0, le=2**31 - 1)
]
PageLimit = Annotated[int, QueryParameter(name="limit", description="Entries of a page.", ge=1, le=1000)]
Step = Annotated[str | None, QueryParameter(name="step", description="Output of this step only.")]
EitherStream = Annotated[
    Literal["stdout", "stderr"] | None, QueryParameter(name="stream", description="Output of this stream only.")
]
IsRegex = Annotated[bool, QueryParameter(name="regex", description="Whether q is a regular expression (RE2).")]
After = Annotated[
    str | None,
    QueryParameter(
        name="after", description="What the answer begins after: a place, line or event of a previous answer."
    ),
]
BeforePosition = Annotated[
    str | None,
    QueryParameter(
        name="before", description="What the answer ends before, of a previous answer; end for the last page."
    ),
]
LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Id of the last event that was received.")
]
ByDag = Annotated[str | None, QueryParameter(name="dag", description="Changes, or slots, of this DAG only.")]
ByRun = Annotated[str | None, QueryParameter(name="run", description="Changes of this run only, as NAME/RUN_ID.")]
OutputOf = Annotated[
    list[str] | None,
    QueryParameter(name="output", description="The output of this run, too, as NAME/RUN_ID; repeated, of all of them."),
]
ByDagName = Annotated[str | None, QueryParameter(name="dagName", description="The DAG with this name only.")]
Integrity = Annotated[
    bool, QueryParameter(name="integrity", description="Whether the database checks its own files, too.")
]
Stream = Annotated[Literal["stdout", "stderr"], QueryParameter(name="stream", description="The stream.")]


# A compressing proxy makes tags weak. These tags identify a text and not the bytes sent, so weak ones are as good.
_TAG = r'(?:W/)?"([^"\x00-\x1f]*)"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_NUMBER = re.compile("[1-9][0-9]{0,8}")


def etag(revision: int) -> dict[str, str]:
    """Return the ETag header of a revision; empty for number 0."""
    return {"ETag": f'"{revision}"'} if revision else {}


def expected_revisions(if_match: str | None) -> frozenset[int] | None:
    """Return the revisions that If-Match allows, None for any; raises BadRequestError for an invalid header."""
    if if_match is None or if_match.strip() == "*":
        return None
    if not _TAGS.fullmatch(if_match):
        sent = shorten(if_match)
        raise BadRequestError(
            f'If-Match: {sent} is not an ETag; send the one that came with the text, such as "3" in quotes'
        )
    tags: list[str] = re.findall(_TAG, if_match)
    return frozenset(int(tag) for tag in tags if _NUMBER.fullmatch(tag))


def read_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name; raises BadRequestError."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise BadRequestError(f"zone: {shorten(name)} is no time zone; write one such as Europe/Berlin") from None
