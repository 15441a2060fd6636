"""The types of settings: the name of each in listings, its reader, and how its values are displayed."""

from __future__ import annotations

from dagbook.settings import alerts, dag_sources, database_url, nodes, readers, secret_commands
from dagbook.settings.readers import SettingType, of_text

TEXT = SettingType(name="text", read=readers.read_text)
PATH = SettingType(name="path", read=readers.read_path)
PATHS = SettingType(name="list of paths", read=readers.read_paths, display=lambda paths: [str(path) for path in paths])
FILE = SettingType(name="file", read=readers.read_file, display=lambda path: str(path or ""))
HOST = SettingType(name="host name or address", read=of_text(readers.read_host))
BASE_PATH = SettingType(name="path prefix", read=of_text(readers.read_base_path))
ZONE = SettingType(name="IANA time zone", read=of_text(readers.read_zone))
HOST_NAMES = SettingType(name="list of host names", read=readers.read_host_names, display=list)
NETWORKS = SettingType(
    name="list of addresses and networks", read=readers.read_networks, display=readers.display_networks
)
ORIGINS = SettingType(name="list of origins", read=readers.read_origins, display=list)
DESTINATIONS = SettingType(name="list of hosts, addresses and networks", read=readers.read_destinations, display=list)
WORDS = SettingType(name="list", read=readers.read_words, display=list)
URL = SettingType(name="URL", read=of_text(readers.read_url))
SECRET = SettingType(name="secret", read=of_text(readers.read_secret), display=readers.hide, is_secret=True)
KEY = SettingType(
    name=f"key, {readers.MIN_KEY_LENGTH} characters or more",
    read=of_text(readers.read_key),
    display=readers.hide,
    is_secret=True,
)
KEYS = SettingType(
    name="list of keys",
    read=readers.read_keys,
    display=lambda keys: [readers.HIDDEN for _ in keys],
    is_secret=True,
)
TRUTH = SettingType(name="true or false", read=of_text(readers.read_truth), display=bool, is_switch=True)
SECONDS = SettingType(name="seconds", read=of_text(readers.read_seconds), display=readers.without_fraction)
QUEUES = SettingType(
    name="list of queues and their limits",
    read=readers.read_limits,
    map=True,
    display=lambda limits: [f"{name}={number}" for name, number in limits.items()],
)
ENCODING = SettingType(name="encoding", read=readers.read_encoding)
DATABASE_URL = SettingType(
    name="database address", read=database_url.read, display=database_url.hide, may_contain_secret=True
)
SCHEMA = SettingType(name="schema name", read=of_text(database_url.read_schema))
# The next four are secret, hence without a flag: they contain credentials, secrets of hooks, addresses of chats.
REMOTE_NODES = SettingType(name="list of nodes", read=nodes.read, records=True, display=nodes.display, is_secret=True)
SOURCES = SettingType(
    name="list of sources", read=dag_sources.read, records=True, display=dag_sources.display, is_secret=True
)
ALERT_CHANNELS = SettingType(
    name="list of channels", read=alerts.read_channels, records=True, display=alerts.display, is_secret=True
)
SECRET_COMMANDS = SettingType(
    name="map of commands", read=secret_commands.read, tree=True, display=secret_commands.display, is_secret=True
)
ALERT_RULES = SettingType(name="list of rules", read=alerts.read_rules, records=True, display=alerts.display)
PROTOCOLS = SettingType(
    name=f"list of {', '.join(dag_sources.PROTOCOLS)}", read=dag_sources.read_protocols, display=list
)
