"""Database access: models, repositories, the two backends and the migrations."""

__all__ = [
    "database",
    "errors",
    "migrations",
    "models",
    "notifications",
    "postgres",
    "repositories",
    "search_keys",
    "sqlite",
    "storage",
    "types",
    "url",
]
