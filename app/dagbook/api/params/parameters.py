"""Path, query and header parameters, declared once; revisions in ETag and If-Match.

Their bounds are documented as in the contract but not enforced by the framework: values out of range are read
leniently as the behaviour reference says (1.7, 3.9), and a path value that cannot exist is a 404 (1.5).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_NAME = {"pattern": "^[a-zA-Z0-9_.-]+$", "format": "regex"}
_RUN_ID = {"pattern": "^[a-zA-Z0-9_-]+$"}
_FROM_ONE = {"minimum": 1}

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
SessionsOf = Annotated[str | None, QueryParameter(name="username")]
SourceName = Annotated[str, PathParameter(name="sourceName", schema_extra=_NAME)]
Signature = Annotated[str | None, HeaderParameter(name="X-Hub-Signature-256")]
OnlyProblems = Annotated[bool, QueryParameter(name="problems")]
GroupId = Annotated[str, PathParameter(name="groupId")]
GrantId = Annotated[str, PathParameter(name="grantId")]
TokenId = Annotated[str, PathParameter(name="tokenId")]

RemoteNode = Annotated[str, QueryParameter(name="remoteNode")]
Page = Annotated[int, QueryParameter(name="page", schema_extra=_FROM_ONE)]
PerPage = Annotated[int, QueryParameter(name="perPage", schema_extra={"minimum": 1, "maximum": 1000})]
Status = Annotated[int | None, QueryParameter(name="status", schema_extra={"enum": [0, 1, 2, 3, 4, 5, 6]})]
FromDate = Annotated[int | None, QueryParameter(name="fromDate")]
ToDate = Annotated[int | None, QueryParameter(name="toDate")]
RunIdPart = Annotated[str | None, QueryParameter(name="dagRunId", schema_extra=_RUN_ID)]
ParentSubRunId = Annotated[str | None, QueryParameter(name="parentSubDAGRunId")]
Duration = Annotated[str, QueryParameter(name="duration")]
Text = Annotated[str | None, QueryParameter(name="name")]
Query = Annotated[str, QueryParameter(name="q")]
Tag = Annotated[str | None, QueryParameter(name="tag")]
Tags = Annotated[list[str] | None, QueryParameter(name="tag")]
RunParams = Annotated[list[str] | None, QueryParameter(name="param", description="NAME=value")]
Trigger = Annotated[str | None, QueryParameter(name="trigger")]
Actor = Annotated[str | None, QueryParameter(name="actor")]
RevisionFilter = Annotated[int | None, QueryParameter(name="revision", schema_extra=_FROM_ONE)]
SubRuns = Annotated[Literal["exclude", "include", "only"], QueryParameter(name="subRuns")]
MinDuration = Annotated[str | None, QueryParameter(name="minDuration")]
MaxDuration = Annotated[str | None, QueryParameter(name="maxDuration")]
ErrorPart = Annotated[str | None, QueryParameter(name="error")]
Recent = Annotated[int, QueryParameter(name="recent", ge=0, le=20)]
RunLimit = Annotated[int | None, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 1000})]
CursorText = Annotated[str | None, QueryParameter(name="cursor")]
Last = Annotated[int | None, QueryParameter(name="last", schema_extra={"minimum": 1, "maximum": 1000})]
Days = Annotated[int | None, QueryParameter(name="days", schema_extra={"minimum": 1, "maximum": 3650})]
HistoryDays = Annotated[int, QueryParameter(name="days", schema_extra={"minimum": 1, "maximum": 366})]
Zone = Annotated[str | None, QueryParameter(name="zone", description="a time zone such as Europe/Berlin")]
Count = Annotated[int, QueryParameter(name="count", schema_extra={"minimum": 1, "maximum": 100})]
Sort = Annotated[str, QueryParameter(name="sort", schema_extra={"enum": ["name", "nextRun"]})]
Order = Annotated[str, QueryParameter(name="order", schema_extra={"enum": ["asc", "desc"]})]
Tail = Annotated[int | None, QueryParameter(name="tail", schema_extra=_FROM_ONE)]
Head = Annotated[int | None, QueryParameter(name="head", schema_extra=_FROM_ONE)]
Offset = Annotated[int | None, QueryParameter(name="offset", schema_extra=_FROM_ONE)]
UpcomingLimit = Annotated[int, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 1000})]
PerDagLimit = Annotated[int | None, QueryParameter(name="perDag", schema_extra={"minimum": 1, "maximum": 1000})]
Until = Annotated[int | None, QueryParameter(name="until")]
Limit = Annotated[int | None, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 10000})]
Code = Annotated[str, QueryParameter(name="code")]
LoginState = Annotated[str, QueryParameter(name="state")]
OriginalUrl = Annotated[str, QueryParameter(name="originalURL")]
AllUsers = Annotated[bool, QueryParameter(name="all")]
FromRevision = Annotated[int, QueryParameter(name="from", schema_extra=_FROM_ONE)]
ToRevision = Annotated[int, QueryParameter(name="to", schema_extra=_FROM_ONE)]
AuditAction = Annotated[str | None, QueryParameter(name="action")]
AuditObject = Annotated[str | None, QueryParameter(name="object")]
RequestId = Annotated[str | None, QueryParameter(name="requestId")]
FromInstant = Annotated[str | None, QueryParameter(name="from", schema_extra={"format": "date-time"})]
ToInstant = Annotated[str | None, QueryParameter(name="to", schema_extra={"format": "date-time"})]
BeforeEntry = Annotated[int | None, QueryParameter(name="before", schema_extra=_FROM_ONE)]
AuditLimit = Annotated[int, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 1000})]
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
AfterNumber = Annotated[int, QueryParameter(name="after", ge=0, le=2**31 - 1)]
PageLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000)]
Step = Annotated[str | None, QueryParameter(name="step")]
EitherStream = Annotated[Literal["stdout", "stderr"] | None, QueryParameter(name="stream")]
IsRegex = Annotated[bool, QueryParameter(name="regex")]
After = Annotated[str | None, QueryParameter(name="after")]
BeforePosition = Annotated[str | None, QueryParameter(name="before")]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]
ByDag = Annotated[str | None, QueryParameter(name="dag")]
ByRun = Annotated[str | None, QueryParameter(name="run")]
ByDagName = Annotated[str | None, QueryParameter(name="dagName")]
SshHost = Annotated[str, QueryParameter(name="host")]
SshPort = Annotated[int, QueryParameter(name="port", schema_extra={"minimum": 1, "maximum": 65535})]
Integrity = Annotated[bool, QueryParameter(name="integrity")]
Stream = Annotated[Literal["stdout", "stderr"], QueryParameter(name="stream")]


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
