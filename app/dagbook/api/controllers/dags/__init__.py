"""Stored DAGs, their revisions, schedules, sources and retention."""

__all__ = ["dag_history", "dag_list", "dags", "retention", "revisions", "schedules", "schema", "sources"]
