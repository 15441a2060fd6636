"""Security headers for browsers, on every response."""

from __future__ import annotations

Headers = tuple[tuple[bytes, bytes], ...]

# Responses of the API are data: a browser that is made to show one as a page runs no script and shows no frame.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
CONTENT_POLICY = "Content-Security-Policy"

# A response that has one of them already keeps its own value.
SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", API_POLICY.encode()),
    # With no-referrer a browser would send "Origin: null" with forms of our own pages.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Sent over TLS only, because browsers ignore it elsewhere; half a year.
STRICT_TRANSPORT: Headers = ((b"strict-transport-security", b"max-age=15552000"),)
VARY_ORIGIN: Headers = ((b"vary", b"Origin"),)
