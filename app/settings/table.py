"""Every setting there is. Help texts, listings and the table in docs/configuration.md are made from this one."""

from __future__ import annotations

from typing import NamedTuple

from app.settings.address import DATABASE_URL
from app.settings.kinds import BASE_PATH, HOST, HOST_NAMES, ORIGINS, PATH, SECONDS, TEXT, ZONE, Kind, choice, whole

PREFIX = "DAGBOOK_"
FILE_NAME = "dagbook.yaml"
SYSTEM_ZONE = "<system>"
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
    Setting("host", HOST, "127.0.0.1", "Address that the server listens on."),
    Setting("port", whole(0, 65535), "8080", "TCP port that the server listens on; 0 takes a free one."),
    Setting("base_path", BASE_PATH, "", "Prefix of every URL, for a server behind a proxy."),
    Setting("tz", ZONE, SYSTEM_ZONE, "Time zone of schedules and of shown times."),
    Setting("work_dir", PATH, f"{HOME}/work", "Where a step works when neither it nor its DAG says so."),
    Setting("log_format", choice("text", "json"), "text", "Form of the server's own log."),
    Setting("log_level", choice("debug", "info", "warning", "error"), "info", "Least severity that is logged."),
    Setting("default_shell", TEXT, "", "Shell of steps that name none; empty chooses one of the machine."),
    Setting("allowed_hosts", HOST_NAMES, "", "Names that a request may address besides those of this machine itself."),
    Setting("cors_origins", ORIGINS, "", "Web pages of other origins that may use the API."),
    Setting("base_config", PATH, f"{HOME}/base.yaml", "YAML file whose fields every DAG inherits."),
    Setting("spool_dir", PATH, f"{HOME}/spool", "Where the output of steps lies until it is stored."),
    Setting("max_body_bytes", whole(1024, 2**40), "4194304", "Longest request body that is read."),
    Setting("log_limit_bytes", whole(1024, 2**50), "1073741824", "Most output of one step that is stored."),
    Setting("orphan_grace_seconds", SECONDS, "180", "How long the runs of another machine's lost server wait for it."),
    Setting("lease_seconds", SECONDS, "10", "How long a server owns a run without renewing that."),
    Setting("detach_lease_seconds", SECONDS, "900", "The same after an orderly stop, while steps go on."),
    Setting("monitoring_interval_seconds", SECONDS, "5", "How often the machine's load is looked at."),
    Setting("monitoring_retention_seconds", SECONDS, "86400", "How long that is remembered."),
    Setting("evaluation_timeout_seconds", SECONDS, "10", "Most time for the commands in parameters and environment."),
)

# Variables with Dagbook's prefix that are no settings of a server; any other one is a mistake and refused.
OTHER_VARIABLES = {
    "DAGBOOK_CONFIG": "settings file to read, like --config",
    "DAGBOOK_DIR": "a checkout, for scripts that start Dagbook from outside",
    "DAGBOOK_SECRET_KEY": "key of what is stored encrypted; no setting, so that no listing can show it",
}
TEST_PREFIX = "DAGBOOK_TEST_"
