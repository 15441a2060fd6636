"""Headers that tell browsers what to keep from a page: on every answer, whatever it is."""

from __future__ import annotations

Headers = tuple[tuple[bytes, bytes], ...]

# What the API answers is data: a browser that is made to show it as a page runs nothing of it and frames it nowhere.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
CONTENT_POLICY = "Content-Security-Policy"

# An answer that has one of them already keeps its own.
SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", API_POLICY.encode()),
    # With no-referrer a browser would send "Origin: null" with forms of our own pages.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Only said over TLS, where it counts; half a year.
STRICT_TRANSPORT: Headers = ((b"strict-transport-security", b"max-age=15552000"),)
VARY_ORIGIN: Headers = ((b"vary", b"Origin"),)
