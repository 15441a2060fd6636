"""Mails about runs."""

__all__ = ["mailer"]
