"""Values of an event: where a filter or a param finds them, whether filters hold, and the params of a run. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from urllib.parse import parse_qsl

import msgspec

from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.json_values import Json
from dagbook.spec.expressions import Expression, ExpressionError, TooLargeError
from dagbook.spec.model import Pair, is_variable_name
from dagbook.spec.params.names import RULE, is_reserved
from dagbook.triggers.schemes import CREDENTIALS, DESCRIPTIVE, Headers

_LONGEST_VALUE, _LONGEST_PAYLOAD = 32 * 1024, 96 * 1024  # bytes
_MOST_FIELDS, _LONGEST_KEY = 1_000, 200
QUICK_BYTES = 64 * 1024  # of a body that is read in a few milliseconds
_JSON = (b"{", b"[")
_FORM = "application/x-www-form-urlencoded"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_FILTER = re.compile(r"(\S+)\s+(?:(exists)|(=|!=|in\b|~)\s*(.*))", re.DOTALL)
_OWN_NAMES = re.compile("TRIGGER_.*|UPSTREAM_.*|WEBHOOK_PAYLOAD")
_REQUIRED = "!"


class UnusableError(Exception):
    """An event gives no run; the message says why."""


class Pointer(msgspec.Struct, frozen=True):
    """Where a value is: in the JSON of a body, in a header, in what a look has seen, or in an output of a run."""

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"

    @classmethod
    def read(cls, text: str, field: str) -> Pointer:
        """Read a pointer; raises BadRequestError."""
        kind, colon, path = text.strip().partition(":")
        valid = {"json": path == "" or path.startswith("/"), "header": bool(_HEADER.fullmatch(path))}
        if not colon or not valid.get(kind, kind in ("item", "output") and path != ""):
            raise BadRequestError(
                f"{field}: {shorten(text)} does not say where a value is; write json:/a/b, header:NAME, item:name or "
                "output:NAME"
            )
        if kind == "header" and path.lower() in CREDENTIALS:
            raise BadRequestError(f"{field}: the header {path} is a credential, which no run gets; leave it out")
        return cls(kind, path)


class Message(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What an event consists of."""

    headers: Mapping[str, str] = {}
    body: bytes | None = None
    content_type: str = ""
    item: Mapping[str, Json] = {}
    outputs: Mapping[str, str] = {}
    variables: tuple[Pair, ...] = ()  # of the run, beside those that each event gives

    @cached_property
    def document(self) -> Json:
        """The body as JSON; a form is an object of its fields, or the JSON in its ``payload``.

        What begins as JSON is no form: curl says so of any data.
        """
        if self.body is None:
            raise UnusableError("the body is gone")
        is_form = self.content_type.partition(";")[0].strip().lower() == _FORM
        try:
            if is_form and not self.body.lstrip().startswith(_JSON):
                return _read_form(self.body.decode())
            found: Json = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise UnusableError("the body is not JSON") from error
        return found

    def find(self, pointer: Pointer) -> Json | msgspec.UnsetType:
        """Return a value; raises UnusableError if the body cannot be read."""
        match pointer.kind:
            case "header":
                return self.headers.get(pointer.path.lower(), msgspec.UNSET)
            case "item":
                return self.item.get(pointer.path, msgspec.UNSET)
            case "output":
                return self.outputs.get(pointer.path, msgspec.UNSET)
        return _walk(self.document, pointer.path)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that an event must fulfil; ``written`` is how it was given."""

    written: str
    pointer: Pointer
    operator: str
    operand: str = ""

    @classmethod
    def read(cls, text: str) -> Filter:
        """Read a filter; raises BadRequestError."""
        found = _FILTER.fullmatch(text.strip())
        if found is None:
            raise BadRequestError(
                f"filters: {shorten(text)} is no filter; write a pointer, then = TEXT, != TEXT, in A, B, ~ EXPRESSION "
                "or exists"
            )
        where, exists, operator, operand = found.groups()
        pointer = Pointer.read(where, "filters")
        if operator == "~":
            try:
                Expression(operand)
            except ExpressionError as error:
                raise BadRequestError(f"filters: {shorten(operand)} {error}") from error
        return cls(written=text.strip(), pointer=pointer, operator=exists or operator, operand=(operand or "").strip())

    def holds(self, message: Message) -> bool:
        """Whether an event fulfils it; raises UnusableError."""
        value = message.find(self.pointer)
        if self.operator == "exists" or value is msgspec.UNSET:
            return (value is not msgspec.UNSET) if self.operator != "!=" else True
        text = _as_text(value)
        match self.operator:
            case "in":
                return text in [word.strip() for word in self.operand.split(",")]
            case "~":
                try:
                    return Expression(self.operand).matches(text)
                except TooLargeError as error:
                    raise UnusableError(f"the filter {shorten(self.written)}: the expression {error}") from error
        return (text == self.operand) is (self.operator == "=")


def find_failed(filters: Sequence[str], message: Message) -> str:
    """Return the first filter that an event does not fulfil, or ""; raises UnusableError."""
    return next((each for each in filters if not Filter.read(each).holds(message)), "")


def check_params(params: Mapping[str, str]) -> None:
    """Raise BadRequestError for a mapping of params that is invalid."""
    for given, text in params.items():
        name = given.removesuffix(_REQUIRED)
        if not is_variable_name(name):
            raise BadRequestError(f"params: {shorten(name)} is no name of a param; use letters, digits and _")
        if is_reserved(name):
            raise BadRequestError(f"params: {name}: {RULE}; choose another name")
        if _OWN_NAMES.fullmatch(name):
            raise BadRequestError(f"params: {name} is a variable of the event itself; choose another name")
        Pointer.read(text, f"params.{name}")
    if len({given.removesuffix(_REQUIRED) for given in params}) < len(params):
        raise BadRequestError(f"params: a name stands there twice, with and without {_REQUIRED!r}; leave one out")


def find_params(params: Mapping[str, str], message: Message) -> tuple[Pair, ...]:
    """Return the params of an event; one that is missing has the default of the DAG. Raises UnusableError."""
    found = []
    for given, text in params.items():
        name, value = given.removesuffix(_REQUIRED), message.find(Pointer.read(text, "params"))
        if value is not msgspec.UNSET:
            found.append(Pair(name, _usable(name, _as_text(value))))
        elif given != name:
            raise UnusableError(f"the param {name} is required, and there is nothing at {text}")
    return tuple(found)


def make_variables(name: str, event_id: str, message: Message, *, has_mapping: bool) -> tuple[Pair, ...]:
    """Return the variables of the run of an event."""
    found = [Pair("TRIGGER_NAME", name), Pair("TRIGGER_EVENT_ID", event_id), *message.variables]
    if has_mapping or message.body is None:
        return tuple(found)
    try:
        text = message.body.decode() if len(message.body) <= _LONGEST_PAYLOAD and b"\0" not in message.body else ""
    except UnicodeDecodeError:
        text = ""
    return (*found, Pair("WEBHOOK_PAYLOAD", text), Pair("TRIGGER_BODY_BYTES", str(len(message.body))))


def keep_headers(headers: Headers, filters: Sequence[str], params: Mapping[str, str], own: str = "") -> dict[str, str]:
    """Return the headers that are stored of a request: what filters and params name, and what describes it.

    ``own`` is the header of a signature, which is not.
    """
    named = [Filter.read(each).pointer for each in filters] + [Pointer.read(each, "params") for each in params.values()]
    names = DESCRIPTIVE | {pointer.path.lower() for pointer in named if pointer.kind == "header"}
    return {
        name: values[0].replace("\0", "")
        for name, values in headers.items()
        if name in names - CREDENTIALS - {own.lower()} and len(values) == 1
    }


def as_key(text: str, reserved: tuple[str, ...] = ()) -> str:
    """Return a key as it is stored: by its hash if it is long, not printable, or begins with what is ``reserved``."""
    text = text.strip()
    if len(text) <= _LONGEST_KEY and text.isprintable() and not text.startswith(reserved):
        return text
    return f"sha256/{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _read_form(text: str) -> Json:
    fields: dict[str, Json] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"):
        fields.setdefault(name, value)
    if isinstance(payload := fields.get("payload"), str) and payload.lstrip().encode().startswith(_JSON):
        found: Json = msgspec.json.decode(payload)
        return found
    return fields


def _walk(value: Json, path: str) -> Json | msgspec.UnsetType:
    """Return what a JSON pointer (RFC 6901) leads to."""
    for token in path.split("/")[1:]:
        word = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and word in value:
            value = value[word]
        elif isinstance(value, list) and word.isascii() and word.isdigit() and int(word[:9]) < len(value):
            value = value[int(word[:9])]
        else:
            return msgspec.UNSET
    return value


def _as_text(value: Json | msgspec.UnsetType) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _usable(name: str, value: str) -> str:
    """Return a value of a param; raises UnusableError for one that no process can be given."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise UnusableError(f"the value of the param {name} is no valid text") from error
    if size > _LONGEST_VALUE:
        raise UnusableError(f"the value of the param {name} has {size} bytes; the most are {_LONGEST_VALUE}")
    if "\0" in value:
        raise UnusableError(f"the value of the param {name} has a NUL character, which no process can be given")
    return value
