"""Signatures of requests to hooks, with the vectors that providers publish, each named with its source."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from dagbook.triggers.requests import WebhookSettings
from dagbook.triggers.schemes import SignatureError, Verified, guess_scheme, hash_token, verify

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TIME = str(int(NOW.timestamp()))
BODY = b'{"id": "evt_1", "a": 1}'
EVERYBODY = "It's a Secret to Everybody"
SECRET, OTHER = "a secret of sixteen", "another secret of sixteen"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def check(
    scheme: str,
    headers: dict[str, str],
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    now: datetime = NOW,
    **settings: Any,
) -> Verified:
    given = {name.lower(): [value] for name, value in headers.items()}
    return verify(scheme, WebhookSettings(**settings), secrets, given, body, now)


def refused(*args: Any, **kwargs: Any) -> str:
    """Return what the refusal says of the clock."""
    with pytest.raises(SignatureError) as refusal:
        check(*args, **kwargs)
    return refusal.value.clock


def digest(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


# -- published vectors -----------------------------------------------------------------------------------------------


def test_the_vector_of_github() -> None:
    # docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": signature, "X-GitHub-Delivery": "72d3162e"}
    found = check("github", headers, b"Hello, World!", (EVERYBODY,))
    assert found == Verified(key="72d3162e", signed=b"Hello, World!")


def test_the_vector_of_standard_webhooks() -> None:
    # standardwebhooks 1.1.0 and docs.svix.com, "Verifying payloads manually"
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = {"-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "-timestamp": "1614265330"}
    headers["-signature"] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    for family in ("webhook", "svix"):
        named = {f"{family}{name}": value for name, value in headers.items()}
        found = check("standard", named, b'{"test": 2432232314}', (WHSEC,), at)
        assert found == Verified(key="msg_p5jXN8AQM9LWM0D4loKWxJek")


def test_the_vector_of_bitbucket() -> None:
    # support.atlassian.com, "Manage webhooks", "Testing validation"
    signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    options: dict[str, Any] = {"header": "X-Hub-Signature", "prefix": "sha256=", "signed": "{body}"}
    assert check("hmac", {"X-Hub-Signature": signature}, b"Hello World!", (EVERYBODY,), **options)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_the_vector_of_hmac_itself(encoding: str) -> None:
    # RFC 4231, test case 2
    raw = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    signature = raw.hex() if encoding == "hex" else base64.b64encode(raw).decode()
    options: dict[str, Any] = {"header": "X-Shopify-Hmac-Sha256", "encoding": encoding, "signed": "{body}"}
    text = b"what do ya want for nothing?"
    assert check("hmac", {"X-Shopify-Hmac-Sha256": signature}, text, ("Jefe",), **options).signed == text


# -- each scheme -----------------------------------------------------------------------------------------------------


def standard(at: datetime = NOW, secret: str = WHSEC, body: bytes = BODY) -> dict[str, str]:
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def stripe(at: str = TIME, *secrets: str, body: bytes = BODY) -> dict[str, str]:
    # docs.stripe.com/webhooks, "Verify webhook signatures manually": t and v1 of "{t}.{body}"
    signed = [f"v1={digest(secret, at.encode() + b'.' + body)}" for secret in secrets or (SECRET,)]
    return {"Stripe-Signature": ",".join([f"t={at}", *signed, "v0=0"])}


def slack(at: str = TIME, body: bytes = BODY) -> dict[str, str]:
    # api.slack.com, "Verifying requests from Slack": v0= and the HMAC of "v0:{time}:{body}"
    signature = f"v0={digest(SECRET, b'v0:' + at.encode() + b':' + body)}"
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": at}


SLACK: dict[str, Any] = {
    "header": "X-Slack-Signature",
    "prefix": "v0=",
    "time_header": "X-Slack-Request-Timestamp",
    "signed": "v0:{time}:{body}",
}
GITHUB = {"X-Hub-Signature-256": f"sha256={digest(SECRET, BODY)}"}
PLAIN: dict[str, Any] = {"header": "X-Sig", "signed": "{body}"}


@pytest.mark.parametrize(
    ("scheme", "headers", "key"),
    [
        ("token", {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "one"}, "one"),
        ("token", {"X-Trigger-Token": SECRET}, ""),
        ("standard", standard(), "msg_1"),
        ("github", {**GITHUB, "X-GitHub-Delivery": "two"}, "two"),
        ("gitlab", {"X-Gitlab-Token": SECRET, "webhook-id": "three"}, "three"),
        ("gitlab", {"X-Gitlab-Token": SECRET, "Idempotency-Key": "four"}, "four"),
        ("gitlab", standard(), "msg_1"),
        ("stripe", stripe(), "evt_1"),
        ("stripe", stripe(TIME, OTHER, SECRET), "evt_1"),
    ],
)
def test_a_right_request_has_the_key_of_its_scheme(scheme: str, headers: dict[str, str], key: str) -> None:
    secrets = (hash_token(SECRET),) if scheme == "token" else (WHSEC,) if "webhook-signature" in headers else (SECRET,)
    assert check(scheme, headers, secrets=secrets).key == key


def test_what_is_signed_without_an_id_is_the_same_event_under_any_other_key() -> None:
    assert check("github", GITHUB).signed == BODY
    assert check("hmac", slack(), **SLACK).signed == b"v0:" + TIME.encode() + b":" + BODY
    plain = {"X-Sig": digest(SECRET, BODY)}
    assert check("hmac", plain, **PLAIN).signed == BODY
    assert check("hmac", plain, **PLAIN, repeats=True).signed is None
    assert check("stripe", stripe(body=b"[]"), b"[]") == Verified(signed=TIME.encode() + b".[]")
    assert check("standard", standard(), secrets=(WHSEC,)).signed is None


WRONG: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("token", {"Authorization": f"Basic {SECRET}"}, {}),
    ("token", {"Authorization": "Bearer"}, {}),
    ("token", {"X-Trigger-Token": OTHER}, {}),
    ("token", {}, {}),
    ("github", {"X-Hub-Signature-256": f"sha256={digest(OTHER, BODY)}"}, {}),
    ("github", {"X-Hub-Signature-256": f"sha256={digest(SECRET, BODY + b' ')}"}, {}),
    ("github", {"X-Hub-Signature-256": GITHUB["X-Hub-Signature-256"][:-1]}, {}),
    ("github", {"X-Hub-Signature-256": ""}, {}),
    ("github", {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest()}, {}),
    ("standard", standard(secret=f"whsec_{base64.b64encode(b'x' * 24).decode()}"), {}),
    ("standard", standard() | {"webhook-id": "msg_2"}, {}),
    ("standard", standard() | {"webhook-signature": "v1,%%%"}, {}),
    ("standard", standard() | {"webhook-signature": "v1"}, {}),
    ("standard", standard() | {"webhook-timestamp": "soon"}, {}),
    ("standard", standard() | {"webhook-timestamp": "9" * 30}, {}),
    ("gitlab", {"X-Gitlab-Token": SECRET, **standard(), "webhook-signature": "v1,AAAA"}, {}),
    ("gitlab", {"X-Gitlab-Token": SECRET, "webhook-signature": ""}, {}),
    ("gitlab", {"X-Gitlab-Token": OTHER}, {}),
    ("stripe", stripe(TIME, OTHER), {}),
    ("stripe", {"Stripe-Signature": f"v1={digest(SECRET, BODY)}"}, {}),
    ("stripe", {"Stripe-Signature": stripe()["Stripe-Signature"] + f",t={TIME}"}, {}),
    ("hmac", slack() | {"X-Slack-Request-Timestamp": str(int(TIME) + 1)}, SLACK),
    ("hmac", {"X-Sig": digest(SECRET, BODY).replace("a", "b")}, PLAIN),
    ("hmac", {"X-Sig": "ÿ"}, PLAIN),
]


@pytest.mark.parametrize(("scheme", "headers", "settings"), WRONG)
def test_a_wrong_request_is_refused_without_a_word_about_the_clock(
    scheme: str, headers: dict[str, str], settings: dict[str, Any]
) -> None:
    secrets = {"token": (hash_token(SECRET),), "standard": (WHSEC,)}.get(scheme, (SECRET,))
    assert refused(scheme, headers, secrets=secrets, **settings) == ""


def test_a_body_that_is_not_utf_8_is_refused_where_the_library_cannot_read_it() -> None:
    assert refused("standard", standard(), b"\xff", (WHSEC,)) == ""


@pytest.mark.parametrize("name", ["x-hub-signature-256", "x-trigger-token"])
def test_a_header_that_is_there_twice_does_not_count(name: str) -> None:
    scheme, value = ("github", GITHUB["X-Hub-Signature-256"]) if "hub" in name else ("token", SECRET)
    secret = SECRET if "hub" in name else hash_token(SECRET)
    with pytest.raises(SignatureError):
        verify(scheme, WebhookSettings(), [secret], {name: [value, value]}, BODY, NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_signed_time_that_is_too_far_off_names_the_clock_and_only_with_a_right_signature(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    time = str(int(at.timestamp()))
    assert time in refused("standard", standard(at), secrets=(WHSEC,))
    assert time in refused("stripe", stripe(time))
    assert time in refused("hmac", slack(time), **SLACK)
    assert refused("standard", standard(at), secrets=(SECRET,)) == ""
    assert refused("stripe", stripe(time, OTHER)) == ""


@pytest.mark.parametrize("seconds", [-299, 299])
def test_a_signed_time_within_five_minutes_is_taken(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert check("standard", standard(at), secrets=(WHSEC,))
    assert check("stripe", stripe(str(int(at.timestamp()))))
    assert check("hmac", slack(str(int(at.timestamp()))), **SLACK)


def test_both_secrets_of_a_rotation_are_taken_and_two_signatures_in_one_header() -> None:
    new = f"whsec_{base64.b64encode(b'y' * 24).decode()}"
    for secret in (WHSEC, new):
        assert check("standard", standard(secret=secret), secrets=(new, WHSEC))
    headers = standard()
    headers["webhook-signature"] = f"v1a,AAAA v1,AAAA {headers['webhook-signature']}"
    assert check("standard", headers, secrets=(WHSEC,))


def test_the_library_takes_what_is_taken_here_and_refuses_what_is_refused() -> None:
    """The time is an argument here and the clock's there."""
    at = datetime.now(tz=UTC)
    for headers in (standard(at), standard(at) | {"webhook-id": "other"}):
        try:
            Webhook(WHSEC).verify(BODY, headers)
        except WebhookVerificationError:
            assert refused("standard", headers, secrets=(WHSEC,), now=at) == ""
        else:
            assert check("standard", headers, secrets=(WHSEC,), now=at)


def test_a_secret_without_its_prefix_is_a_text() -> None:
    text = "a text as a secret of Standard Webhooks"
    signature = Webhook(text.encode()).sign("msg_1", NOW, BODY.decode())
    assert check("standard", standard() | {"webhook-signature": signature}, secrets=(text,))


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("webhook-signature", "standard"),
        ("stripe-signature", "stripe"),
        ("x-hub-signature-256", "github"),
        ("a", "github"),
    ],
)
def test_an_unknown_name_is_checked_by_the_signature_that_is_there(name: str, scheme: str) -> None:
    assert guess_scheme({name: ["x"]}) == scheme
