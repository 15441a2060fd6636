"""Error responses: the body ``{code, message, details?}``, and their documentation."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from litestar import Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    SerializationException,
    ValidationException,
)
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap
from msgspec import UNSET

from dagbook.api.auth.oidc_flow import LoginNeededError, redirect_to_login
from dagbook.api.middleware.request_context import AnyRequest, display_path
from dagbook.api.problems import humanize
from dagbook.api.schemas.common import Error
from dagbook.db.errors import DatabaseUnavailable
from dagbook.errors import AppError, ErrorCode
from dagbook.json_values import JsonObject
from dagbook.spec.problem import SpecError

_log = logging.getLogger(__name__)
_NO_BODY = "'data'"  # litestar's message for a missing body
_AFTER_UNDERSCORE = re.compile(r"_([a-z])")
_CODES: dict[int, ErrorCode] = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "already_exists"}
_DESCRIPTIONS = {
    400: "The request, or a definition in it, is invalid",
    401: "The credentials are missing or wrong",
    403: "The caller lacks the permission; or the Host is not allowed, or the request is cross-origin",
    404: "The object does not exist",
    409: "The name or id is taken, or the limit of active runs is reached",
    412: "The DAG's current revision is not the one in If-Match",
    413: "The request body is too large",
    429: "Too many failed logins or invalid credentials, or the caller's share is used up; see Retry-After",
    503: "The database is unavailable",
}
_ALWAYS = (400, 401, 403, 429, 503)


def _error_response(
    status: int,
    code: ErrorCode,
    message: str,
    *,
    details: JsonObject | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[Error]:
    body = Error(code=code, message=message, details=dict(details) if details else UNSET)
    return Response(body, status_code=status, headers=headers)


def _app_error(_: AnyRequest, error: AppError) -> Response[Error]:
    return _error_response(error.status, error.code, error.message, details=error.details, headers=error.headers)


def _spec_error(_: AnyRequest, error: SpecError) -> Response[Error]:
    return _error_response(400, "bad_request", str(error))


def _unavailable(_: AnyRequest, error: DatabaseUnavailable) -> Response[Error]:
    return _error_response(503, "internal_error", f"the database is unavailable: {error.reason}; try again later")


def _validation_error(_: AnyRequest, error: ValidationException) -> Response[Error]:
    problems = [_problem(item) for item in error.extra if isinstance(item, dict)] if error.extra else []
    message = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems)
    return _error_response(
        400, "bad_request", message or error.detail, details={"problems": problems} if problems else None
    )


def _problem(item: Mapping[str, object]) -> dict[str, str]:
    """Return a problem with the field's name in the API: litestar reports the name of the Python parameter."""
    key, message = str(item.get("key", "data")), str(item["message"])
    if message == _NO_BODY:
        return {"field": "body", "message": "is missing; send a JSON object"}
    camel_case = _AFTER_UNDERSCORE.sub(lambda match: match[1].upper(), key.rstrip("_"))
    field, text = humanize("body" if key == "data" else camel_case, message)
    return {"field": field, "message": text}


def http_error(request: AnyRequest, error: HTTPException) -> Response[Error]:
    """Convert an error that the framework raises itself."""
    match error:
        case NotFoundException():
            return _error_response(404, "not_found", f"there is nothing at {display_path(request.url.path)}")
        case MethodNotAllowedException():
            allow = {"Allow": (error.headers or {}).get("allow", "")}
            return _error_response(405, "bad_request", f"{request.method} is not possible here", headers=allow)
    if isinstance(error.__cause__, SerializationException):
        return _error_response(400, "bad_request", f"the request body is not valid JSON: {error.detail}")
    if error.status_code == 413:  # noqa: PLR2004 - litestar has no exception class for it
        limit = request.route_handler.resolve_request_max_body_size()
        return _error_response(
            413, "bad_request", f"the request body is larger than the {limit} bytes that are read here"
        )
    code = _CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")  # noqa: PLR2004
    return _error_response(error.status_code, code, error.detail or "the request could not be handled")


def _unexpected(request: AnyRequest, error: Exception) -> Response[Error]:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _error_response(500, "internal_error", "something went wrong inside the server; its log says what")


def make_handlers() -> ExceptionHandlersMap:
    """Return what handles each kind of error."""
    return {
        LoginNeededError: redirect_to_login,
        AppError: _app_error,
        SpecError: _spec_error,
        DatabaseUnavailable: _unavailable,
        ValidationException: _validation_error,
        HTTPException: http_error,
        Exception: _unexpected,
    }


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document these statuses in addition to those that every operation may return."""
    return {
        status: ResponseSpec(Error, generate_examples=False, description=_DESCRIPTIONS[status])
        for status in sorted({*_ALWAYS, *statuses})
    }
