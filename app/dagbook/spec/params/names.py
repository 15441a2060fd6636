"""Names of params: which the definition declares, which are refused, and which become variables of processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from dagbook.json_values import JsonObject
from dagbook.spec.model import Dag, Pair, Step, is_variable_name
from dagbook.spec.problem import quoted

_MOST_NAMED = 5
# Variables by which a program that ordinary steps start runs other code, or sends data elsewhere.
_RESERVED = re.compile(
    r"""
    # Shells, loaders, the C library
    PATH | HOME | SHELL | SHELLOPTS | BASHOPTS | BASH_.* | PS4 | CDPATH | LD_.* | DYLD_.* | GLIBC_.* | GCONV_PATH
    | HOSTALIASES | LOCALDOMAIN
    # Interpreters; names with _ are ordinary, as PYTHON_VERSION
    | (PYTHON|RUBY)(?!_).* | PYTHON_PRESITE | PERL.* | LUA_.* | PHPRC | PHP_INI_SCAN_DIR | AWK(LIB)?PATH
    | R_(PROFILE|ENVIRON)(_USER)? | DOTNET_STARTUP_HOOKS | CLASSPATH | JAVACMD | (JAVA|JDK|JRE)_HOME
    | NODE_(OPTIONS|PATH|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED|COMPILE_CACHE|V8_COVERAGE|REDIRECT_WARNINGS)
    | (_JAVA|JAVA_TOOL|JDK_JAVA)_OPTIONS | (JAVA|MAVEN|GRADLE)_OPTS
    # Tools that build and install
    | (GNU)?MAKEFLAGS | MAKEFILES | GO(FLAGS|PROXY|ENV|ROOT|PATH|TOOLCHAIN) | RUSTC(_WRAPPER)? | CARGO_.* | PIP_.*
    | UV_.* | GEM_.* | BUNDLE_.* | YARN_.* | (?i:npm_config_.*) | ANSIBLE_.* | TF_CLI_.*
    # Other programs
    | EDITOR | VISUAL | BROWSER | LESSOPEN | LESSCLOSE | TAR_OPTIONS | RSYNC_(RSH|CONNECT_PROG) | WGETRC | GNUPGHOME
    | SUDO_ASKPASS | SSH_(ASKPASS.*|AUTH_SOCK|SK_PROVIDER|SK_HELPER|PKCS11_HELPER) | XDG_.* | PSQLRC
    | GIT_((SSH|CONFIG|PROXY|TRACE).*|(SSL|HTTP|ATTR|ALTERNATE)_.*|DIR|WORK_TREE|COMMON_DIR|EXEC_PATH|TEMPLATE_DIR)
    | GIT_(EXTERNAL_DIFF|PAGER|EDITOR|SEQUENCE_EDITOR|ASKPASS|OBJECT_DIRECTORY|INDEX_FILE|ALLOW_PROTOCOL)
    # Where data and passwords go; curl has a proxy for each scheme
    | (?i:(https?|ftps?|all|no|rsync|socks[45]?|cgi_http|sftp|scp|smtps?|imaps?|pop3s?|ldaps?|smbs?|wss?|tftp)_proxy)
    | (?i:(telnet|dict|gophers?|rtsp|mqtts?|git|ssh)_proxy)
    | SSLKEYLOGFILE | SSL_CERT_(FILE|DIR) | OPENSSL_.* | CURL_(HOME|CA_BUNDLE) | REQUESTS_CA_BUNDLE | VAULT_ADDR
    | PG(HOST|HOSTADDR|PORT|SERVICE|SERVICEFILE|SYSCONFDIR|PASSFILE|OPTIONS|SSL.*) | LIBMYSQL_.*
    | MYSQL_(HOST|HOME|TCP_PORT|UNIX_PORT|TEST_LOGIN_FILE) | KUBECONFIG | CONTAINER_HOST | BUILDKIT_HOST | COMPOSE_FILE
    | DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|CUSTOM_HEADERS|AUTH_CONFIG|(TLS|CLI_|CONTENT_TRUST).*)
    | AWS_(CONFIG_FILE|SHARED_CREDENTIALS_FILE|CA_BUNDLE|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DATA_PATH)
    | AWS_(WEB_IDENTITY_TOKEN_FILE|(ENDPOINT_URL|CONTAINER_|EC2_METADATA_).*)
    # The server itself
    | DAGBOOK_.* | DAGU_.* | DAG_.*
    """,
    re.VERBOSE | re.DOTALL,
)
_NO_CALLER: Mapping[str, str] = MappingProxyType({})
_EVALUATED = frozenset("$`\\")
RULE = "programs that steps start run other code, or send data elsewhere, by variables of such names"


class Undeclared(Enum):
    """What params that the definition does not declare become: the setting ``undeclared_params``."""

    VARIABLES = "variables"
    TEXT = "text"
    REFUSE = "refuse"


def is_reserved(name: str) -> bool:
    """Whether a program runs code or sends data by a variable of this name; the list cannot be complete."""
    return bool(_RESERVED.fullmatch(name))


def of_author(step: Step, undeclared: Undeclared) -> dict[str, str]:
    """Return the params of reserved names that a definition gives to its own call literally, as variables."""
    pairs = step.call.pairs if step.call and undeclared is Undeclared.VARIABLES else ()
    return {pair.name: pair.value for pair in pairs if is_reserved(pair.name) and not _EVALUATED & set(pair.value)}


def find_problem(
    pairs: Iterable[Pair],
    dag: Dag,
    undeclared: Undeclared,
    schema: JsonObject | None = None,
    *,
    of_caller: Mapping[str, str] = _NO_CALLER,
    reason: str = "",
) -> str:
    """Return why names of params are refused, or "".

    A definition declares the names of its defaults and the ``properties`` of its ``schema``. A DAG with a schema that
    is not given is not checked: what its defaults do not declare, the schema may. With ``TEXT``, names that a schema
    does not list are refused: which those are is not known any more when the steps run. ``of_caller`` is the
    environment of the calling step, which its definition's author wrote: a reserved name is not refused with the very
    value that it has there. ``reason`` is why others are refused, if that is not the setting.
    """
    if dag.params_schema and schema is None:
        return ""
    properties = (schema or {}).get("properties")
    declared = {pair.name for pair in dag.params} | set(properties if isinstance(properties, dict) else ())
    foreign = [pair for pair in pairs if pair.name not in declared]
    others = list(dict.fromkeys(pair.name for pair in foreign))
    if reserved := _refused(foreign, of_caller):
        return (
            f"params: {_listed(reserved)}: {RULE}, so that only a definition may give "
            "them: leave them out, or declare them under params of the DAG"
        )
    if others and (undeclared is Undeclared.REFUSE or (undeclared is Undeclared.TEXT and schema is not None)):
        known = f"it declares {_listed(sorted(declared))}" if declared else "it declares none"
        reason = reason or f"this server refuses others (undeclared_params: {undeclared.value})"
        return f"params: {_listed(others)}: the DAG declares no such params ({known}), and {reason}"
    return ""


def variables(pairs: Sequence[Pair], dag: Dag, undeclared: Undeclared, of_caller: Mapping[str, str]) -> dict[str, str]:
    """Return the params that become variables of processes; the others are only put into texts.

    ``find_problem`` has refused reserved names that a schema does not list.
    """
    refused = _refused(pairs, of_caller)
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


def _refused(pairs: Iterable[Pair], of_caller: Mapping[str, str]) -> list[str]:
    """Return the reserved names whose values are not those that the calling step's environment has."""
    given = (pair.name for pair in pairs if is_reserved(pair.name) and of_caller.get(pair.name) != pair.value)
    return list(dict.fromkeys(given))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(quoted, names[:_MOST_NAMED])) + more
