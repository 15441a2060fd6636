"""Names of params: which the definition declares, which are refused, and which become variables of processes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from dagbook.json_values import JsonObject
from dagbook.spec.model import Dag, Pair, is_variable_name
from dagbook.spec.problem import quoted

_MOST_NAMED = 5
# Variables that a loader, shell or interpreter reads, or that change where a program sends data; compared in capitals.
_RESERVED = frozenset(
    (
        *("PATH", "HOME", "IFS", "ENV", "SHELL", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "TMPDIR"),
        *("GCONV_PATH", "LOCPATH", "HOSTALIASES", "RES_OPTIONS", "TERMINFO", "EDITOR", "PAGER", "LESSOPEN"),
        *("_JAVA_OPTIONS", "MAKEFLAGS", "GOFLAGS", "RSYNC_RSH", "TAR_OPTIONS", "WGETRC", "GNUPGHOME", "KUBECONFIG"),
    )
)
_RESERVED_PREFIXES = (
    *("BASH_", "LD_", "DYLD_", "GLIBC_", "MALLOC_", "XDG_", "SSL_", "CURL_", "REQUESTS_", "SSH_", "GIT_", "DOCKER_"),
    *("PYTHON", "PIP_", "UV_", "PERL", "RUBY", "NODE_", "NPM_CONFIG_", "PHP", "LUA_", "JAVA_", "JDK_"),
    *("PG", "MYSQL", "AWS_", "DAGBOOK_", "DAGU_", "DAG_"),
)
_RESERVED_SUFFIX = "_PROXY"


class Undeclared(Enum):
    """What params that the definition does not declare become: the setting ``undeclared_params``."""

    VARIABLES = "variables"
    TEXT = "text"
    REFUSE = "refuse"


def is_reserved(name: str) -> bool:
    """Whether a loader, shell or interpreter reads a variable of this name; the list cannot be complete."""
    name = name.upper()
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES) or name.endswith(_RESERVED_SUFFIX)


def find_problem(
    pairs: Iterable[Pair],
    dag: Dag,
    undeclared: Undeclared,
    schema: JsonObject | None = None,
    reason: str = "",
) -> str:
    """Return why names of params are refused, or "".

    A definition declares the names of its defaults and the ``properties`` of its ``schema``. A DAG with a schema that
    is not given is not checked: what its defaults do not declare, the schema may. With ``TEXT``, names that a schema
    does not list are refused: which those are is not known any more when the steps run. ``reason`` is why others are
    refused, if that is not the setting.
    """
    if dag.params_schema and schema is None:
        return ""
    properties = (schema or {}).get("properties")
    declared = {pair.name for pair in dag.params} | set(properties if isinstance(properties, dict) else ())
    others = [name for name in dict.fromkeys(pair.name for pair in pairs) if name not in declared]
    if reserved := [name for name in others if is_reserved(name)]:
        return (
            f"params: {_listed(reserved)}: programs read variables of such names, so that only a definition may give "
            "them: leave them out, or declare them under params of the DAG"
        )
    if others and (undeclared is Undeclared.REFUSE or (undeclared is Undeclared.TEXT and schema is not None)):
        known = f"it declares {_listed(sorted(declared))}" if declared else "it declares none"
        reason = reason or f"this server refuses others (undeclared_params: {undeclared.value})"
        return f"params: {_listed(others)}: the DAG declares no such params ({known}), and {reason}"
    return ""


def variables(pairs: Iterable[Pair], dag: Dag, undeclared: Undeclared) -> dict[str, str]:
    """Return the params that become variables of processes; the others are only put into texts.

    ``find_problem`` has refused reserved names that a schema does not list.
    """
    declared = {pair.name for pair in dag.params}
    return {
        pair.name: pair.value
        for pair in pairs
        if is_variable_name(pair.name)
        and (
            pair.name in declared
            or dag.params_schema
            or (undeclared is Undeclared.VARIABLES and not is_reserved(pair.name))
        )
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(quoted, names[:_MOST_NAMED])) + more
