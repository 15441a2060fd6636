"""All settings. Help texts, listings and docs/reference/settings.md are generated from this table."""

from __future__ import annotations

from typing import NamedTuple

from dagbook.settings.dag_sources import PROTOCOLS, SOURCES
from dagbook.settings.database_url import DATABASE_URL, SCHEMA
from dagbook.settings.nodes import REMOTE_NODES
from dagbook.settings.types import (
    BASE_PATH,
    DESTINATIONS,
    ENCODING,
    FILE,
    HOST,
    HOST_NAMES,
    KEY,
    METADATA,
    NETWORKS,
    ORIGINS,
    PATH,
    PATHS,
    QUEUES,
    SECONDS,
    SECRET,
    TEXT,
    TRUTH,
    URL,
    WORDS,
    ZONE,
    SettingType,
    choice,
    integer,
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


class Setting(NamedTuple):
    """A setting: its name in the file, its type, its default as written, and its description."""

    name: str
    kind: SettingType
    default: str
    meaning: str

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
        return "--" + self.name.replace("_", "-")

    @property
    def since(self) -> str:
        """The release that came with the setting."""
        return "0.2.0" if self.name in SINCE_0_2 else "0.1.0"


SINCE_0_2 = frozenset(
    {
        "audit_copy",
        "audit_keep_days",
        "auth_fresh_login_seconds",
        "auth_login_failures_per_address",
        "auth_oidc_allow_everybody",
        "auth_oidc_default_role",
        "auth_oidc_default_scope",
        "auth_oidc_roles",
        "auth_oidc_trust_unverified",
        "auth_personal_token_days",
        "auth_session_idle_seconds",
        "egress_deny",
        "evaluate_caller_values",
        "event_streams_per_caller",
        "max_connections",
        "max_connections_per_address",
        "metrics_token",
        "public_url",
        "run_as",
        "secret_env_allow",
        "secret_file_dirs",
        "socket",
        "socket_mode",
        "source_dir",
        "source_fetch_seconds",
        "source_protocols",
        "source_remove_days",
        "sources",
        "ssh_known_hosts",
        "ssh_strict_host_key",
        "upgrade_copy_days",
    }
)
TABLE = (
    Setting("home", PATH, "~/.dagbook", "Folder of Dagbook's files on this machine."),
    Setting("database_url", DATABASE_URL, f"sqlite:///{HOME}/dagbook.sqlite3", "SQLite file or PostgreSQL database."),
    Setting("database_schema", SCHEMA, "public", "Schema of a PostgreSQL database that holds Dagbook's tables."),
    Setting("host", HOST, "127.0.0.1", "Address to listen on."),
    Setting("port", integer(0, 65535), "8080", "TCP port to listen on; 0 chooses a free one."),
    Setting("socket", FILE, "", "Unix socket to listen on instead of host and port, for a proxy of this machine."),
    Setting("socket_mode", choice("0600", "0660", "0666"), "0600", "Mode of that socket's file: who may connect."),
    Setting("base_path", BASE_PATH, "", "Prefix of every URL, for a server behind a proxy."),
    Setting(
        "public_url",
        URL,
        "",
        "URL of this server for browsers, base_path included, for links in mails; empty uses auth_oidc_client_url.",
    ),
    Setting("tz", ZONE, SYSTEM_ZONE, "Time zone of schedules and displayed times."),
    Setting(
        "work_dir",
        PATH,
        f"{HOME}/work",
        "Working directory of runs of stored DAGs without workingDir and without a source file.",
    ),
    Setting("log_format", choice("text", "json"), "text", "Format of the server's own log."),
    Setting("log_level", choice("debug", "info", "warning", "error"), "info", "Minimum level that is logged."),
    Setting(
        "request_log", choice("on", "off", "all"), "on", "Whether requests are logged; on leaves out health checks."
    ),
    Setting("default_shell", TEXT, "", "Shell of steps without one; empty chooses one of the machine."),
    Setting(
        "run_as",
        TEXT,
        "",
        "Account under which commands of definitions run and their files are opened; empty is that of the server.",
    ),
    Setting("allowed_hosts", HOST_NAMES, "", "Host names accepted in requests besides those of this machine."),
    Setting("cors_origins", ORIGINS, "", "Web pages of other origins that may use the API."),
    Setting("tls_cert_file", FILE, "", "Certificate chain of the server in PEM, for https."),
    Setting("tls_key_file", FILE, "", "Private key of that certificate, in PEM."),
    Setting("tls_key_password", SECRET, "", "Password of that key, if it is encrypted."),
    Setting("trusted_proxies", NETWORKS, "", "Proxies whose X-Forwarded-For, -Proto and -Host are trusted."),
    Setting("max_connections", integer(8, 100_000), "1024", "Maximum number of concurrent connections."),
    Setting(
        "max_connections_per_address",
        integer(1, 100_000),
        "128",
        "The same for one address (IPv6: one /64); loopback and trusted_proxies have no such limit.",
    ),
    Setting("remote_nodes", REMOTE_NODES, "", "Other servers that requests are forwarded to; see Operations."),
    Setting(
        "egress_deny",
        DESTINATIONS,
        METADATA,
        "Hosts, addresses and networks that the server's own HTTP requests may not reach; see Operations.",
    ),
    Setting("base_config", PATH, f"{HOME}/base.yaml", "YAML file whose fields every DAG inherits."),
    Setting("sources", SOURCES, "", "Directories and Git repositories that definitions come from; see Sources."),
    Setting(
        "source_dir", PATH, f"{HOME}/sources", "Folder of the checkouts of Git repositories that definitions come from."
    ),
    Setting("source_fetch_seconds", SECONDS, "60", "How often sources are fetched, and directories read as a whole."),
    Setting("source_protocols", PROTOCOLS, "https,ssh,file", "Protocols that Git repositories may have."),
    Setting(
        "source_remove_days",
        integer(0, 36_500),
        "0",
        "Days after which a DAG is deleted whose file was removed from its source; 0: never, it stays suspended.",
    ),
    Setting("spool_dir", PATH, f"{HOME}/spool", "Folder of step output until it is stored."),
    Setting("secret_key", KEY, "", "Key that encrypts stored secrets; empty uses the file secret.key in the home."),
    Setting(
        "secret_env_allow", WORDS, "*", "Variables of the server that secrets may read; * stands for any characters."
    ),
    Setting("secret_file_dirs", PATHS, "", "Directories below which secrets may read files; empty allows all."),
    Setting("max_body_bytes", integer(1024, 2**40), "4194304", "Maximum size of a request body."),
    Setting(
        "log_limit_bytes",
        integer(1024, 2**50),
        "1073741824",
        "Maximum stored output of one step, for each of stdout and stderr.",
    ),
    Setting("log_encoding", ENCODING, LOCALE_ENCODING, "Encoding of step output; see Operations."),
    Setting(
        "orphan_grace_seconds",
        SECONDS,
        "180",
        "How long runs of a lost server on another machine stay running before they fail.",
    ),
    Setting("lease_seconds", SECONDS, "10", "Duration of a server's lease on its runs."),
    Setting("detach_lease_seconds", SECONDS, "900", "Lease duration after an orderly stop, while steps continue."),
    Setting("queues", QUEUES, "", "Queues with a limit of active runs: NAME=RUNS."),
    Setting("queues_enabled", TRUTH, "true", "Whether runs can be queued and are started from queues."),
    Setting(
        "ignore_worker_selector",
        TRUTH,
        "false",
        "Whether DAGs with a workerSelector run on the server that starts them, instead of waiting for a worker.",
    ),
    Setting("scheduler_enabled", TRUTH, "true", "Whether this server starts DAGs by their schedules."),
    Setting("monitoring_interval_seconds", SECONDS, "5", "How often the machine's load is measured."),
    Setting("monitoring_retention_seconds", SECONDS, "86400", "How long measurements are stored."),
    Setting("event_streams", integer(0, 100_000), "256", "Maximum number of concurrent live feeds."),
    Setting(
        "event_streams_per_caller",
        integer(1, 100_000),
        "32",
        "Maximum number of concurrent live feeds of one user, or of one address without users.",
    ),
    Setting("changes_retention_seconds", SECONDS, "86400", "How long an interrupted live feed can be resumed."),
    Setting(
        "retention_days",
        integer(-1, 36_500),
        "30",
        "Retention of runs in days, for DAGs without their own; -1: for ever.",
    ),
    Setting("retention_runs", integer(-1, 10**9), "-1", "Number of newest runs to keep of each DAG; -1: all."),
    Setting("retention_bytes", integer(-1, 2**50), "-1", "Bytes of logs to keep of each DAG; -1: all."),
    Setting("retention_total_runs", integer(-1, 10**9), "-1", "Number of runs to keep of all DAGs together; -1: all."),
    Setting("retention_total_bytes", integer(-1, 2**50), "-1", "Bytes of logs to keep of all DAGs; -1: all."),
    Setting("retention_interval_seconds", SECONDS, "3600", "How often expired runs are deleted."),
    Setting(
        "upgrade_copy_days",
        integer(-1, 36_500),
        "30",
        "Age in days at which copies of the SQLite database from before upgrades are removed; -1: never.",
    ),
    Setting("audit_keep_days", integer(0, 36_500), "0", "Age in days below which no audit entry is pruned; 0: none."),
    Setting("audit_copy", FILE, "", "File on another disk that audit entries and seals are appended to; see Audit."),
    Setting("evaluation_timeout_seconds", SECONDS, "10", "Time limit of the commands in parameters and environment."),
    Setting(
        "evaluate_caller_values",
        TRUTH,
        "false",
        "Whether params of callers are evaluated: commands in backticks in them run, with the rights of the server.",
    ),
    Setting(
        "undeclared_params",
        choice("variables", "text", "refuse"),
        "variables",
        "What params that a DAG does not declare become: variables of its steps, ${NAME} in texts only, or a refusal.",
    ),
    Setting(
        "ssh_strict_host_key",
        choice("format", "true", "false", "accept-new"),
        "format",
        "strictHostKey of SSH steps that do not set it; accept-new stores a host's first key and refuses another one.",
    ),
    Setting(
        "ssh_known_hosts",
        FILE,
        "",
        "File of the host keys of SSH steps without knownHostFile; empty: ~/.ssh/known_hosts of the step's account.",
    ),
    Setting("auth_mode", choice("none", "builtin", "oidc"), "none", "How users are authenticated; see Authentication."),
    Setting("auth_token_secret", SECRET, "", "Key that signs login tokens, 32 random characters or more."),
    Setting("auth_token_ttl_seconds", SECONDS, "86400", "How long a login lasts."),
    Setting(
        "auth_session_idle_seconds",
        integer(0, 31_536_000),
        "0",
        "Seconds without a request after which the login of a program ends; 0: none. In browsers it is 12 h.",
    ),
    Setting(
        "auth_fresh_login_seconds",
        integer(0, 31_536_000),
        "0",
        "Greatest age of a program's login for changes of users and tokens; 0: none. In browsers it is 15 min.",
    ),
    Setting("auth_personal_token_days", integer(0, 36_500), "0", "Greatest age of personal tokens in days; 0: none."),
    Setting("auth_admin_username", TEXT, "admin", "Name of the user that the first start creates."),
    Setting("auth_admin_password", SECRET, "", "Password of that user; empty generates one and prints it once."),
    Setting("auth_bcrypt_cost", integer(4, 20), "12", "Cost of hashing a password, each step doubles it; 12 or more."),
    Setting("auth_login_failures", integer(1, 1000), "5", "Ignored, and removed in the next release: always 5."),
    Setting(
        "auth_login_failures_per_address",
        integer(1, 1_000_000),
        "100",
        "Ignored, and removed in the next release: always 100.",
    ),
    Setting("auth_login_window_seconds", SECONDS, "900", "Ignored, and removed in the next release: always 900."),
    Setting("auth_logins_per_minute", integer(1, 100_000), "100", "Maximum login attempts per minute of a server."),
    Setting("auth_basic_username", TEXT, "", "User name for HTTP Basic; needs auth_basic_password."),
    Setting("auth_basic_password", SECRET, "", "Password for HTTP Basic."),
    Setting("auth_token", SECRET, "", "Token with all permissions, for Authorization: Bearer."),
    Setting("auth_oidc_client_id", TEXT, "", "Client id at the OpenID Connect provider."),
    Setting("auth_oidc_client_secret", SECRET, "", "Client secret at the OpenID Connect provider."),
    Setting("auth_oidc_client_url", URL, "", "URL of this server for browsers, base_path included."),
    Setting("auth_oidc_issuer", URL, "", "URL of the OpenID Connect provider."),
    Setting("auth_oidc_scopes", WORDS, "openid,profile,email", "Scopes requested from the provider."),
    Setting("auth_oidc_whitelist", WORDS, "", "E-mail addresses that may log in; needed unless all accounts may."),
    Setting("auth_oidc_roles", WORDS, "", "Roles of accounts by claims, each CLAIM=VALUE:ROLE; see Authentication."),
    Setting(
        "auth_oidc_default_role",
        choice("none", "viewer", "operator", "manager", "admin"),
        "viewer",
        "Role of accounts without a rule that fits; none keeps them out.",
    ),
    Setting(
        "auth_oidc_default_scope",
        choice("all", "granted"),
        "all",
        "Where the role of new accounts counts: for all DAGs, or only grants count.",
    ),
    Setting("auth_oidc_allow_everybody", TRUTH, "false", "Whether every account of the provider may log in."),
    Setting(
        "auth_oidc_trust_unverified",
        TRUTH,
        "false",
        "Whether an e-mail address counts when the provider does not say if it is verified.",
    ),
    Setting("permissions_write_dags", TRUTH, "true", "Whether definitions can be changed at all."),
    Setting("permissions_run_dags", TRUTH, "true", "Whether runs can be started, stopped and changed at all."),
    Setting(
        "inline_runs_need_write",
        TRUTH,
        "false",
        "Whether running an inline definition needs the permission to store it.",
    ),
    Setting("bare_saves", TRUTH, "false", "Whether a successful save has an empty response body."),
    Setting("metrics", choice("private", "public"), "private", "Whether /metrics needs the credentials of the API."),
    Setting("metrics_token", SECRET, "", "Token that may read /metrics and nothing else, for Prometheus."),
    Setting(
        "insecure",
        TRUTH,
        "false",
        "Whether other machines, proxies and form posts are served without authentication; see Authentication.",
    ),
)

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
