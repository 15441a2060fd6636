"""Error responses: the body ``{code, message, details?}``, messages of failed validation, and their documentation."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from litestar import Request, Response
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
from dagbook.api.middleware.request_context import display_path
from dagbook.api.params import parameters
from dagbook.api.schemas.common import Error, ErrorCode
from dagbook.db.errors import DatabaseUnavailable
from dagbook.errors import AppError
from dagbook.spec.problem import SpecError

_log = logging.getLogger(__name__)
_NO_BODY = "'data'"  # litestar's message for a missing body
_AFTER_UNDERSCORE = re.compile(r"_([a-z])")
_CODES: dict[int, ErrorCode] = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "already_exists"}
AnyRequest = Request[Any, Any, Any]


def _error_response(
    status: int,
    code: ErrorCode,
    message: str,
    *,
    details: dict[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[Error]:
    return Response(Error(code=code, message=message, details=details or UNSET), status_code=status, headers=headers)


def _app_error(_: AnyRequest, error: AppError) -> Response[Error]:
    code: ErrorCode = error.code  # type: ignore[assignment]  # the contract lists all codes
    details = dict(error.details) if error.details else None
    return _error_response(error.status, code, error.message, details=details, headers=error.headers)


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


def _problem(item: dict[str, Any]) -> dict[str, str]:
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


HANDLERS: ExceptionHandlersMap = {
    LoginNeededError: redirect_to_login,
    AppError: _app_error,
    SpecError: _spec_error,
    DatabaseUnavailable: _unavailable,
    ValidationException: _validation_error,
    HTTPException: http_error,
    Exception: _unexpected,
}


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


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document these statuses in addition to those that every operation may return."""
    return {
        status: ResponseSpec(Error, generate_examples=False, description=_DESCRIPTIONS[status])
        for status in sorted({*_ALWAYS, *statuses})
    }


def empty_or_errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Document a 200 without a body; the framework would document a JSON ``null``."""
    return {200: ResponseSpec(None, description="Done"), **errors(*statuses)}


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_BOUND = re.compile(r"Expected `[^`]+` (<=|>=) (.+)")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_BOUNDS = {"<=": "at most", ">=": "at least"}
_CHOICE, _TIME = "Invalid enum value ", "Invalid RFC3339 encoded datetime"
_QUERY_CHOICES: dict[str, Sequence[Any]] = {
    parameter.name: get_args(kind) for kind, parameter in map(get_args, (parameters.Stream, parameters.SubRuns))
}


def humanize(field: str, message: str) -> tuple[str, str]:
    """Return the field and a readable message for a msgspec message; a missing field is reported by its own name."""
    if match := _TYPE.fullmatch(message):
        return field, f"must be {_kinds(match[1])}, not {_kinds(match[2])}"
    if match := _BOUND.fullmatch(message):
        return field, f"must be {_BOUNDS[match[1]]} {match[2]}"
    if match := _MISSING.fullmatch(message):
        return match[1] if field == "body" else f"{field}.{match[1]}", "is missing"
    if message == _TIME:
        return field, "must be a time with a time zone, such as 2030-01-31T12:00:00Z"
    if message.startswith(_CHOICE):
        return field, add_choices(message, _QUERY_CHOICES.get(field, ()))
    return field, message


def _kinds(names: str) -> str:
    """Describe types such as ``int | null``; null is left out, because it is never the fix."""
    kinds = [kind for kind in names.split(" | ") if kind != "null"] or ["null"]
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds)


def add_choices(message: str, choices: Sequence[Any]) -> str:
    """Add the valid values to msgspec's message about an invalid enum value."""
    if not choices or not message.startswith(_CHOICE):
        return message
    return f"must be one of {', '.join(map(str, choices))}, not {message.removeprefix(_CHOICE)}"


def choices_of(annotation: Any, field: str) -> Sequence[Any]:
    """Return the valid values of a request body's field that is an enum or a literal; empty for other fields."""
    for kind in _members(msgspec.inspect.type_info(annotation)):
        if isinstance(kind, msgspec.inspect.StructType):
            for struct_field in kind.fields:
                if struct_field.encode_name == field:
                    return _values(struct_field.type)
    return ()


def _values(kind: msgspec.inspect.Type) -> Sequence[Any]:
    for member in _members(kind):
        if isinstance(member, msgspec.inspect.EnumType):
            return [item.value for item in member.cls]
        if isinstance(member, msgspec.inspect.LiteralType):
            return member.values
    return ()


def _members(kind: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Type]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
