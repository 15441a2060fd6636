"""What the metrics of the harness mean, in words; the order is that of the rows."""

from __future__ import annotations

_PLAIN = {
    # start-up
    "startup s": "seconds until the first response, on a new home",
    "idle rss mib": "memory when idle, MiB",
    "idle pss mib": "memory when idle, shared pages divided, MiB",
    "idle cpu pct": "CPU when idle, % of one processor",
    "idle processes": "processes when idle",
    "active count": "steps running at the same time",
    "active rss mib": "memory then, with all child processes, MiB",
    "active pss mib": "memory then, shared pages divided, MiB",
    "pss per active run mib": "memory for each of these runs, shared pages divided, MiB",
    "active processes": "processes then",
    "sleepers wall s": "seconds until they had started",
    "after rss mib": "memory after they have ended, MiB",
    # soak
    "runs count": "runs",
    "early per s": "runs per second, at the beginning",
    "late per s": "runs per second, at the end",
    "late over early ok": "the second divided by the first",
    "rss before mib": "memory before, MiB",
    "rss after mib": "memory after, MiB",
    "disk kib per run": "disk in the home for each run, KiB",
    # mixed
    "requests per s": "requests per second",
    "cpu s per s": "CPU, processors in use",
    "not succeeded": "runs that did not succeed",
    "refused": "requests refused",
    "errors": "errors",
}
_REQUESTS = {
    "dags": "list of DAGs",
    "runs": "list of runs",
    "runs name": "list of runs of one DAG",
    "detail": "details of a run",
    "latest": "newest run of a DAG",
    "log": "log",
    "queues": "queues",
    "search": "search",
    "start, answer": "start of a run",
    "hook": "answer to an event",
    "queued": "from this answer until its run is there",
    "start alone": "start of a run, before",
    "start beside": "start of a run, meanwhile",
}
_LISTS = {
    "runs default": "runs of today",
    "runs all days": "runs of all days",
    "runs failed": "failed runs of all days",
    "runs name": "runs of one DAG",
    "dag history": "history of one DAG",
    "run detail": "details of a run",
    "dags": "list of DAGs",
    "dags page100": "list of DAGs, 100 on a page",
    "search": "search in definitions",
    "queues": "queues",
    "metrics": "metrics",
    "health": "health",
}
_SHARES = {"p50 ms": "median, ms", "p95 ms": "95% under, ms", "max ms": "maximum, ms"}
_ORDER = [*(f"{request}, {share}" for request in _REQUESTS for share in _SHARES), *_PLAIN]


def describe(metric: str) -> str:
    """Say what a metric such as ``mixed.dags.p50_ms`` measures; one without words keeps its name."""
    name = _name(metric)
    request, _, share = name.rpartition(", ")
    if request in _REQUESTS and share in _SHARES:
        return f"{_REQUESTS[request]}: {_SHARES[share]}"
    return _PLAIN.get(name, name)


def describe_list(request: str) -> tuple[int, str]:
    """Return the place of a request such as ``runs_name`` among the rows of lists, and what it asks for."""
    name = request.replace("_", " ")
    return (list(_LISTS).index(name), _LISTS[name]) if name in _LISTS else (len(_LISTS), name)


def order(metric: str) -> int:
    """Return the place of a metric among the rows; one without words comes last."""
    name = _name(metric)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _name(metric: str) -> str:
    return metric.partition(".")[2].replace("_", " ").replace(".", ", ")
