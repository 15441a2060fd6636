"""Database access: models, repositories, the two backends and the migrations."""

__all__ = [
    "compression",
    "database",
    "errors",
    "migrations",
    "models",
    "notifications",
    "postgres",
    "repositories",
    "single_flight",
    "sqlite",
    "storage",
    "types",
    "url",
]
