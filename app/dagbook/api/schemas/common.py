"""Base of all schemas with camelCase names, error body and pagination."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.errors import ErrorCode
from dagbook.json_values import Json


class Schema(msgspec.Struct, rename="camel", kw_only=True):
    """Base of all bodies. A required field has no default; an optional one is omitted while it is unset."""


class Error(Schema, kw_only=True):
    """The body of every error response (contract: Error)."""

    code: ErrorCode
    message: str
    details: dict[str, Json] | UnsetType = UNSET


class Pagination(Schema, kw_only=True):
    """Paging information of a list (api-behaviour 1.7)."""

    total_records: int
    current_page: int
    total_pages: int
    next_page: int
    prev_page: int


class Health(Schema, kw_only=True):
    """Health of the server (contract: HealthResponse)."""

    status: Literal["healthy", "unhealthy"]
    version: str
    uptime: int
    timestamp: str
    audit_copy: Literal["failing"] | UnsetType = UNSET
    runs: Literal["held"] | UnsetType = UNSET
    alerts: Literal["failing"] | UnsetType = UNSET
    problem: str | UnsetType = UNSET
