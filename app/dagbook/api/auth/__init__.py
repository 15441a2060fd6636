"""Authorization of requests, OpenID Connect redirects, and the audit of refusals."""
