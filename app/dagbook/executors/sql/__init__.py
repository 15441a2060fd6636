"""The executors of SQL: subprocesses that carry out statements in PostgreSQL and SQLite."""

__all__ = ["statements"]
