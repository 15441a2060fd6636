"""Parameters of paths and queries, declared once.

Their bounds are documented as the contract has them but not enforced by the framework: out of range is
leniently read as the behaviour reference says (1.7, 3.9), and a path value that cannot exist is a 404 (1.5).
"""

from __future__ import annotations

from typing import Annotated, Literal

from litestar.params import HeaderParameter, PathParameter, QueryParameter

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
Count = Annotated[int, QueryParameter(name="count", schema_extra={"minimum": 1, "maximum": 100})]
Sort = Annotated[str, QueryParameter(name="sort", schema_extra={"enum": ["name", "nextRun"]})]
Order = Annotated[str, QueryParameter(name="order", schema_extra={"enum": ["asc", "desc"]})]
Tail = Annotated[int | None, QueryParameter(name="tail", schema_extra=_FROM_ONE)]
Head = Annotated[int | None, QueryParameter(name="head", schema_extra=_FROM_ONE)]
Offset = Annotated[int | None, QueryParameter(name="offset", schema_extra=_FROM_ONE)]
MostComing = Annotated[int, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 1000})]
Until = Annotated[int | None, QueryParameter(name="until")]
Limit = Annotated[int | None, QueryParameter(name="limit", schema_extra={"minimum": 1, "maximum": 10000})]
Code = Annotated[str, QueryParameter(name="code")]
LoginState = Annotated[str, QueryParameter(name="state")]
OriginalUrl = Annotated[str, QueryParameter(name="originalURL")]
Everybody = Annotated[bool, QueryParameter(name="all")]
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
IsExpression = Annotated[bool, QueryParameter(name="regex")]
After = Annotated[str | None, QueryParameter(name="after")]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]
OfDag = Annotated[str | None, QueryParameter(name="dag")]
OfRun = Annotated[str | None, QueryParameter(name="run")]
OnlyDag = Annotated[str | None, QueryParameter(name="dagName")]
Integrity = Annotated[bool, QueryParameter(name="integrity")]
Stream = Annotated[Literal["stdout", "stderr"], QueryParameter(name="stream")]
