"""All settings. Help texts, listings and docs/reference/settings.md are generated from these rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, NoReturn, Self, TypeAlias, overload

from dagbook.settings.readers import METADATA, SettingType, Value, choice, integer
from dagbook.settings.types import (
    ALERT_CHANNELS,
    ALERT_RULES,
    BASE_PATH,
    DATABASE_URL,
    DESTINATIONS,
    ENCODING,
    FILE,
    HOST,
    HOST_NAMES,
    KEY,
    KEYS,
    NETWORKS,
    ORIGINS,
    PATH,
    PATHS,
    PROTOCOLS,
    QUEUES,
    REMOTE_NODES,
    SCHEMA,
    SECONDS,
    SECRET,
    SECRET_COMMANDS,
    SOURCES,
    TEXT,
    TRUTH,
    URL,
    WORDS,
    ZONE,
)

PREFIX = "DAGBOOK_"
FILE_NAME = "dagbook.yaml"
KEY_FILE = "secret.key"  # in the home
FILE_SUFFIX = "_file"
CREDENTIAL_PREFIX = "dagbook."
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"  # set by systemd
SYSTEM_ZONE = "<system>"
LOCALE_ENCODING = "<locale>"
HOME = "<home>"

# Variables with Dagbook's prefix that are no settings; any other one is refused as a mistake.
OTHER_VARIABLES = {
    "DAGBOOK_CONFIG": "settings file to read, like --config",
    "DAGBOOK_DIR": "a checkout, for scripts that start Dagbook from outside",
    "DAGBOOK_PROFILE": "server and token that commands work with, like --profile",
    "DAGBOOK_SERVER": "address of the server that commands work with, like --server",
    "DAGBOOK_TOKEN": "token for that server, like --token",
    "DAGBOOK_TOKEN_FILE": "file with that token, like --token-file",
}
TEST_PREFIX = "DAGBOOK_TEST_"

# Settings that are read for one more release and have no effect, each with its notice. The value may be anything.
REMOVED = dict.fromkeys(
    ("auth_login_failures", "auth_login_failures_per_address", "auth_login_window_seconds"),
    "is ignored, and will be refused by the next release: remove it",
)
AnySetting: TypeAlias = "Setting[Any]"
TABLE: list[AnySetting] = []  # the rows of ``Settings``, in their order


def flag_of(name: str) -> str:
    """Return the command line flag of a setting."""
    return "--" + name.replace("_", "-")


class Setting(Generic[Value]):
    """A row: the type of a setting, its default as written, its description, and the release that came with it.

    Its name is that of the attribute of ``Settings``.
    """

    name: str

    def __init__(self, kind: SettingType[Value], default: str, meaning: str, *, since: str = "0.1.0") -> None:
        self.kind, self.default, self.meaning, self.since = kind, default, meaning, since

    def __set_name__(self, owner: type[Settings], name: str) -> None:
        self.name = name
        TABLE.append(self)

    @overload
    def __get__(self, settings: None, owner: type[Settings]) -> Self: ...
    @overload
    def __get__(self, settings: Settings, owner: type[Settings]) -> Value: ...
    def __get__(self, settings: Settings | None, owner: type[Settings]) -> Self | Value:
        """Return the row; values are in the dictionary of the settings, where they are found first."""
        return self

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def file_name(self) -> str:
        """The name, in the settings file and in capitals as a variable, under which a file with the value is given."""
        return self.name + FILE_SUFFIX

    @property
    def credential(self) -> str:
        """The name of a systemd credential with the value."""
        return CREDENTIAL_PREFIX + self.name

    @property
    def flag(self) -> str:
        """The command line flag, which secrets do not have."""
        return flag_of(self.name)


class Settings:  # noqa: PLW1641 - some values are no keys
    """Every setting of this process, and the origin of each; not to be modified."""

    origins: Mapping[str, str]
    credential_variables: frozenset[str]  # that the server's credentials came from
    credential_files: tuple[Path, ...]  # that contain them, whether they exist or not
    notices: tuple[str, ...]  # of removed settings that are given

    # A row has one line, or its meaning on a second one.
    # fmt: off
    home = Setting(PATH, "~/.dagbook", "Folder of Dagbook's files on this machine.")
    database_url = Setting(DATABASE_URL, f"sqlite:///{HOME}/dagbook.sqlite3", "SQLite file or PostgreSQL database.")
    database_schema = Setting(SCHEMA, "public", "Schema of a PostgreSQL database that holds Dagbook's tables.")
    report_reader = Setting(TEXT, "",
        "PostgreSQL role of `dagbook query`, from `dagbook db reader-role`; empty uses that of database_url.",
        since="0.2.0")
    host = Setting(HOST, "127.0.0.1", "Address to listen on.")
    port = Setting(integer(0, 65535), "8080", "TCP port to listen on; 0 chooses a free one.")
    socket = Setting(FILE, "",
        "Unix socket to listen on instead of host and port, for a proxy of this machine.", since="0.2.0")
    socket_mode = Setting(choice("0600", "0660", "0666"), "0600",
        "Mode of that socket's file: who may connect.", since="0.2.0")
    base_path = Setting(BASE_PATH, "", "Prefix of every URL, for a server behind a proxy.")
    public_url = Setting(URL, "",
        "URL of this server for browsers, base_path included, for links in mails; empty uses auth_oidc_client_url.",
        since="0.2.0")
    tz = Setting(ZONE, SYSTEM_ZONE, "Time zone of schedules and displayed times.")
    work_dir = Setting(PATH, f"{HOME}/work",
        "Working directory of runs of stored DAGs without workingDir and without a source file.")
    log_format = Setting(choice("text", "json"), "text", "Format of the server's own log.")
    log_level = Setting(choice("debug", "info", "warning", "error"), "info", "Minimum level that is logged.")
    request_log = Setting(choice("on", "off", "all"), "on",
        "Whether requests are logged; on leaves out health checks. Unset, a log in a terminal has none.")
    default_shell = Setting(TEXT, "", "Shell of steps without one; empty chooses one of the machine.")
    run_as = Setting(TEXT, "",
        "Account under which commands of definitions run and their files are opened; empty is that of the server.",
        since="0.2.0")
    allowed_hosts = Setting(HOST_NAMES, "", "Host names accepted in requests besides those of this machine.")
    cors_origins = Setting(ORIGINS, "", "Web pages of other origins that may use the API.")
    tls_cert_file = Setting(FILE, "", "Certificate chain of the server in PEM, for https.")
    tls_key_file = Setting(FILE, "", "Private key of that certificate, in PEM.")
    tls_key_password = Setting(SECRET, "", "Password of that key, if it is encrypted.")
    trusted_proxies = Setting(NETWORKS, "", "Proxies whose X-Forwarded-For, -Proto and -Host are trusted.")
    max_connections = Setting(integer(8, 100_000), "1024", "Maximum number of concurrent connections.", since="0.2.0")
    max_connections_per_address = Setting(integer(1, 100_000), "128",
        "The same for one address (IPv6: one /64); loopback and trusted_proxies have no such limit.", since="0.2.0")
    remote_nodes = Setting(REMOTE_NODES, "", "Other servers that requests are forwarded to; see Operations.")
    egress_deny = Setting(DESTINATIONS, METADATA,
        "Hosts, addresses and networks that the server's own HTTP requests may not reach; see Operations.",
        since="0.2.0")
    alert_channels = Setting(ALERT_CHANNELS, "", "Channels that alerts are sent to; see Alerts.", since="0.2.0")
    alert_rules = Setting(ALERT_RULES, "", "What is reported about which DAGs to whom; see Alerts.", since="0.2.0")
    base_config = Setting(PATH, f"{HOME}/base.yaml", "YAML file whose fields every DAG inherits.")
    sources = Setting(SOURCES, "",
        "Directories and Git repositories that definitions come from; see Sources.", since="0.2.0")
    source_dir = Setting(PATH, f"{HOME}/sources",
        "Folder of the checkouts of Git repositories that definitions come from.", since="0.2.0")
    source_fetch_seconds = Setting(SECONDS, "60",
        "How often sources are fetched, and directories read as a whole.", since="0.2.0")
    source_protocols = Setting(PROTOCOLS, "https,ssh,file", "Protocols that Git repositories may have.", since="0.2.0")
    source_remove_days = Setting(integer(0, 36_500), "0",
        "Days after which a DAG is deleted whose file was removed from its source; 0: never, it stays suspended.",
        since="0.2.0")
    spool_dir = Setting(PATH, f"{HOME}/spool", "Folder of step output until it is stored.")
    secret_key = Setting(KEY, "", "Key that encrypts stored secrets; empty uses the file secret.key in the home.")
    secret_keys_previous = Setting(KEYS, "",
        "Keys that values may still be encrypted with, beside secret_key; see Secrets.", since="0.2.0")
    secret_env_allow = Setting(WORDS, "*",
        "Variables of the server that secrets may read; * stands for any characters.", since="0.2.0")
    secret_file_dirs = Setting(PATHS, "",
        "Directories below which secrets may read files; empty allows all.", since="0.2.0")
    secret_commands = Setting(SECRET_COMMANDS, "",
        "Programs that print the values of secrets, by the name of the provider; see Secrets.", since="0.2.0")
    vault_address = Setting(URL, "", "URL of a Vault or OpenBao with values of secrets; see Secrets.", since="0.2.0")
    vault_namespace = Setting(TEXT, "", "Namespace of Vault.", since="0.2.0")
    vault_token = Setting(SECRET, "", "Token for Vault.", since="0.2.0")
    vault_token_path = Setting(FILE, "", "File with the token for Vault, which an agent renews.", since="0.2.0")
    vault_role_id = Setting(TEXT, "", "Role id for a login at Vault by AppRole.", since="0.2.0")
    vault_secret_id = Setting(SECRET, "", "Secret id of that role.", since="0.2.0")
    vault_kubernetes_role = Setting(TEXT, "", "Role for a login at Vault as a pod of Kubernetes.", since="0.2.0")
    vault_kubernetes_token_path = Setting(FILE, "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "File with the token of the pod's service account.", since="0.2.0")
    vault_ca_file = Setting(FILE, "", "Certificates of the authorities that sign Vault's, in PEM.", since="0.2.0")
    vault_client_cert = Setting(FILE, "", "Client certificate for Vault, in PEM.", since="0.2.0")
    vault_client_key = Setting(FILE, "", "Private key of that certificate, in PEM.", since="0.2.0")
    max_body_bytes = Setting(integer(1024, 2**40), "4194304", "Maximum size of a request body.")
    log_limit_bytes = Setting(integer(1024, 2**50), "1073741824",
        "Maximum stored output of one step, for each of stdout and stderr.")
    log_encoding = Setting(ENCODING, LOCALE_ENCODING, "Encoding of step output; see Operations.")
    orphan_grace_seconds = Setting(SECONDS, "180",
        "How long runs of a lost server on another machine stay running before they fail.")
    lease_seconds = Setting(SECONDS, "10", "Duration of a server's lease on its runs.")
    detach_lease_seconds = Setting(SECONDS, "900", "Lease duration after an orderly stop, while steps continue.")
    queues = Setting(QUEUES, "", "Queues with a limit of active runs: NAME=RUNS.")
    queues_enabled = Setting(TRUTH, "true", "Whether runs can be queued and are started from queues.")
    ignore_worker_selector = Setting(TRUTH, "false",
        "Whether DAGs with a workerSelector run on the server that starts them, instead of waiting for a worker.")
    scheduler_enabled = Setting(TRUTH, "true", "Whether this server starts DAGs by their schedules.")
    monitoring_interval_seconds = Setting(SECONDS, "5", "How often the machine's load is measured.")
    monitoring_retention_seconds = Setting(SECONDS, "86400", "How long measurements are stored.")
    event_streams = Setting(integer(0, 100_000), "256", "Maximum number of concurrent live feeds.")
    event_streams_per_caller = Setting(integer(1, 100_000), "32",
        "Maximum number of concurrent live feeds of one user, or of one address without users.", since="0.2.0")
    changes_retention_seconds = Setting(SECONDS, "86400", "How long an interrupted live feed can be resumed.")
    retention_days = Setting(integer(-1, 36_500), "30",
        "Retention of runs in days, for DAGs without their own; -1: for ever.")
    retention_runs = Setting(integer(-1, 10**9), "-1", "Number of newest runs to keep of each DAG; -1: all.")
    retention_bytes = Setting(integer(-1, 2**50), "-1", "Bytes of logs to keep of each DAG; -1: all.")
    retention_total_runs = Setting(integer(-1, 10**9), "-1", "Number of runs to keep of all DAGs together; -1: all.")
    retention_total_bytes = Setting(integer(-1, 2**50), "-1", "Bytes of logs to keep of all DAGs; -1: all.")
    retention_interval_seconds = Setting(SECONDS, "3600", "How often expired runs are deleted.")
    upgrade_copy_days = Setting(integer(-1, 36_500), "30",
        "Age in days at which copies of the SQLite database from before upgrades are removed; -1: never.",
        since="0.2.0")
    alert_keep_days = Setting(integer(0, 36_500), "90",
        "Age in days at which past alerts and their messages are deleted; 0: never.", since="0.2.0")
    trigger_body_days = Setting(integer(0, 36_500), "30",
        "Age in days at which bodies of events of triggers are deleted; 0: with the events.", since="0.2.0")
    trigger_keep_days = Setting(integer(0, 36_500), "90",
        "Age in days at which events of triggers are deleted with their keys; 0: never.", since="0.2.0")
    audit_keep_days = Setting(integer(0, 36_500), "0",
        "Age in days below which no audit entry is pruned; 0: none.", since="0.2.0")
    audit_copy = Setting(FILE, "",
        "File on another disk that audit entries and seals are appended to; see Audit.", since="0.2.0")
    evaluation_timeout_seconds = Setting(SECONDS, "10", "Time limit of the commands in parameters and environment.")
    evaluate_caller_values = Setting(TRUTH, "false",
        "Whether params of callers are evaluated: commands in backticks in them run, with the rights of the server.",
        since="0.2.0")
    undeclared_params = Setting(choice("variables", "text", "refuse"), "variables",
        "What params that a DAG does not declare become: variables of its steps, ${NAME} in texts only, or a refusal.")
    ssh_strict_host_key = Setting(choice("format", "true", "false", "accept-new"), "format",
        "strictHostKey of SSH steps that do not set it; accept-new stores a host's first key and refuses another one.",
        since="0.2.0")
    ssh_known_hosts = Setting(FILE, "",
        "File of the host keys of SSH steps without knownHostFile; empty: ~/.ssh/known_hosts of the step's account.",
        since="0.2.0")
    auth_mode = Setting(choice("none", "builtin", "oidc"), "none", "How users are authenticated; see Authentication.")
    auth_token_secret = Setting(SECRET, "", "Key that signs login tokens, 32 random characters or more.")
    auth_token_ttl_seconds = Setting(SECONDS, "86400", "How long a login lasts.")
    auth_session_idle_seconds = Setting(integer(0, 31_536_000), "0",
        "Seconds without a request after which the login of a program ends; 0: none. In browsers it is 12 h.",
        since="0.2.0")
    auth_fresh_login_seconds = Setting(integer(0, 31_536_000), "0",
        "Greatest age of a program's login for changes of users and tokens; 0: none. In browsers it is 15 min.",
        since="0.2.0")
    auth_personal_token_days = Setting(integer(0, 36_500), "0",
        "Greatest age of personal tokens in days; 0: none.", since="0.2.0")
    auth_admin_username = Setting(TEXT, "admin", "Name of the user that the first start creates.")
    auth_admin_password = Setting(SECRET, "", "Password of that user; empty generates one and prints it once.")
    auth_bcrypt_cost = Setting(integer(4, 20), "12", "Cost of hashing a password, each step doubles it; 12 or more.")
    auth_logins_per_minute = Setting(integer(1, 100_000), "100", "Maximum login attempts per minute of a server.")
    auth_basic_username = Setting(TEXT, "", "User name for HTTP Basic; needs auth_basic_password.")
    auth_basic_password = Setting(SECRET, "", "Password for HTTP Basic.")
    auth_token = Setting(SECRET, "", "Token with all permissions, for Authorization: Bearer.")
    auth_oidc_client_id = Setting(TEXT, "", "Client id at the OpenID Connect provider.")
    auth_oidc_client_secret = Setting(SECRET, "", "Client secret at the OpenID Connect provider.")
    auth_oidc_client_url = Setting(URL, "", "URL of this server for browsers, base_path included.")
    auth_oidc_issuer = Setting(URL, "", "URL of the OpenID Connect provider.")
    auth_oidc_scopes = Setting(WORDS, "openid,profile,email", "Scopes requested from the provider.")
    auth_oidc_whitelist = Setting(WORDS, "", "E-mail addresses that may log in; needed unless all accounts may.")
    auth_oidc_roles = Setting(WORDS, "",
        "Roles of accounts by claims, each CLAIM=VALUE:ROLE; see Authentication.", since="0.2.0")
    auth_oidc_default_role = Setting(choice("none", "viewer", "operator", "manager", "admin"), "viewer",
        "Role of accounts without a rule that fits; none keeps them out.", since="0.2.0")
    auth_oidc_default_scope = Setting(choice("all", "granted"), "all",
        "Where the role of new accounts counts: for all DAGs, or only grants count.", since="0.2.0")
    auth_oidc_allow_everybody = Setting(TRUTH, "false",
        "Whether every account of the provider may log in.", since="0.2.0")
    auth_oidc_trust_unverified = Setting(TRUTH, "false",
        "Whether an e-mail address counts when the provider does not say if it is verified.", since="0.2.0")
    permissions_write_dags = Setting(TRUTH, "true", "Whether definitions can be changed at all.")
    permissions_run_dags = Setting(TRUTH, "true", "Whether runs can be started, stopped and changed at all.")
    inline_runs_need_write = Setting(TRUTH, "false",
        "Whether running an inline definition needs the permission to store it.")
    bare_saves = Setting(TRUTH, "false", "Whether a successful save has an empty response body.")
    metrics = Setting(choice("private", "public"), "private", "Whether /metrics needs the credentials of the API.")
    metrics_token = Setting(SECRET, "", "Token that may read /metrics and nothing else, for Prometheus.", since="0.2.0")
    insecure = Setting(TRUTH, "false",
        "Whether other machines, proxies and form posts are served without authentication; see Authentication.")
    # fmt: on

    def __init__(self, values: Mapping[str, object]) -> None:
        """``values`` are those of all attributes."""
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings are not modified; {name} is changed in a copy, with replace")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and vars(self) == vars(other)

    def replace(self, **values: object) -> Settings:
        """Return a copy with other values."""
        return Settings({**vars(self), **values})
