"""The errors that an operation documents."""

from __future__ import annotations

from litestar.openapi.datastructures import ResponseSpec

from dagbook.api.schemas.common import Error

_DESCRIPTIONS = {
    400: "The request, or a definition in it, is wrong",
    401: "Who asks is not known, or their password is wrong",
    403: "Who asks may not do this; or it comes by a foreign host name, or from another site's page",
    404: "There is no such thing",
    409: "The name or id is taken, or the limit of active runs is reached",
    412: "The DAG has another revision by now than the one that If-Match names",
    413: "The request body is too long",
    429: "Too many logins have failed; Retry-After says when to try again",
    503: "The database is unavailable",
}
_ALWAYS = (400, 401, 403, 503)


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document these statuses beside those that every operation may answer with."""
    return {
        status: ResponseSpec(Error, generate_examples=False, description=_DESCRIPTIONS[status])
        for status in sorted({*_ALWAYS, *statuses})
    }


def empty_or_errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document that a 200 has no body; the framework would document a JSON ``null``."""
    return {200: ResponseSpec(None, description="It is done"), **errors(*statuses)}
