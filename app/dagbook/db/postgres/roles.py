"""Privileges of PostgreSQL roles: for workers what executing runs needs, for readers the report views; nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from dagbook.db.backend import ReadConnection
from dagbook.db.errors import translate_errors
from dagbook.db.postgres.postgres import postgres_arguments
from dagbook.db.url import parse_url

Grants = Mapping[str, str]  # privileges by table or view, on all columns or on those in parentheses
# Not in it: users but for their scope, tokens, seals, settings and retention of DAGs, marks of schedules.
WORKER: Grants = {
    "alembic_version": "SELECT",
    # Of mails of definitions, which it stores and sends; neither channels nor what receivers have answered.
    "alert_deliveries": "INSERT, SELECT (id, purpose, status, tries, lease_owner), "
    "UPDATE (status, tries, reason, due_at, sent_at, lease_owner, lease_until, attempts)",
    "alert_events": "INSERT, SELECT (subject, routed_at)",
    "alert_rules": "SELECT (enabled, tells_success)",
    "alerts": "SELECT (subject_kind, subject, closed_at)",
    "approvals": "SELECT, INSERT",
    "audit": "INSERT",  # a trigger refuses all but secret.read, see migrations/triggers/0103
    "changes": "SELECT, INSERT",
    "dag_access": "SELECT",  # for calls: whether the rights of the run's person include them
    "dag_revisions": "SELECT",
    "dags": "SELECT",
    "definitions": "SELECT, INSERT",
    "grants": "SELECT (token_id, pattern)",
    "holds": "SELECT",
    "log_chunks": "SELECT, INSERT",
    "nodes": "SELECT, INSERT, UPDATE",
    "pauses": "SELECT",
    "pgqueuer": "SELECT, INSERT, UPDATE, DELETE",
    "pgqueuer_log": "SELECT, INSERT, UPDATE, DELETE",
    "queue_entries": "SELECT, INSERT, DELETE",
    "queue_pauses": "SELECT",
    "removals": "SELECT",
    "run_attempts": "SELECT, INSERT, UPDATE",
    "run_errors": "SELECT, INSERT, DELETE",
    "run_events": "SELECT, INSERT",
    "run_inputs": "SELECT, INSERT, UPDATE",
    "run_params": "SELECT, INSERT, DELETE",
    "run_requests": "SELECT, INSERT, UPDATE",
    "run_tags": "SELECT, INSERT",
    "runs": "SELECT, INSERT, UPDATE",
    "secret_uses": "INSERT",
    "services": "SELECT, INSERT, UPDATE",
    "ssh_host_keys": "SELECT",  # which a start moves to its file of known hosts
    "summaries": "SELECT, INSERT, UPDATE",
    # Of triggers that follow a DAG, whose events it stores at the end of a run; neither secrets nor bodies.
    "trigger_events": "INSERT, SELECT (run_id, depth)",
    "triggers": "SELECT (id, upstream_id, settings)",
    "user_group_members": "SELECT",
    "users": "SELECT (id, scope)",
}
AUDIT_VIEW = "report_v1_audit"
READER: Grants = dict.fromkeys(
    (*(f"report_v1_{name}" for name in ("runs", "steps", "attempts", "queue", "slots", "dags")), AUDIT_VIEW), "SELECT"
)
_SEQUENCES = text(
    "SELECT s.relname, t.relname AS owner FROM pg_class s JOIN pg_class t ON t.oid = "
    "  (SELECT refobjid FROM pg_depend WHERE objid = s.oid AND deptype IN ('a', 'i') LIMIT 1) "
    "WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace"
)
_ROLE = text("SELECT rolsuper OR rolname = current_user AS is_owner FROM pg_roles WHERE rolname = :role")
_HELD = text(
    "SELECT relname, privilege || CASE WHEN has_table_privilege(:role, oid, privilege) THEN '' ELSE ' (…)' END "
    "  AS privilege FROM pg_class CROSS JOIN "
    "  unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege "
    "WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND relnamespace = current_schema()::regnamespace "
    "  AND (has_table_privilege(:role, oid, privilege) "
    "    OR privilege IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege(:role, oid, privilege))"
)
_WHO = text("SELECT current_user")
_HAS = text(
    "SELECT CASE WHEN :columns = '' THEN has_table_privilege(c.oid, :privilege) ELSE "
    "  (SELECT bool_and(has_column_privilege(c.oid, a, :privilege)) FROM unnest(string_to_array(:columns, ', ')) AS a) "
    "  END "
    "FROM pg_class c WHERE c.relname = :table AND c.relnamespace = current_schema()::regnamespace"
)
_COLUMNS = re.compile(r"\(.*?\)")
_PRIVILEGE = re.compile(r"([A-Z]+)(?: \((.*?)\))?(?:, |$)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Lacking(NamedTuple):
    """A role, and the tables on which it lacks a privilege."""

    role: str
    tables: list[str]


class RoleError(Exception):
    """The role cannot have these privileges alone; the message says why and what to do."""


def statements(role: str, schema: str, grants: Grants, sequences: Sequence[str]) -> list[str]:
    """Return what takes all rights in the schema from a role and grants it these."""
    quoted, place = f'"{role}"', f'"{schema}"'
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {place} FROM {quoted}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {place} FROM {quoted}",
        f"REVOKE CREATE ON SCHEMA {place} FROM {quoted}",
        f"GRANT USAGE ON SCHEMA {place} TO {quoted}",
        *(f"GRANT {privileges} ON {place}.{table} TO {quoted}" for table, privileges in grants.items()),
        *(f"GRANT USAGE ON SEQUENCE {place}.{sequence} TO {quoted}" for sequence in sequences),
    ]


async def grant(url: str, schema: str, role: str, grants: Grants) -> list[str]:
    """Give an existing role these privileges in the schema and no others, in one transaction; returns the statements.

    The caller owns the tables. Raises RoleError and DatabaseUnavailable.
    """
    if not _NAME.fullmatch(role):
        raise RoleError(f"{role!r} is not the name of a role; write letters, digits and _, at most 63")
    parsed = parse_url(url)
    arguments = postgres_arguments(parsed, "dagbook db", schema)
    engine = create_async_engine(parsed, poolclass=NullPool, connect_args=arguments)
    try:
        with translate_errors("postgresql"):
            async with engine.begin() as connection:
                return await _grant(connection, schema, role, grants)
    finally:
        await engine.dispose()


async def _grant(connection: AsyncConnection, schema: str, role: str, grants: Grants) -> list[str]:
    found = (await connection.execute(_ROLE, {"role": role})).one_or_none()
    if found is None:
        raise RoleError(f"there is no role {role}; make it first: CREATE ROLE {role} LOGIN PASSWORD '…'")
    if found.is_owner:
        raise RoleError(f"the role {role} is a superuser or owns the tables: nothing can be kept from it")
    sequences = [row.relname for row in await connection.execute(_SEQUENCES) if "INSERT" in grants.get(row.owner, "")]
    done = statements(role, schema, grants, sorted(sequences))
    for statement in done:
        await connection.exec_driver_sql(statement)
    held = await connection.execute(_HELD, {"role": role})
    allowed = {table: _COLUMNS.sub("(…)", privileges).split(", ") for table, privileges in grants.items()}
    excess = {row.relname for row in held if row.privilege not in allowed.get(row.relname, ())}
    if excess:
        raise RoleError(
            f"the role {role} has rights on {', '.join(sorted(excess))} by PUBLIC or as a member of another role; "
            "take these first"
        )
    return done


def find_lacking(connection: ReadConnection, grants: Grants) -> Lacking:
    """Return the role of a connection, and on which tables it lacks one of these privileges."""
    wanted = {table: _PRIVILEGE.findall(privileges) for table, privileges in grants.items()}
    lacking = [
        table
        for table, privileges in wanted.items()
        for privilege, columns in privileges
        if connection.scalar(_HAS, {"table": table, "privilege": privilege, "columns": columns}) is False
    ]
    return Lacking(str(connection.scalar(_WHO)), list(dict.fromkeys(lacking)))
