"""Reading the settings from defaults, file, environment and flags into one struct."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from dagbook.json_values import Json
from dagbook.settings import database_url
from dagbook.settings.definitions import (
    CREDENTIAL_PREFIX,
    CREDENTIALS_DIRECTORY,
    FILE_NAME,
    HOME,
    KEY_FILE,
    LOCALE_ENCODING,
    OTHER_VARIABLES,
    PREFIX,
    REMOVED,
    SYSTEM_ZONE,
    TABLE,
    TEST_PREFIX,
    AnySetting,
    Settings,
    flag_of,
)
from dagbook.settings.readers import Raw, SettingsError, absolute, locale_encoding, system_zone, text_of

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DUPLICATE = "{}: is there twice in one item; keep one"
_BY_NAME = {setting.name: setting for setting in TABLE}
_BY_VARIABLE = {setting.variable: setting for setting in TABLE}
_CREDENTIALS = tuple(setting for setting in TABLE if setting.kind.is_credential)
_BY_FILE_NAME = {setting.file_name: setting for setting in _CREDENTIALS}
_BY_CREDENTIAL = {setting.credential: setting for setting in _CREDENTIALS}
_MAX_SECRET_BYTES = 64 * 1024


class Given(msgspec.Struct, frozen=True):
    """A raw value, its origin, and the folder of relative paths in it.

    ``references`` are the variables that are used in it, and ``file`` is the file with nothing but the value.
    """

    raw: Raw
    origin: str
    folder: Path
    references: tuple[str, ...] = ()
    file: Path | None = None


def read(argv_flags: Mapping[str, str], environ: Mapping[str, str], home_default: Path) -> Settings:
    """Read the settings; later sources override earlier ones: default, file, variable, flag.

    Flags are given by the name of their setting; ``config`` names the file to read instead of ``dagbook.yaml`` in the
    home. Raises ``SettingsError`` for the first unknown name or invalid value.
    """
    here = Path.cwd()
    flags = {name: text for name, text in argv_flags.items() if name != "config"}
    direct = _from_environment(environ, here) | _from_flags(flags, here)
    config = argv_flags.get("config") or environ.get("DAGBOOK_CONFIG")
    usual_file = _home(direct, home_default) / FILE_NAME
    file = Path(config).expanduser() if config else usual_file
    given = (_from_file(file, environ) if config or file.exists() else {}) | direct
    home = _home(given, home_default)
    removed = tuple(f"{name} ({given.pop(name).origin}) {notice}" for name, notice in REMOVED.items() if name in given)
    values: dict[str, Any] = {}  # of as many types as there are settings
    for setting in TABLE:
        if setting.name not in given:
            text = str(home) if setting.name == "home" else setting.default.replace(HOME, str(home))
            detect = {SYSTEM_ZONE: system_zone, LOCALE_ENCODING: locale_encoding}.get(text)
            given[setting.name] = Given(detect(environ) if detect else text, "default", home)
        values[setting.name] = _parse(setting, given[setting.name])
    origins = {setting.name: given[setting.name].origin for setting in TABLE}
    of_sources = (source.credentials for source in values["sources"])
    of_vault = (values[f"vault_{name}"] for name in ("token_path", "kubernetes_token_path", "client_key"))
    own_files = (
        file,
        home / KEY_FILE,
        values["tls_key_file"],
        *of_vault,
        *(value.file for value in given.values()),
        *of_sources,
    )
    return Settings(
        {
            **values,
            "origins": origins,
            "credential_variables": frozenset(_credential_variables(given, values, environ)),
            "credential_files": (*filter(None, own_files), *database_url.files(values["database_url"])),
            "notices": removed,
        }
    )


def _credential_variables(
    given: Mapping[str, Given], values: Mapping[str, object], environ: Mapping[str, str]
) -> Iterator[str]:
    """Return the variables that a credential came from: of an address those of its password, not that of its host."""
    for setting in TABLE:
        if not setting.kind.is_credential:
            continue
        if setting.variable in environ:
            yield setting.variable
        displayed = str(setting.kind.display(values[setting.name]))
        yield from (name for name in given[setting.name].references if environ[name] not in displayed)


def _home(given: Mapping[str, Given], home_default: Path) -> Path:
    found = given.get("home") or Given(str(home_default), "default", Path.cwd())
    home = Path(str(_parse(TABLE[0], found)))
    if home.is_file():
        raise SettingsError("home", found.origin, f"{home} is a file; name a directory, which is made if it is missing")
    return home


def _parse(setting: AnySetting, given: Given) -> object:
    try:
        return setting.kind.read(given.raw, given.folder)
    except ValueError as error:
        raise SettingsError(setting.name, given.origin, str(error)) from None


def _from_flags(flags: Mapping[str, str], folder: Path) -> dict[str, Given]:
    """Return the flags by the names of their settings."""
    return {name: Given(raw, flag_of(name), folder) for name, raw in flags.items()}


def _from_environment(environ: Mapping[str, str], folder: Path) -> dict[str, Given]:
    """Return the variables with Dagbook's prefix; an empty one counts as not set, an unknown one is refused."""
    given: dict[str, Given] = {}
    known = [*_BY_VARIABLE, *(PREFIX + name.upper() for name in _BY_FILE_NAME), *OTHER_VARIABLES]
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX) or variable in OTHER_VARIABLES:
            continue
        name = variable.removeprefix(PREFIX).lower()
        setting = _BY_VARIABLE.get(variable)
        by_file = None if setting else _BY_FILE_NAME.get(name)
        if setting is not None and raw:
            _add(given, setting.name, Given(raw, variable, folder))
        elif by_file is not None and raw:
            _add(given, by_file.name, _read_secret(by_file.name, f"{variable}={raw}", raw, folder))
        elif name in REMOVED and raw:
            given[name] = Given(raw, variable, folder)
        elif setting is None and by_file is None and name not in REMOVED:
            raise SettingsError(variable, "environment", _unknown(variable, known, PREFIX))
    for name, credential in _from_credentials(environ.get(CREDENTIALS_DIRECTORY, "")).items():
        _add(given, name, credential)
    return given


