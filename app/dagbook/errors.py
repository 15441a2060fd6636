"""The one error that reaches a user: a code of the contract, a message with the fix, an HTTP status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dagbook.spec.problem import Problem


class AppError(Exception):
    """Something the caller can understand and act on."""

    code = "bad_request"
    status = 400

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.message = message
        self.headers = headers  # of the answer, where it has some of its own
        super().__init__(message)


class BadRequestError(AppError):
    """The request itself is wrong."""


class InvalidSpecError(BadRequestError):
    """A definition has problems; the message names all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))


class UnauthorizedError(AppError):
    """Who asks is not known, or not by what it takes. ``challenge`` names the way to log in, if there is one."""

    code, status = "unauthorized", 401

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message, {"WWW-Authenticate": f'{challenge} realm="restricted"'} if challenge else None)


class ForbiddenError(AppError):
    """The request is not allowed."""

    code, status = "forbidden", 403


class NotFoundError(AppError):
    """There is no such thing."""

    code, status = "not_found", 404


class NotRunningError(AppError):
    """The run is in no state for this."""

    code = "not_running"


class AlreadyExistsError(AppError):
    """The name or id is taken."""

    code, status = "already_exists", 409


class MaxRunReachedError(AppError):
    """The limit of active runs does not allow another one."""

    code, status = "max_run_reached", 409


class TooManyAttemptsError(AppError):
    """Too many logins have failed, or were tried at once."""

    code, status = "forbidden", 429

    def __init__(self, seconds: int) -> None:
        message = f"too many attempts to log in; try again in {seconds} seconds"
        super().__init__(message, {"Retry-After": str(seconds)})


class OutdatedError(AppError):
    """The request says which revision it was made for, and there is another one by now.

    The contract's enum has no word of its own for it; of its words for conflicts this is the one for what exists.
    """

    code, status = "already_exists", 412


class UnavailableError(AppError):
    """The server cannot do this now, through no fault of the caller."""

    code, status = "internal_error", 503
