"""Authorization of requests, OpenID Connect redirects, and the audit of refusals."""

__all__ = ["guards", "oidc_flow", "session_cookie"]
