"""Whether a request to a hook comes from its sender, by the scheme of the sender. Pure: the time is an argument."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook

from dagbook.triggers.requests import WebhookSettings

_TOLERANCE_SECONDS = 300
_DELIVERY, _IDEMPOTENCY = "x-github-delivery", "idempotency-key"
_GITHUB = WebhookSettings(header="X-Hub-Signature-256", prefix="sha256=", signed="{body}")
_FAMILIES = ("webhook", "svix")  # prefixes of the headers of Standard Webhooks
_ENCODED = "whsec_"
# Headers that show who sends: they are neither stored nor given to a run.
CREDENTIALS = frozenset(
    (
        *("authorization", "proxy-authorization", "cookie", "x-trigger-token", "x-gitlab-token", "x-api-key"),
        *("x-hub-signature", "x-hub-signature-256", "webhook-signature", "svix-signature", "stripe-signature"),
        *("x-gitea-signature", "x-gogs-signature", "x-forgejo-signature"),
    )
)
# Headers that are stored of every event: what kind of event it is, and who has sent it under which id.
DESCRIPTIVE = frozenset(
    (
        *("user-agent", _DELIVERY, "x-github-event", "x-gitlab-event", _IDEMPOTENCY),
        *("webhook-id", "svix-id"),
    )
)
Headers = Mapping[str, Sequence[str]]  # by their names in lower case


class SignatureError(Exception):
    """A request is not from the sender. If it is, ``clock`` says that the time it was signed at is too far off."""

    def __init__(self, clock: str = "") -> None:
        super().__init__(clock or "the signature is wrong")
        self.clock = clock


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified request says that it is: its key, if any, and what of it is signed and has no id of its own.

    A sender of a copy can put any key beside what is signed, if the key itself is not. ``run_id`` is that of the run,
    if the sender names it.
    """

    key: str = ""
    run_id: str = ""
    signed: bytes | None = None


class _StripeEvent(msgspec.Struct, frozen=True):
    id: str = ""


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and the secrets of its trigger: the newest, and the one before for a day."""

    settings: WebhookSettings
    secrets: Sequence[str]
    headers: Headers
    body: bytes
    now: datetime

    def header(self, name: str) -> str:
        """Return a header that is there once; empty for any other, since it is arbitrary which one counts."""
        return _find_single(self.headers, name)

    def require(self, name: str) -> str:
        if not (value := self.header(name)):
            raise SignatureError
        return value

    def check_time(self, text: str) -> None:
        """Raise SignatureError for a signed time that is too far off."""
        seconds = int(self.now.timestamp())
        if abs(seconds - int(text)) > _TOLERANCE_SECONDS:
            raise SignatureError(
                f"the request was signed at {text} and the clock of this server says {seconds}, in seconds since 1970: "
                f"they may differ by {_TOLERANCE_SECONDS}; set the clocks"
            )


def verify(
    scheme: str, settings: WebhookSettings, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime
) -> Verified:
    """Check a request; raises SignatureError."""
    settings = _GITHUB if scheme == "github" else settings
    request = _Request(settings=settings, secrets=secrets, headers=headers, body=body, now=now)
    schemes: Mapping[str, Callable[[_Request], Verified]] = {
        "token": _verify_token,
        "standard": _verify_standard,
        "github": _verify_hmac,
        "gitlab": _verify_gitlab,
        "stripe": _verify_stripe,
        "hmac": _verify_hmac,
    }
    try:
        return schemes[scheme](request)
    except SignatureError:
        raise
    except Exception as error:  # whatever a stranger has made a scheme or its library stumble over
        raise SignatureError from error


def guess_scheme(headers: Headers) -> str:
    """Return the scheme by which a request to an unknown name is checked, so that it takes as long as for a known."""
    if any(f"{family}-signature" in headers for family in _FAMILIES):
        return "standard"
    return "stripe" if "stripe-signature" in headers else "github"


def find_token(headers: Headers) -> str:
    """Return the token of a request, empty without one."""
    scheme, _, bearer = _find_single(headers, "authorization").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else _find_single(headers, "x-trigger-token")


def hash_token(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _verify_token(request: _Request) -> Verified:
    token = find_token(request.headers)
    given = [hash_token(token).encode()] if token else []
    _require_one(given, [secret.encode() for secret in request.secrets])
    return Verified(key=request.header(_IDEMPOTENCY))


def _verify_standard(request: _Request) -> Verified:
    family = next(each for each in _FAMILIES if request.header(f"{each}-signature"))
    event_id, time = request.require(f"{family}-id"), request.require(f"{family}-timestamp")
    at, text = datetime.fromtimestamp(int(time), UTC), request.body.decode()
    made = [Webhook(key_of(secret)).sign(event_id, at, text).encode() for secret in request.secrets]
    given = request.header(f"{family}-signature").split()
    _require_one([each.encode() for each in given], made)
    request.check_time(time)
    return Verified(key=event_id)


def _verify_gitlab(request: _Request) -> Verified:
    if "webhook-signature" in request.headers:
        return _verify_standard(request)
    given = request.require("x-gitlab-token").encode()
    _require_one([given], [secret.encode() for secret in request.secrets])
    return Verified(key=request.header("webhook-id") or request.header(_IDEMPOTENCY))


def _verify_stripe(request: _Request) -> Verified:
    pairs = [part.strip().partition("=") for part in request.require("stripe-signature").split(",")]
    (time,) = [value for name, _, value in pairs if name == "t"]
    made = [_digest(secret, f"{time}.".encode() + request.body).hex().encode() for secret in request.secrets]
    _require_one([value.encode() for name, _, value in pairs if name == "v1"], made)
    request.check_time(time)
    try:
        key = msgspec.json.decode(request.body, type=_StripeEvent).id
    except msgspec.DecodeError:
        key = ""
    return Verified(key=key, signed=None if key else f"{time}.".encode() + request.body)


def _verify_hmac(request: _Request) -> Verified:
    settings = request.settings
    given = request.require(settings.header).encode()
    time = request.require(settings.time_header) if settings.time_header else ""
    before, _, after = settings.signed.partition("{body}")
    signed = before.replace("{time}", time).encode() + request.body + after.replace("{time}", time).encode()
    encode = base64.b64encode if settings.encoding == "base64" else binascii.hexlify
    _require_one([given], [settings.prefix.encode() + encode(_digest(secret, signed)) for secret in request.secrets])
    if time:
        request.check_time(time)
    key = request.header(_DELIVERY) or request.header(_IDEMPOTENCY)
    return Verified(key=key, signed=None if settings.repeats else signed)


def key_of(secret: str) -> bytes:
    """Return the key in a secret of Standard Webhooks: base64 behind ``whsec_``, else the text itself."""
    if secret.startswith(_ENCODED):
        return base64.b64decode(secret.removeprefix(_ENCODED) + "==")
    return secret.encode()


def _find_single(headers: Headers, name: str) -> str:
    values = headers.get(name.lower(), ())
    return values[0].strip() if len(values) == 1 else ""


def _digest(secret: str, data: bytes) -> bytes:
    return hmac.new(secret.encode(), data, hashlib.sha256).digest()


def _require_one(given: Sequence[bytes], expected: Sequence[bytes]) -> None:
    """Raise SignatureError unless one of the signatures is expected; all are compared, each in constant time."""
    if not max((hmac.compare_digest(one, other) for one in given for other in expected), default=False):
        raise SignatureError