def _from_credentials(directory: str) -> dict[str, Given]:
    """Return the credentials of systemd with Dagbook's prefix by the names of their settings."""
    given: dict[str, Given] = {}
    try:
        paths = sorted(Path(directory).iterdir()) if directory else []
    except OSError as error:
        raise SettingsError(CREDENTIALS_DIRECTORY, directory, f"cannot be read: {error.strerror}") from None
    for path in paths:
        if not path.name.startswith(CREDENTIAL_PREFIX):
            continue
        if path.name not in _BY_CREDENTIAL:
            raise SettingsError(path.name, directory, _unknown(path.name, _BY_CREDENTIAL, CREDENTIAL_PREFIX))
        name = _BY_CREDENTIAL[path.name].name
        given[name] = _read_secret(name, f"credential {path}", str(path), path.parent)
    return given


def _add(given: dict[str, Given], name: str, value: Given) -> None:
    if name in given:
        raise SettingsError(name, value.origin, f"is given already, by {given[name].origin}; give one of them")
    given[name] = value


def _read_secret(name: str, origin: str, text: str, folder: Path) -> Given:
    """Read a file with one value; the line end that editors leave at its end is no part of it."""
    try:
        path = absolute(folder, text)
        with path.open("rb") as file:
            data = file.read(_MAX_SECRET_BYTES + 1)
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(name, origin, f"the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(name, origin, "the file is not a text in UTF-8, or its path is not valid") from None
    if not value or len(data) > _MAX_SECRET_BYTES or "\0" in value:
        raise SettingsError(
            name, origin, f"the file has to contain the value and nothing else, at most {_MAX_SECRET_BYTES // 1024} KiB"
        )
    return Given(value, origin, folder, file=path)


def _from_file(path: Path, environ: Mapping[str, str]) -> dict[str, Given]:
    """Return the keys of a settings file. ``${NAME}`` in a value is the environment variable of that name."""
    given: dict[str, Given] = {}
    for key, value in _entries(path):
        origin = f"{path}:{key.start_mark.line + 1}"
        key_name, folder = str(key.value), path.absolute().parent
        name = _BY_FILE_NAME[key_name].name if key_name in _BY_FILE_NAME else key_name
        if name not in _BY_NAME and name not in REMOVED:
            raise SettingsError(name, origin, _unknown(name, _BY_NAME))
        if name in given:
            raise SettingsError(key_name, origin, f"is there already, at {given[name].origin}; keep one")
        kind = _BY_NAME[name].kind if name in _BY_NAME else None
        raw: Raw = ""
        if kind is not None:
            if kind.tree and key_name == name:
                raw = json.dumps(_read_tree(value, name, origin, environ))
            else:
                raw = _read_node(value, name, origin, environ, may_be_map=kind.map, has_records=kind.records)
        if key_name in _BY_FILE_NAME:
            given[name] = _read_secret(name, origin, text_of(raw), folder)
        else:
            given[name] = Given(raw, origin, folder, references=tuple(_find_references(value)))
    return given


def _find_references(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        yield from _REFERENCE.findall(node.value)
        return
    for child in node.value:
        for below in child if isinstance(child, tuple) else (child,):
            yield from _find_references(below)


def _unknown(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Describe the problem of an unknown name; ``prefix`` is common to all names."""
    # Compared without the common prefix, which would make any two similar.
    others = [other.removeprefix(prefix) for other in known]
    close = difflib.get_close_matches(name.removeprefix(prefix), others, n=1)
    hint = f"did you mean {prefix}{close[0]}?" if close else "`dagbook config --help` lists them all"
    return f"is not a setting; {hint}"


def _entries(path: Path) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    root = _compose(path)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError("settings file", f"{path}:1", "is not a map; write lines such as `port: 8080`")
    yield from root.value


def _compose(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SettingsError("settings file", str(path), f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, RecursionError):
        raise SettingsError("settings file", str(path), "is not a YAML text of settings in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError("settings file", f"{path}:{line}", f"is not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise SettingsError("settings file", str(path), "holds a character that YAML does not allow") from None


def _read_node(
    node: yaml.Node, name: str, origin: str, environ: Mapping[str, str], *, may_be_map: bool, has_records: bool = False
) -> Raw:
    if isinstance(node, yaml.SequenceNode):
        read_item = _read_record if has_records else _read_scalar
        return [read_item(item, name, origin, environ) for item in node.value]
    if isinstance(node, yaml.MappingNode) and may_be_map:
        return [f"{key.value}={_read_scalar(value, name, origin, environ)}" for key, value in node.value]
    return _read_scalar(node, name, origin, environ)


def _read_record(node: yaml.Node, name: str, origin: str, environ: Mapping[str, str]) -> str:
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(name, origin, "is a list of maps; write each item as lines such as `name: …`")
    record: dict[str, Raw] = {}
    for key, value in node.value:
        if key.value in record:
            raise SettingsError(
                name, f"{origin.rpartition(':')[0]}:{key.start_mark.line + 1}", _DUPLICATE.format(key.value)
            )
        record[str(key.value)] = _read_node(value, name, origin, environ, may_be_map=True)
    return json.dumps(record)


def _read_tree(node: yaml.Node, name: str, origin: str, environ: Mapping[str, str]) -> Json:
    """Return what a node has at any depth; a key of a map may be there once."""
    if isinstance(node, yaml.SequenceNode):
        return [_read_tree(item, name, origin, environ) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _read_scalar(node, name, origin, environ)
    found: dict[str, Json] = {}
    for key, value in node.value:
        if key.value in found:
            raise SettingsError(name, origin, _DUPLICATE.format(key.value))
        found[str(key.value)] = _read_tree(value, name, origin, environ)
    return found


def _read_scalar(node: yaml.Node, name: str, origin: str, environ: Mapping[str, str]) -> str:
    # The text is used, not the type that YAML resolves: a value means the same in the file and in a variable.
    if not isinstance(node, yaml.ScalarNode):
        raise SettingsError(name, origin, "is nested; write one value or a list of values")
    if node.tag == "tag:yaml.org,2002:null":
        raise SettingsError(name, origin, "has no value; write one, or take the line out")
    text: str = node.value
    for variable in _REFERENCE.findall(text):
        if variable not in environ:
            raise SettingsError(name, origin, f"uses ${{{variable}}}, which is not set; set it in the environment")
    return _REFERENCE.sub(lambda match: environ[match[1]], text)
