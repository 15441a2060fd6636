"""The keys of the ``config`` of each type of step: executors read them by this table, the reference lists it."""

from __future__ import annotations

import msgspec

from dagbook.spec.model import HITL, POSTGRES, SQLITE

_API_FIELDS = "map of fields of the Docker API"


class ConfigKey(msgspec.Struct, frozen=True):
    """A key of a config: its type in words, its meaning, an example, its default, and the release it came with.

    An empty default stands for an empty text, list or map, or for what ``meaning`` says.
    """

    kind: str
    meaning: str
    example: object
    default: object = None
    since: str = "1.26"


_TEXT, _FLAG, _NUMBER, _TEXTS, _MAP = "text", "boolean", "whole number", "text or list of texts", "map of texts"

# By type of step, or by type and the key of a map inside the config: "docker: exec".
CONFIG_KEYS: dict[str, dict[str, ConfigKey]] = {
    "http": {
        "timeout": ConfigKey(_NUMBER, "Time limit of the request in seconds; 0 for none.", 30, 0),
        "headers": ConfigKey(_MAP, "Headers of the request.", {"Accept": "application/json"}),
        "query": ConfigKey(_MAP, "Parameters that are added to the query of the URL.", {"page": "2"}),
        "body": ConfigKey(_TEXT, "Body of the request, sent as it is.", '{"rows": 7}'),
        "silent": ConfigKey(_FLAG, "Print only the body of a response of 2xx.", True, False),
        "debug": ConfigKey(_FLAG, "Write request and response to stderr, without secret headers.", True, False),
        "json": ConfigKey(_FLAG, "Print one JSON document: status_code, headers and the parsed body.", True, False),
        "skipTLSVerify": ConfigKey(_FLAG, "Accept any certificate.", True, False),
    },
    "jq": {
        "raw": ConfigKey(_FLAG, "Print texts without quotes and other results as compact JSON.", True, False),
    },
    "archive": {
        "source": ConfigKey(_TEXT, "Required. The archive, or for create what goes into it.", "/data/in.tar.gz"),
        "destination": ConfigKey(
            _TEXT, "The directory of extract, without one that of the run; the archive of create.", "/data/out"
        ),
        "format": ConfigKey(_TEXT, "The format, such as zip or tar.zst; without one it is detected.", "tar.gz"),
        "compressionLevel": ConfigKey(_NUMBER, "From 0 to 9 for create; -1 is the format's default.", 9, -1),
        "password": ConfigKey(_TEXT, "Password of the archive, for extract and list.", "${ZIP_PASSWORD}"),
        "overwrite": ConfigKey(_FLAG, "Let extract replace existing files.", True, False),
        "preservePaths": ConfigKey(_FLAG, "Keep directories; false uses the names of files alone.", False, True),
        "stripComponents": ConfigKey(_NUMBER, "Leading directories that extract removes from each path.", 1, 0),
        "include": ConfigKey(_TEXTS, "Patterns of the paths to take, with ** for any directories.", ["**/*.csv"]),
        "exclude": ConfigKey(_TEXTS, "Patterns of the paths to leave out.", ["**/*.tmp"]),
        "dryRun": ConfigKey(_FLAG, "Report what would be done, and write nothing.", True, False),
        "verbose": ConfigKey(_FLAG, "Write each path to stderr.", True, False),
        "followSymlinks": ConfigKey(_FLAG, "Let create add what links lead to, instead of the links.", True, False),
        "verifyIntegrity": ConfigKey(_FLAG, "Read the complete archive before it is used.", True, False),
        "continueOnError": ConfigKey(
            _FLAG, "Go on after an entry that failed, and list it in errors of the result.", True, False
        ),
    },
    "ssh": {
        "host": ConfigKey(_TEXT, "Host to log in to; required without ip.", "web1.example.com"),
        "ip": ConfigKey(_TEXT, "Another spelling of host, which takes precedence.", "192.0.2.10"),
        "port": ConfigKey(_NUMBER, "Port of the host.", 2222, 22),
        "user": ConfigKey(_TEXT, "Required. User to log in as.", "deploy"),
        "key": ConfigKey(
            _TEXT,
            "File of the private key; without key and password, the first default key of ~/.ssh.",
            "~/.ssh/id_ed25519",
        ),
        "password": ConfigKey(_TEXT, "Password to log in with, when there is no key.", "${SSH_PASSWORD}"),
        "strictHostKey": ConfigKey(
            _FLAG,
            "Refuse hosts whose key is not known; without it ssh_strict_host_key decides, by default false.",
            True,
        ),
        "knownHostFile": ConfigKey(
            _TEXT, "File of the known hosts; without one, ~/.ssh/known_hosts.", "/etc/ssh/known_hosts"
        ),
        "shell": ConfigKey(
            _TEXTS,
            "The shell that runs each command there; without one, the login shell.",
            ["/bin/bash", "-e"],
            since="1.30",
        ),
    },
    "docker": {
        "image": ConfigKey(_TEXT, "The image to make a container from; this or containerName is required.", "alpine:3"),
        "containerName": ConfigKey(_TEXT, "A running container to use, else the name of the new one.", "web"),
        "pull": ConfigKey(
            "text or boolean",
            "When the image is pulled: always, missing, never; true is always, false never.",
            "always",
            "missing",
        ),
        "platform": ConfigKey(_TEXT, "Platform of the image.", "linux/amd64"),
        "autoRemove": ConfigKey(_FLAG, "Remove the container afterwards.", True, False),
        "container": ConfigKey(_API_FIELDS, "Config of the container.", {"env": ["A=1"], "workingDir": "/data"}),
        "host": ConfigKey(_API_FIELDS, "Host config of the container.", {"binds": ["/srv:/data"]}),
        "network": ConfigKey(_API_FIELDS, "Network config of the container.", {"endpointsConfig": {"backend": {}}}),
        "exec": ConfigKey("map", "How the command runs in the container of containerName.", {"user": "www"}),
    },
    "docker: exec": {
        "user": ConfigKey(_TEXT, "User inside the container.", "www"),
        "workingDir": ConfigKey(_TEXT, "Directory inside the container.", "/srv"),
        "env": ConfigKey("list of texts or map of texts", "Variables of the command.", ["A=1"]),
        "privileged": ConfigKey(_FLAG, "Give the command extended privileges.", True, False),
        "tty": ConfigKey(_FLAG, "Give the command a terminal; stderr becomes stdout.", True, False),
    },
    "mail": {
        "from": ConfigKey(_TEXT, "Required. Address of the sender.", "dagbook@example.com"),
        "to": ConfigKey(_TEXTS, "Required. Addresses of the recipients.", ["team@example.com"]),
        "subject": ConfigKey(_TEXT, "The subject.", "The report of ${TODAY}"),
        "message": ConfigKey(_TEXT, "The message, in HTML; line ends become line breaks.", "All <b>done</b>."),
        "attachments": ConfigKey(_TEXTS, "Files to attach, 10 MiB in all.", ["report.pdf"]),
    },
    **{
        name: {
            "dsn": ConfigKey(_TEXT, meaning, example, since="Dagbook"),
            "timeout": ConfigKey(_NUMBER, "Time limit of all statements in seconds; 0 for none.", 30, 0, "Dagbook"),
            "outputFormat": ConfigKey(_TEXT, "Format of the rows: jsonl, json or csv.", "csv", "jsonl", "Dagbook"),
        }
        for name, meaning, example in (
            (POSTGRES, "Required. The address.", "postgres://report:${PASSWORD}@db.example.com:5432/shop"),
            (SQLITE, "Required. The path of a file, file:PATH?OPTIONS, or :memory:.", "data/shop.db"),
        )
    },
    HITL: {
        "prompt": ConfigKey(_TEXT, "What the person who decides reads.", "Deploy ${VERSION}?", since="1.30"),
        "input": ConfigKey(_TEXTS, "Names of values that an approval may give.", ["REASON"], since="1.30"),
        "required": ConfigKey(_TEXTS, "Those of the names that it must give.", ["REASON"], since="1.30"),
        "approvers": ConfigKey(
            _TEXTS, "Users, or groups as group:NAME, who alone may decide.", ["ada", "group:ops"], since="Dagbook"
        ),
    },
}
