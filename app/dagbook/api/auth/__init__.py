"""Authorization of requests, sessions of browsers, OpenID Connect redirects, and the audit of refusals."""

__all__ = ["browser_session", "guards", "oidc_flow", "session_cookie"]
