"""Error responses in the OpenAPI document."""

from __future__ import annotations

from litestar.openapi.datastructures import ResponseSpec

from dagbook.api.schemas.common import Error

_DESCRIPTIONS = {
    400: "The request, or a definition in it, is invalid",
    401: "The credentials are missing or wrong",
    403: "The caller lacks the permission; or the Host is not allowed, or the request is cross-origin",
    404: "The object does not exist",
    409: "The name or id is taken, or the limit of active runs is reached",
    412: "The DAG's current revision is not the one in If-Match",
    413: "The request body is too large",
    429: "Too many failed logins; Retry-After says when to try again",
    503: "The database is unavailable",
}
_ALWAYS = (400, 401, 403, 503)


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document these statuses in addition to those that every operation may return."""
    return {
        status: ResponseSpec(Error, generate_examples=False, description=_DESCRIPTIONS[status])
        for status in sorted({*_ALWAYS, *statuses})
    }


def empty_or_errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document a 200 without a body; the framework would document a JSON ``null``."""
    return {200: ResponseSpec(None, description="Done"), **errors(*statuses)}
