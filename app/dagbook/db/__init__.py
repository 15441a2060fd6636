"""Database access: models, repositories, the two backends and the migrations."""

__all__ = [
    "compression",
    "database",
    "errors",
    "migrations",
    "models",
    "notifications",
    "postgres",
    "reports",
    "repositories",
    "single_flight",
    "sqlite",
    "storage",
    "types",
    "url",
]
