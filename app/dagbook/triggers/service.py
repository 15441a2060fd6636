"""Use cases of triggers: add, change and remove them, pause them, and rotate their secrets, which are encrypted."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn, TypeVar

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, dags
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.triggers import events, looks, triggers
from dagbook.db.repositories.triggers.triggers import ListedTrigger, NewTrigger, TriggerRow
from dagbook.errors import AlreadyExistsError, BadRequestError, NotFoundError
from dagbook.identifiers import check_queue, is_name, shorten
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.telemetry.metrics import RunMetrics
from dagbook.triggers import requests, schemes
from dagbook.triggers.after import AFTER, check_after
from dagbook.triggers.looks import options
from dagbook.triggers.looks.looker import Looker
from dagbook.triggers.looks.outcome import look_first, store_first
from dagbook.triggers.requests import ChangeTrigger, WebhookSettings
from dagbook.triggers.values import Filter, Pointer, check_params

WEBHOOK, TOKEN, HMAC = "webhook", "token", "hmac"
KINDS = (WEBHOOK, AFTER, *options.KINDS)
SCHEMES = (TOKEN, "standard", "github", "gitlab", "stripe", HMAC)
MAX_BYTES = 1 << 20  # of a body, unless the trigger says otherwise
_PER_MINUTE, _MAX_WAITING, _MOST_TRIGGERS = 120, 1_000, 1_000
_ROTATION = timedelta(hours=24)
_SECRET_BYTES, _SHORTEST, _LONGEST = 32, 16, 500
_NAME, _HEADER = re.compile(r"[A-Za-z0-9_.-]{1,64}"), re.compile(r"[A-Za-z0-9-]{1,100}")
_BODY, _TIME = "{body}", "{time}"
T = TypeVar("T")
TriggerT = TypeVar("TriggerT", bound=NewTrigger)


class Triggers:
    """The triggers of a database."""

    def __init__(
        self,
        database: Database,
        encrypter: Encrypter,
        metrics: RunMetrics,
        now: Clock,
        most_bytes: int,
        looker: Looker,
    ) -> None:
        """``most_bytes`` is the most that the body of any request may have."""
        self._database = database
        self.metrics = metrics
        self._encrypter = encrypter
        self._now = now
        self._most_bytes = most_bytes
        self.looker = looker

    async def find(self, visibility: Visibility = EVERYTHING) -> Sequence[ListedTrigger]:
        """Return the triggers of visible DAGs, by name."""
        return await self._database.read(triggers.find, visibility)

    async def find_of_dag(self, file_name: str) -> Sequence[ListedTrigger]:
        """Return the triggers of a DAG, by name."""
        return await self._database.read(triggers.find_of_dag, file_name)

    async def require(self, name: str) -> ListedTrigger:
        """Return a trigger; raises NotFoundError."""
        row = await self._database.read_inline(triggers.get_listed, name) if is_trigger_name(name) else None
        return row or _missing(name)

    async def require_dag(self, file_name: str) -> DagRow:
        """Return the DAG that a trigger is to start; raises NotFoundError."""
        row = await self._database.read_inline(dags.get, file_name) if is_name(file_name) else None
        if row is None:
            raise NotFoundError(f"dag: there is no DAG named {shorten(file_name)}")
        return row

    async def add(
        self,
        new: requests.NewTrigger,
        dag: DagRow,
        actor: Actor,
        upstream: DagRow | None = None,
        *,
        hashed: str = "",
        is_paused: bool = False,
    ) -> tuple[ListedTrigger, str]:
        """Store a trigger, and return it with the secret that was made for it, if any, which is not shown again.

        ``upstream`` is the DAG whose runs it follows. Of an imported one there is the bcrypt hash of its token instead
        of a secret. Raises BadRequestError and AlreadyExistsError.
        """
        _check_new(new)
        is_hook, at = new.kind == WEBHOOK, self._now()
        made = _make_secret(new.scheme) if is_hook and new.secret is None and not hashed else ""
        secret, sealed = made or new.secret or "", self._encrypt(new.name, hashed) if hashed else None
        if sealed is None and (is_hook or secret):
            sealed = self._seal(new.name, new.scheme, secret)
        row = NewTrigger(
            name=new.name,
            dag_id=dag.id,
            kind=new.kind,
            scheme=new.scheme if is_hook else None,
            settings={"dagu": True} if hashed else {},
            params={},
            filters=(),
            sealed=sealed,
            queue="",
            priority=0,
            per_minute=_PER_MINUTE,
            max_bytes=min(MAX_BYTES, self._most_bytes),
            max_waiting=_MAX_WAITING,
            collapse=False,
            created_by=actor.label,
            created_by_id=actor.user_id,
            created_by_token_id=actor.token_id,
            created_at=at,
            paused_at=at if is_paused else None,
            paused_by=actor.label if is_paused else None,
            upstream_id=None if upstream is None else upstream.id,
        )
        row = self._changed(row, new)
        created = _action(Action.TRIGGER_CREATE, row.name, None, _shown(row) | _names(dag, upstream))
        entry, found = actor.entry(created, at), await look_first(self.looker, row, dag.run_as, secret)

        def work(connection: WriteConnection) -> None:
            if triggers.count(connection) >= _MOST_TRIGGERS:
                raise BadRequestError(f"name: there are {_MOST_TRIGGERS:,} triggers, the most that are possible")
            if (key := triggers.add(connection, row)) is None:
                raise AlreadyExistsError(f"a trigger named {shorten(row.name)} exists already")
            if found is not None:
                store_first(connection, key, row, found, self._now)
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(row.name), made

    async def change(
        self, name: str, change: ChangeTrigger, dag: DagRow | None, actor: Actor, upstream: DagRow | None = None
    ) -> ListedTrigger:
        """Change a trigger, maybe to start or follow another DAG; with a new secret the old one is taken for a day.

        Raises AppError.
        """
        now = self._now()

        def work(connection: WriteConnection) -> None:
            row = triggers.lock(connection, name) or _missing(name)
            upstream_id = row.upstream_id if upstream is None else upstream.id
            moved = msgspec.structs.replace(row, dag_id=row.dag_id if dag is None else dag.id, upstream_id=upstream_id)
            changed = self._changed(moved, change)
            if row.sealed is not None and change.secret is None and options.is_of_other_server(row, changed):
                raise BadRequestError(
                    "secret: is missing; what was given for one server is sent to no other, so give that of the new one"
                )
            if options.is_elsewhere(row, changed):
                looks.restart(connection, row.id, now)
            names = [each for each in NewTrigger.__struct_fields__ if getattr(changed, each) != getattr(row, each)]
            values = {each: getattr(changed, each) for each in names}
            after = _shown(changed) | _names(dag, upstream)
            if change.secret is not None:
                values |= self._rotated(row, change.secret)
                after |= {"secret": "rotated"}
            if values:
                triggers.change(connection, row.id, **values)
            audit.add(connection, actor.entry(_action(Action.TRIGGER_UPDATE, name, _shown(row), after), now))

        await self._database.write(work)
        return await self.require(name)

    async def rotate(self, name: str, secret: str | None, actor: Actor) -> tuple[ListedTrigger, str]:
        """Give a trigger a secret of its sender, or make one and return it; the old one is taken for a day, too."""
        found = await self.require(name)
        if found.kind == AFTER:
            raise BadRequestError(f"the trigger {shorten(name)} has no secret: it is no webhook")
        if found.scheme is None and secret is None:
            raise BadRequestError("secret: is missing; give the key, the password or the token that it is to use")
        made = _make_secret(found.scheme or "") if secret is None else ""
        entry = actor.entry(_action(Action.TRIGGER_SECRET, name, None, {"secret": "rotated"}), self._now())

        def work(connection: WriteConnection) -> None:
            row = triggers.lock(connection, name) or _missing(name)
            triggers.change(connection, row.id, **self._rotated(row, made or secret or ""))
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(name), made

    async def pause(self, name: str, actor: Actor) -> ListedTrigger:
        """Let events wait until ``resume``; raises NotFoundError."""
        now = self._now()

        def work(connection: WriteConnection) -> None:
            row = triggers.lock(connection, name) or _missing(name)
            if row.paused_at is None:
                triggers.change(connection, row.id, paused_at=now, paused_by=actor.label)
                audit.add(connection, actor.entry(_action(Action.TRIGGER_PAUSE, name, None, None), now))

        await self._database.write(work)
        return await self.require(name)

    async def resume(self, name: str, actor: Actor, *, discards: bool) -> ListedTrigger:
        """Start what waits in order, or discard it first; raises NotFoundError."""
        now = self._now()

        def work(connection: WriteConnection) -> int:
            row = triggers.lock(connection, name) or _missing(name)
            reason = f"discarded by {actor.label}" if actor.label else "discarded"
            discarded = events.discard_waiting(connection, row.id, reason, now) if discards else 0
            triggers.change(connection, row.id, paused_at=None, paused_by=None)
            after = {"discarded": discarded} if discards else None
            audit.add(connection, actor.entry(_action(Action.TRIGGER_RESUME, name, None, after), now))
            return discarded

        self.metrics.count_events(events.DISCARDED, await self._database.write(work))
        return await self.require(name)

    async def remove(self, name: str, actor: Actor) -> None:
        """Delete a trigger with its events; runs stay. Raises NotFoundError."""
        now = self._now()

        def work(connection: WriteConnection) -> None:
            row = triggers.lock(connection, name) or _missing(name)
            triggers.remove(connection, row.id)
            audit.add(connection, actor.entry(_action(Action.TRIGGER_DELETE, name, _shown(row), None), now))

        await self._database.write(work)

    # -- secrets -----------------------------------------------------------------------------------------------------

    def open_secrets(self, row: TriggerRow) -> list[str]:
        """Return the secrets by which senders show who they are, the newest first; raises EncryptionError."""
        counts = row.sealed_before_until is not None and row.sealed_before_until > self._now()
        sealed = [row.sealed, row.sealed_before if counts else None]
        return [self._encrypter.decrypt(each, f"trigger {row.name}").decode() for each in sealed if each is not None]

    async def store_hash(self, row: TriggerRow, hashed: str, token: str) -> None:
        """Store the SHA-256 of a token behind its bcrypt hash, unless the secrets were changed meanwhile.

        The bcrypt hash stays, so that a repeated import knows the token.
        """
        column = "sealed" if self.open_secrets(row)[0] == hashed else "sealed_before"
        sealed = self._encrypt(row.name, f"{hashed} {schemes.hash_token(token)}")

        def work(connection: WriteConnection) -> None:
            found = triggers.lock(connection, row.name)
            if found is not None and (found.sealed, found.sealed_before) == (row.sealed, row.sealed_before):
                triggers.change(connection, row.id, **{column: sealed})

        await self._database.write(work)

    def _encrypt(self, name: str, text: str) -> bytes:
        return self._encrypter.encrypt(text.encode(), f"trigger {name}")

    def _seal(self, name: str, scheme: str, secret: str) -> bytes:
        """Encrypt a secret: of a token its hash, without a scheme that of a look. Raises BadRequestError."""
        secret = secret.strip()
        if scheme and not _is_secret(scheme, secret):
            raise BadRequestError(
                f"secret: can be guessed, or is too long; give {_SHORTEST} to {_LONGEST} characters, random ones such "
                "as those of `openssl rand -hex 32`; what begins with whsec_ is base64"
            )
        return self._encrypt(name, schemes.hash_token(secret) if scheme == TOKEN else secret)

    def _rotated(self, row: TriggerRow, secret: str) -> dict[str, object]:
        if row.scheme is None:
            options.check_secret(row.kind, secret)
            return {"sealed": self._seal(row.name, "", secret)}
        sealed = self._seal(row.name, row.scheme, secret)
        return {"sealed": sealed, "sealed_before": row.sealed, "sealed_before_until": self._now() + _ROTATION}

    # -- checks ------------------------------------------------------------------------------------------------------

    def _changed(self, row: TriggerT, change: ChangeTrigger) -> TriggerT:
        """Return a trigger with changed options; raises BadRequestError."""
        before = msgspec.convert(row.settings, WebhookSettings)
        settings = before if change.settings is None else change.settings
        if settings.dagu and not before.dagu:
            raise BadRequestError("settings.dagu: is of webhooks that were imported; leave it out")
        if row.kind == AFTER:
            settings = check_after(change, settings, has_upstream=row.upstream_id is not None)
        elif row.kind == WEBHOOK:
            settings = check_settings(row.scheme or "", msgspec.structs.replace(settings, dagu=before.dagu))
        else:
            settings = options.check_options(row.kind, settings)
        params = row.params if change.params is None else change.params
        filters = row.filters if change.filters is None else change.filters
        check_params(params)
        for pointer in [Filter.read(each).pointer for each in filters] + [
            Pointer.read(each, "params") for each in params.values()
        ]:
            if row.kind == WEBHOOK:
                _check_pointer(pointer, settings)
            elif row.kind in options.KINDS:
                options.check_pointer(row.kind, pointer)
        max_bytes = _chosen(change.max_bytes, row.max_bytes)
        if max_bytes > self._most_bytes:
            raise BadRequestError(f"maxBytes: this server takes {self._most_bytes} at most (max_body_bytes)")
        queue = _chosen(change.queue, row.queue).strip()
        check_queue(queue)
        return msgspec.structs.replace(
            row,
            settings=msgspec.to_builtins(settings),
            params=params,
            filters=filters,
            queue=queue,
            priority=_chosen(change.priority, row.priority),
            per_minute=_chosen(change.per_minute, row.per_minute),
            max_bytes=max_bytes,
            max_waiting=_chosen(change.max_waiting, row.max_waiting),
            collapse=_chosen(change.collapse, row.collapse),
            **options.changed_times(row, change),
        )


def is_trigger_name(text: str) -> bool:
    """Whether a text can name a trigger."""
    return bool(_NAME.fullmatch(text)) and text.strip(".") != ""


def _check_new(new: requests.NewTrigger) -> None:
    """Raise BadRequestError for a name, a kind or a scheme that is none."""
    if not is_trigger_name(new.name):
        raise BadRequestError(f"name: {shorten(new.name)} is no name; use 1 to 64 letters, digits, '-', '_' or '.'")
    if new.kind not in KINDS:
        raise BadRequestError(f"kind: {shorten(new.kind)} is no kind of trigger; write one of {', '.join(KINDS)}")
    if new.kind == WEBHOOK and new.scheme not in SCHEMES:
        raise BadRequestError(f"scheme: {shorten(new.scheme)} is no scheme; write one of {', '.join(SCHEMES)}")


def check_settings(scheme: str, given: WebhookSettings) -> WebhookSettings:
    """Return the options of a webhook, with what ``hmac`` signs; raises BadRequestError."""
    if given.after or given.on:
        raise BadRequestError("settings: a webhook follows no DAG; leave after and on out")
    options.refuse_others(WEBHOOK, given)
    if scheme not in (TOKEN, HMAC) and given.key:
        raise BadRequestError(f"settings.key: the scheme {scheme} has ids of its own; leave it out")
    if given.key and Pointer.read(given.key, "settings.key").kind != "json":
        raise BadRequestError(f"settings.key: {shorten(given.key)} is not in the body; write one such as json:/id")
    if scheme != HMAC:
        if msgspec.structs.replace(given, key="", dagu=False) != WebhookSettings():
            raise BadRequestError(f"settings: the scheme {scheme} knows where its signature is; leave all but key out")
        return given
    for field, name in (("header", given.header), ("timeHeader", given.time_header)):
        if not _HEADER.fullmatch(name) and (name or field == "header"):
            raise BadRequestError(f"settings.{field}: {shorten(name)} is no name of a header; write it, as X-Signature")
    signed = given.signed or (f"v0:{_TIME}:{_BODY}" if given.time_header else _BODY)
    if signed.count(_BODY) != 1 or (_TIME in signed) != bool(given.time_header):
        raise BadRequestError(
            f"settings.signed: {shorten(signed)} is not what is signed; it has {_BODY} once, and {_TIME} if there is a "
            "timeHeader"
        )
    return msgspec.structs.replace(given, signed=signed)


def _check_pointer(pointer: Pointer, settings: WebhookSettings) -> None:
    """Raise BadRequestError for a value that a webhook does not have, or that is its signature."""
    if pointer.kind not in ("json", "header"):
        raise BadRequestError(f"{pointer}: a webhook has a body and headers alone; write json:/a/b or header:NAME")
    if pointer.kind == "header" and pointer.path.lower() == settings.header.lower():
        raise BadRequestError(f"{pointer}: is the signature, which no run gets; leave it out")


def _missing(name: str) -> NoReturn:
    raise NotFoundError(f"there is no trigger named {shorten(name)}")


def _chosen(given: T | None, before: T) -> T:
    return before if given is None else given


def _make_secret(scheme: str) -> str:
    if scheme == "standard":
        return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    return secrets.token_hex(_SECRET_BYTES)


def _is_secret(scheme: str, text: str) -> bool:
    """Whether a secret cannot be guessed, and can be read."""
    try:
        key = schemes.key_of(text) if scheme in ("standard", "gitlab") else text.encode()
    except ValueError:
        return False
    return len(key) >= _SHORTEST and len(text) <= _LONGEST and text.isprintable()


def _shown(row: NewTrigger) -> dict[str, object]:
    """Return what is recorded of a trigger: no secret."""
    names = ("kind", "scheme", "settings", "params", "filters", "queue", "priority", "per_minute", "max_bytes")
    return {name: getattr(row, name) for name in (*names, "max_waiting", "collapse", *options.TIMES)}


def _names(dag: DagRow | None, upstream: DagRow | None) -> dict[str, object]:
    named = {"dag": dag, "after": upstream}
    return {name: each.file_name for name, each in named.items() if each is not None}


def _action(action: Action, name: str, before: Values, after: Values) -> AuditAction:
    return AuditAction(action=action, kind="trigger", name=name, before=before, after=after)
