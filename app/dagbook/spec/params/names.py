"""Names of params: which the definition declares, which are refused, and which become variables of processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from dagbook.json_values import JsonObject
from dagbook.spec.model import Dag, Pair, Step, is_variable_name
from dagbook.spec.problem import quoted

_MOST_NAMED = 5
# Variables by which a program that ordinary steps start runs other code, or sends data elsewhere: names that it reads,
# and families whose names nothing else has.
_RESERVED = frozenset(
    (
        *(
            "PATH",
            "HOME",
            "SHELL",
            "SHELLOPTS",
            "PS4",
            "CDPATH",
            "EDITOR",
            "VISUAL",
            "BROWSER",
            "LESSOPEN",
            "LESSCLOSE",
        ),
        *("GCONV_PATH", "HOSTALIASES", "SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_HOME"),
        *(
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "WGETRC",
            "RSYNC_RSH",
            "RSYNC_CONNECT_PROG",
            "TAR_OPTIONS",
            "GNUPGHOME",
            "KUBECONFIG",
        ),
        *("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "SUDO_ASKPASS"),
        *("SSH_PKCS11_HELPER", "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR"),
        *("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_ASKPASS", "GIT_OBJECT_DIRECTORY"),
        *("GIT_INDEX_FILE", "GIT_ALLOW_PROTOCOL", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH"),
        *("DOCKER_CUSTOM_HEADERS", "CONTAINER_HOST", "BUILDKIT_HOST", "COMPOSE_FILE", "VAULT_ADDR", "NODE_OPTIONS"),
        *("NODE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"),
        *("_JAVA_OPTIONS", "JAVA_HOME", "JAVA_OPTS", "MAVEN_OPTS", "GRADLE_OPTS", "CLASSPATH", "PHPRC"),
        *("PHP_INI_SCAN_DIR", "MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "GOFLAGS", "GOPROXY", "GOENV", "GOROOT"),
        *("GOPATH", "GOTOOLCHAIN", "RUSTC", "RUSTC_WRAPPER", "AWKPATH", "AWKLIBPATH", "R_PROFILE", "R_PROFILE_USER"),
        *("R_ENVIRON", "R_ENVIRON_USER", "DOTNET_STARTUP_HOOKS", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME"),
        *("XDG_DATA_DIRS", "XDG_RUNTIME_DIR", "PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGSERVICEFILE"),
        *("PGSYSCONFDIR", "PGPASSFILE", "PGOPTIONS", "MYSQL_HOST", "MYSQL_HOME", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT"),
        *("MYSQL_TEST_LOGIN_FILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    )
)
_RESERVED_PREFIXES = (
    *("BASH_", "LD_", "DYLD_", "GLIBC_", "OPENSSL_", "GIT_SSH", "GIT_CONFIG", "GIT_PROXY", "GIT_SSL_", "GIT_HTTP_"),
    *("GIT_TRACE", "GIT_ATTR_", "GIT_ALTERNATE_", "DOCKER_TLS", "DOCKER_CLI_", "PGSSL", "LIBMYSQL_", "PERL", "LUA_"),
    *("BUNDLE_", "GEM_", "PIP_", "UV_", "CARGO_", "ANSIBLE_", "TF_CLI_", "AWS_ENDPOINT_URL", "AWS_CONTAINER_"),
    *("DAGBOOK_", "DAGU_", "DAG_"),  # names of the server
)
# Of PYTHON and RUBY, the names without _ are the interpreter's: PYTHONPATH, not PYTHON_VERSION.
_OF_INTERPRETERS = re.compile("(?:PYTHON|RUBY)[^_].*|PYTHON_PRESITE")
_PROXIES = re.compile("(?:https?|ftp|all|no|rsync|socks|cgi_http)_proxy", re.IGNORECASE)
_NPM = re.compile("npm_config_.*", re.IGNORECASE)
_EVALUATED = frozenset("$`\\")
RULE = "programs that steps start run other code, or send data elsewhere, by variables of such names"


class Undeclared(Enum):
    """What params that the definition does not declare become: the setting ``undeclared_params``."""

    VARIABLES = "variables"
    TEXT = "text"
    REFUSE = "refuse"


def is_reserved(name: str) -> bool:
    """Whether a program runs code or sends data by a variable of this name; the list cannot be complete."""
    return (
        name in _RESERVED
        or name.startswith(_RESERVED_PREFIXES)
        or bool(_OF_INTERPRETERS.fullmatch(name) or _PROXIES.fullmatch(name) or _NPM.fullmatch(name))
    )


def of_author(step: Step, undeclared: Undeclared) -> dict[str, str]:
    """Return the params of reserved names that a definition gives to its own call literally, as variables."""
    pairs = step.call.pairs if step.call and undeclared is Undeclared.VARIABLES else ()
    return {pair.name: pair.value for pair in pairs if is_reserved(pair.name) and not _EVALUATED & set(pair.value)}


def from_outside(pairs: Iterable[Pair], of_caller: Mapping[str, str]) -> list[Pair]:
    """Return the params without those of reserved names whose very values the caller's environment has.

    ``of_caller`` is the environment of the calling step: what its definition's author wrote.
    """
    return [pair for pair in pairs if not is_reserved(pair.name) or of_caller.get(pair.name) != pair.value]


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
            f"params: {_listed(reserved)}: {RULE}, so that only a definition may give "
            "them: leave them out, or declare them under params of the DAG"
        )
    if others and (undeclared is Undeclared.REFUSE or (undeclared is Undeclared.TEXT and schema is not None)):
        known = f"it declares {_listed(sorted(declared))}" if declared else "it declares none"
        reason = reason or f"this server refuses others (undeclared_params: {undeclared.value})"
        return f"params: {_listed(others)}: the DAG declares no such params ({known}), and {reason}"
    return ""


def variables(pairs: Iterable[Pair], dag: Dag, undeclared: Undeclared, of_caller: Mapping[str, str]) -> dict[str, str]:
    """Return the params that become variables of processes; the others are only put into texts.

    ``find_problem`` has refused reserved names that a schema does not list.
    """
    pairs = tuple(pairs)
    refused = {pair.name for pair in from_outside(pairs, of_caller) if is_reserved(pair.name)}
    declared = {pair.name for pair in dag.params}
    return {
        pair.name: pair.value
        for pair in pairs
        if is_variable_name(pair.name)
        and (
            pair.name in declared
            or dag.params_schema
            or (undeclared is Undeclared.VARIABLES and pair.name not in refused)
        )
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(quoted, names[:_MOST_NAMED])) + more
