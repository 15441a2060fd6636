"""Application errors: an error code of the API, a message with the fix, and an HTTP status."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from dagbook.spec.problem import Problem

# As the contract lists them.
ErrorCode = Literal[
    "forbidden",
    "bad_request",
    "not_found",
    "internal_error",
    "unauthorized",
    "bad_gateway",
    "remote_node_error",
    "max_run_reached",
    "not_running",
    "already_exists",
]


class AppError(Exception):
    """Base of all errors whose message is shown to the caller."""

    code: ErrorCode = "bad_request"
    status = 400
    details: Mapping[str, str] | None = None  # for programs, in the body of the response

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.message = message
        self.headers = headers  # extra headers of the response
        super().__init__(message)


class BadRequestError(AppError):
    """The request is invalid."""


class InvalidSpecError(BadRequestError):
    """The definition has problems, all of which the message lists."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))


class UnauthorizedError(AppError):
    """The caller is not authenticated, or not in the required way; ``challenge`` names the scheme to use, if any."""

    code, status = "unauthorized", 401

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message, {"WWW-Authenticate": f'{challenge} realm="restricted"'} if challenge else None)


class ForbiddenError(AppError):
    """The caller lacks the permission."""

    code, status = "forbidden", 403


class FromSourceError(ForbiddenError):
    """The DAG comes from a source, where it is changed; the details name the source, the file and the page."""

    def __init__(self, message: str, details: Mapping[str, str]) -> None:
        super().__init__(message)
        self.details = details


class NotFoundError(AppError):
    """The requested object does not exist."""

    code, status = "not_found", 404


class TooLargeError(AppError):
    """The body of the request is larger than the limit."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is larger than the {limit} bytes that are read here")


class NotRunningError(AppError):
    """The run has the wrong status for the request."""

    code = "not_running"


class AlreadyExistsError(AppError):
    """The name or id is already in use."""

    code, status = "already_exists", 409


class MaxRunReachedError(AppError):
    """The limit of active runs is reached."""

    code, status = "max_run_reached", 409


class TooManyRequestsError(AppError):
    """The caller has used up its share; ``seconds`` is when to try again."""

    code, status = "forbidden", 429

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, {"Retry-After": str(max(math.ceil(seconds), 1))})


class TooManyAttemptsError(TooManyRequestsError):
    """Too many logins failed, or were attempted at the same time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many attempts to log in; try again in {max(math.ceil(seconds), 1)} seconds", seconds)


class OutdatedError(AppError):
    """The request is for a certain revision, and there is a newer one.

    The API's enum of error codes has none for this; ``already_exists`` is its code for conflicts.
    """

    code, status = "already_exists", 412


class UnavailableError(AppError):
    """The server cannot serve the request at present; the caller did nothing wrong."""

    code, status = "internal_error", 503
