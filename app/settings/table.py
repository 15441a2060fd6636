"""Every setting there is. Help texts, listings and the table in docs/configuration.md are made from this one."""

from __future__ import annotations

from typing import NamedTuple

from app.settings.address import DATABASE_URL, PUBLIC, SCHEMA
from app.settings.encoding import ENCODING
from app.settings.kinds import (
    BASE_PATH,
    FILE,
    HOST,
    HOST_NAMES,
    KEY,
    NETWORKS,
    ORIGINS,
    PATH,
    QUEUES,
    SECONDS,
    SECRET,
    TEXT,
    TRUTH,
    URL,
    WORDS,
    ZONE,
    Kind,
    choice,
    whole,
)
from app.settings.nodes import REMOTE_NODES

PREFIX = "DAGBOOK_"
FILE_NAME = "dagbook.yaml"
SYSTEM_ZONE = "<system>"
LOCALE_ENCODING = "<locale>"
HOME = "<home>"


class Setting(NamedTuple):
    """One setting: its name in the file, its kind, its default as it would be written, and what it is for."""

    name: str
    kind: Kind
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The command line's name for it."""
        return "--" + self.name.replace("_", "-")


TABLE = (
    Setting("home", PATH, "~/.dagbook", "Folder of everything that Dagbook keeps on this machine."),
    Setting("database_url", DATABASE_URL, f"sqlite:///{HOME}/dagbook.sqlite3", "SQLite file or PostgreSQL database."),
    Setting("database_schema", SCHEMA, PUBLIC, "Schema of a PostgreSQL database that holds Dagbook's tables."),
    Setting("host", HOST, "127.0.0.1", "Address that the server listens on."),
    Setting("port", whole(0, 65535), "8080", "TCP port that the server listens on; 0 takes a free one."),
    Setting("base_path", BASE_PATH, "", "Prefix of every URL, for a server behind a proxy."),
    Setting("tz", ZONE, SYSTEM_ZONE, "Time zone of schedules and of shown times."),
    Setting(
        "work_dir",
        PATH,
        f"{HOME}/work",
        "Folder in which runs of stored DAGs work that neither name one nor came from a file.",
    ),
    Setting("log_format", choice("text", "json"), "text", "Form of the server's own log."),
    Setting("log_level", choice("debug", "info", "warning", "error"), "info", "Least severity that is logged."),
    Setting(
        "request_log", choice("on", "off", "all"), "on", "Whether requests are logged; on leaves out checks of health."
    ),
    Setting("default_shell", TEXT, "", "Shell of steps that name none; empty chooses one of the machine."),
    Setting("allowed_hosts", HOST_NAMES, "", "Names that a request may address besides those of this machine itself."),
    Setting("cors_origins", ORIGINS, "", "Web pages of other origins that may use the API."),
    Setting("tls_cert_file", FILE, "", "Certificate of the server and those that vouch for it, in PEM, for https."),
    Setting("tls_key_file", FILE, "", "Private key of that certificate, in PEM."),
    Setting("tls_key_password", SECRET, "", "Password of that key, where it is encrypted."),
    Setting("trusted_proxies", NETWORKS, "", "Proxies whose X-Forwarded-For, -Proto and -Host are believed."),
    Setting("remote_nodes", REMOTE_NODES, "", "Other servers that requests are handed on to; see Operations."),
    Setting("base_config", PATH, f"{HOME}/base.yaml", "YAML file whose fields every DAG inherits."),
    Setting("spool_dir", PATH, f"{HOME}/spool", "Where the output of steps lies until it is stored."),
    Setting("secret_key", KEY, "", "Encrypts what is kept of secrets; empty takes the file secret.key in the home."),
    Setting("max_body_bytes", whole(1024, 2**40), "4194304", "Longest request body that is read."),
    Setting(
        "log_limit_bytes",
        whole(1024, 2**50),
        "1073741824",
        "Most output of one step that is stored, of stdout and stderr each.",
    ),
    Setting("log_encoding", ENCODING, LOCALE_ENCODING, "Encoding that steps write in; see Operations."),
    Setting("orphan_grace_seconds", SECONDS, "180", "How long the runs of another machine's lost server wait for it."),
    Setting("lease_seconds", SECONDS, "10", "How long a server owns a run without renewing that."),
    Setting("detach_lease_seconds", SECONDS, "900", "The same after an orderly stop, while steps go on."),
    Setting("queues", QUEUES, "", "Queues with limits of their own: NAME=RUNS, so many runs at a time."),
    Setting("queues_enabled", TRUTH, "true", "Whether runs may wait in queues and are started from them."),
    Setting(
        "ignore_worker_selector",
        TRUTH,
        "false",
        "Whether DAGs with a workerSelector are run by the server that begins them, instead of waiting for a worker.",
    ),
    Setting("scheduler_enabled", TRUTH, "true", "Whether this server starts DAGs by their schedules."),
    Setting("monitoring_interval_seconds", SECONDS, "5", "How often the machine's load is looked at."),
    Setting("monitoring_retention_seconds", SECONDS, "86400", "How long that is remembered."),
    Setting("event_streams", whole(0, 100_000), "256", "Most live feeds that are served at a time."),
    Setting("changes_retention_seconds", SECONDS, "86400", "How long a live feed that broke off can be resumed."),
    Setting(
        "retention_days", whole(-1, 36_500), "30", "Days that runs of DAGs that do not say it are kept; -1: for ever."
    ),
    Setting("retention_runs", whole(-1, 10**9), "-1", "Runs that are kept of each DAG, the newest; -1: all."),
    Setting("retention_bytes", whole(-1, 2**50), "-1", "Bytes of logs that are kept of each DAG; -1: all."),
    Setting("retention_total_runs", whole(-1, 10**9), "-1", "Runs that are kept of all DAGs together; -1: all."),
    Setting("retention_total_bytes", whole(-1, 2**50), "-1", "Bytes of logs that are kept of all DAGs; -1: all."),
    Setting("retention_interval_seconds", SECONDS, "3600", "How often runs are removed that are kept no longer."),
    Setting("evaluation_timeout_seconds", SECONDS, "10", "Most time for the commands in parameters and environment."),
    Setting("auth_mode", choice("none", "builtin", "oidc"), "none", "Who says who people are; see Authentication."),
    Setting("auth_token_secret", SECRET, "", "Key of the tokens of logins, 32 random characters or more."),
    Setting("auth_token_ttl_seconds", SECONDS, "86400", "How long a login lasts."),
    Setting("auth_admin_username", TEXT, "admin", "Name of the user that the first start makes."),
    Setting("auth_admin_password", SECRET, "", "That user's password; empty makes one up and prints it once."),
    Setting("auth_bcrypt_cost", whole(4, 20), "12", "Work of hashing a password, doubled by each step; 12 or more."),
    Setting("auth_login_failures", whole(1, 1000), "5", "Failed logins by one name and address before a wait."),
    Setting("auth_login_window_seconds", SECONDS, "900", "How long failed logins count, and the longest wait."),
    Setting(
        "auth_logins_per_minute", whole(1, 100_000), "100", "Attempts to log in that a server looks at in a minute."
    ),
    Setting("auth_basic_username", TEXT, "", "Name for HTTP Basic, which counts with its password."),
    Setting("auth_basic_password", SECRET, "", "Password for HTTP Basic."),
    Setting("auth_token", SECRET, "", "Token that may do everything, for Authorization: Bearer."),
    Setting("auth_oidc_client_id", TEXT, "", "This server's name at the OpenID Connect provider."),
    Setting("auth_oidc_client_secret", SECRET, "", "This server's password there."),
    Setting("auth_oidc_client_url", URL, "", "URL of this server in people's browsers, base_path included."),
    Setting("auth_oidc_issuer", URL, "", "URL of the provider."),
    Setting("auth_oidc_scopes", WORDS, "openid,profile,email", "What the provider is asked to tell."),
    Setting("auth_oidc_whitelist", WORDS, "", "E-mail addresses that may come in; empty lets in everybody."),
    Setting("permissions_write_dags", TRUTH, "true", "Whether definitions can be changed, by anybody."),
    Setting("permissions_run_dags", TRUTH, "true", "Whether runs can be started, stopped and changed, by anybody."),
    Setting("inline_runs_need_write", TRUTH, "false", "Whether running a text needs the right to store it."),
    Setting("bare_saves", TRUTH, "false", "Whether a save that worked is answered without a body."),
    Setting("metrics", choice("public", "private"), "public", "Whether /metrics can be read without credentials."),
    Setting("insecure", TRUTH, "false", "Whether to serve other machines without authentication."),
)

# Variables with Dagbook's prefix that are no settings of a server; any other one is a mistake and refused.
OTHER_VARIABLES = {
    "DAGBOOK_CONFIG": "settings file to read, like --config",
    "DAGBOOK_DIR": "a checkout, for scripts that start Dagbook from outside",
}
TEST_PREFIX = "DAGBOOK_TEST_"
