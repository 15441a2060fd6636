from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagbook.settings import TABLE, Setting, Settings, SettingsError, read
from dagbook.settings.database_url import hide
from dagbook.settings.definitions import OTHER_VARIABLES, REMOVED, TEST_PREFIX

CHECKOUT = Path(__file__).parents[2]


def write_file(home: Path, text: str) -> Path:
    path = home / "dagbook.yaml"
    path.write_text(text)
    return path


def read_file(home: Path, text: str, **environ: str) -> Settings:
    write_file(home, text)
    return read({}, environ, home)


def test_settings_are_changed_in_a_copy_only(tmp_path: Path) -> None:
    settings = read({}, {}, tmp_path)
    with pytest.raises(AttributeError, match="port is changed in a copy"):
        settings.port = 1
    changed = settings.replace(port=1)
    assert (changed.port, settings.port, changed == settings) == (1, 8080, False)


@pytest.mark.parametrize(
    ("text", "environ", "flags", "origin"),
    [
        ("old_limit: [a, {b: c}]", {}, {}, "{home}/dagbook.yaml:1"),
        ("", {"DAGBOOK_OLD_LIMIT": "x"}, {}, "DAGBOOK_OLD_LIMIT"),
        ("old_limit: 1", {"DAGBOOK_OLD_LIMIT": "x"}, {"old_limit": "y"}, "--old-limit"),
    ],
)
def test_a_removed_setting_is_read_with_a_notice_and_without_effect(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    environ: dict[str, str],
    flags: dict[str, str],
    origin: str,
) -> None:
    monkeypatch.setitem(REMOVED, "old_limit", "has no effect since 0.3.0; take it out")
    write_file(tmp_path, text)
    settings = read(flags, environ, tmp_path)
    notice = f"old_limit ({origin.format(home=tmp_path)}) has no effect since 0.3.0; take it out"
    assert settings.notices == (notice,)
    assert settings.replace(notices=()) == read({}, {"DAGBOOK_OLD_LIMIT": ""}, tmp_path).replace(notices=())


def test_an_unknown_setting_is_no_removed_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a setting"):
        read_file(tmp_path, "old_limit: 1")


def test_defaults_lie_in_the_home(tmp_path: Path) -> None:
    settings = read({}, {}, tmp_path)
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/dagbook.sqlite3"
    assert settings.spool_dir == tmp_path / "spool"
    assert settings.port == 8080
    assert set(settings.origins.values()) == {"default"}


def test_the_user_s_home_is_the_default_home() -> None:
    assert read({}, {"TZ": "UTC"}, Path("~/.dagbook")).home == Path.home() / ".dagbook"


@pytest.mark.parametrize(
    ("text", "environ", "flags", "port", "origin"),
    [
        ("", {}, {}, 8080, "default"),
        ("port: 1", {}, {}, 1, "{home}/dagbook.yaml:1"),
        ("# first\nport: 1", {"DAGBOOK_PORT": "2"}, {}, 2, "DAGBOOK_PORT"),
        ("port: 1", {"DAGBOOK_PORT": "2"}, {"port": "3"}, 3, "--port"),
        ("\n\nport: 1", {"DAGBOOK_PORT": ""}, {}, 1, "{home}/dagbook.yaml:3"),
    ],
)
def test_the_later_of_default_file_variable_and_flag_counts(
    tmp_path: Path, text: str, environ: dict[str, str], flags: dict[str, str], port: int, origin: str
) -> None:
    write_file(tmp_path, text)
    settings = read(flags, environ, tmp_path)
    assert (settings.port, settings.origins["port"]) == (port, origin.format(home=tmp_path))


def test_a_variable_moves_the_home_and_with_it_the_settings_file(tmp_path: Path) -> None:
    write_file(tmp_path, "port: 1")
    settings = read({}, {"DAGBOOK_HOME": str(tmp_path)}, Path("/nowhere"))
    assert (settings.home, settings.port) == (tmp_path, 1)


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_another_settings_file_is_read_in_place_of_the_one_in_the_home(tmp_path: Path, way: str) -> None:
    write_file(tmp_path, "port: 1")
    other = tmp_path / "other.yaml"
    other.write_text("log_format: json")
    flags, environ = ({"config": str(other)}, {}) if way == "flag" else ({}, {"DAGBOOK_CONFIG": str(other)})
    settings = read(flags, environ, tmp_path)
    assert (settings.port, settings.log_format) == (8080, "json")


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("")
    with pytest.raises(SettingsError, match=r"home .*DAGBOOK_HOME.*: .*/h is a file; name a directory"):
        read({}, {"DAGBOOK_HOME": str(tmp_path / "h")}, tmp_path)


def test_a_settings_file_that_was_named_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml\): cannot be read"):
        read({"config": str(tmp_path / "absent.yaml")}, {}, tmp_path)


def test_a_relative_path_in_the_file_starts_from_the_file(tmp_path: Path) -> None:
    settings = read_file(tmp_path, "work_dir: here\ndatabase_url: sqlite:///rows.db")
    assert settings.work_dir == tmp_path / "here"
    assert settings.database_url == f"sqlite:///{tmp_path}/rows.db"


def test_a_relative_path_in_a_variable_starts_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read({}, {"DAGBOOK_WORK_DIR": "here"}, Path("/nowhere")).work_dir == tmp_path / "here"


def test_a_value_in_the_file_may_name_a_variable(tmp_path: Path) -> None:
    settings = read_file(tmp_path, "database_url: postgresql://u:${WORD}@h/db", WORD="s$3")
    assert settings.database_url == "postgresql://u:s$3@h/db"


def test_a_variable_that_is_not_set_is_no_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"default_shell .*dagbook\.yaml:1\): uses \$\{NOWHERE\}"):
        read_file(tmp_path, "default_shell: ${NOWHERE}")


@pytest.mark.parametrize("text", ["queues: {etl: 2, big one: 10}", "queues: [etl=2, big one = 10]"])
def test_queues_may_be_written_as_a_map_or_as_a_list(tmp_path: Path, text: str) -> None:
    settings = read_file(tmp_path, text)
    assert list(settings.queues.items()) == [("etl", 2), ("big one", 10)]
    assert read({"queues": "etl=2,big one=10"}, {}, tmp_path).queues == settings.queues


@pytest.mark.parametrize("variable", [*OTHER_VARIABLES, f"{TEST_PREFIX}POSTGRES", "PORT", "DAGU_PORT"])
def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, variable: str) -> None:
    environ = {variable: str(write_file(tmp_path, ""))}
    assert read({}, environ, tmp_path) == read({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DAGBOOK_PROT": "1"}, "DAGBOOK_PROT (environment): is not a setting; did you mean DAGBOOK_PORT?"),
        ({"DAGBOOK_ZZZZ": "1"}, "DAGBOOK_ZZZZ (environment): is not a setting; `dagbook config --help` lists them all"),
    ],
)
def test_an_unknown_variable_is_refused_by_name(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read({}, environ, tmp_path)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("basePath: /x", "basePath ({file}:1): is not a setting; did you mean base_path?"),
        ("port: 1\nport: 2", "port ({file}:2): is there already, at {file}:1; keep one"),
        ("port:", "port ({file}:1): has no value; write one, or take the line out"),
        ("port: {a: 1}", "port ({file}:1): is nested; write one value or a list of values"),
        ("port: [1]", "port ({file}:1): a list or a map is given where one value belongs"),
        ("queues: {a: 0}", "queues ({file}:1): 'a=0' does not fit; write NAME=RUNS such as reports=2, at least 1"),
        ("queues: a", "queues ({file}:1): 'a' does not fit; write NAME=RUNS such as reports=2, at least 1"),
        ("queues: {a: [1]}", "queues ({file}:1): is nested; write one value or a list of values"),
        ("queues: [a=1, a=2]", "queues ({file}:1): 'a' is there twice; keep one"),
        ("queues_enabled: 1", "queues_enabled ({file}:1): '1' does not fit; write true or false"),
        ("allowed_hosts: [[a]]", "allowed_hosts ({file}:1): is nested; write one value or a list of values"),
        ("- port", "settings file ({file}:1): is not a map; write lines such as `port: 8080`"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_file(tmp_path, text)
    assert str(caught.value) == message.format(file=tmp_path / "dagbook.yaml")


@pytest.mark.parametrize("text", [b"port: [", b"port: \xff", b"a: \x00", b"--- 1\n--- 2", b"[" * 5000])
def test_a_file_that_is_not_yaml_is_an_error_of_settings(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "dagbook.yaml").write_bytes(text)
    with pytest.raises(SettingsError, match="settings file"):
        read({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "x"),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "80_80"),
        ("port", "8080\n"),
        ("port", "9" * 5000),
        ("base_path", "/a b"),
        ("base_path", "/a/../b"),
        ("base_path", "/a?b"),
        ("tz", "Mars/Olympus"),
        ("tz", "/etc/passwd"),
        ("tz", "America"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("host", "a b"),
        ("host", ""),
        ("home", ""),
        ("allowed_hosts", "https://a.example"),
        ("allowed_hosts", "*"),
        ("cors_origins", "*"),
        ("cors_origins", "https://a.example/path"),
        ("max_body_bytes", "0"),
        ("lease_seconds", "0"),
        ("lease_seconds", "-1"),
        ("lease_seconds", "nan"),
        ("auth_mode", "ldap"),
        ("auth_bcrypt_cost", "3"),
        ("auth_oidc_issuer", "id.example"),
        ("auth_oidc_issuer", "https://user@id.example"),
        ("insecure", "yes"),
        ("metrics", "closed"),
        ("database_url", "mysql://h/db"),
        ("database_url", "sqlite://"),
        ("database_url", "sqlite:///:memory:"),
        ("database_url", "sqlite:///a.db?mode=ro"),
        ("database_url", "sqlite+aiosqlite:///a.db"),
        ("database_url", "postgresql+asyncpg://h/db"),
        ("database_url", "postgresql://h:port/db"),
        ("database_url", "postgresql://h/db?sslmode=always"),
        ("database_url", "postgresql://h/db?colour=red"),
        ("database_url", "postgresql://h/db?sslrootcert="),
        ("database_schema", "Flows"),
        ("database_schema", "pg_flows"),
        ("database_schema", "1flow"),
        ("database_schema", 'a"b'),
        ("database_schema", "s" * 64),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_name_and_origin(tmp_path: Path, name: str, text: str) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=rf"^{name} \({flag}\): .+"):
        read({name: text}, {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("base_path", "/", ""),
        ("base_path", "dagbook/", "/dagbook"),
        ("base_path", "/a/b", "/a/b"),
        ("port", "0", 0),
        ("lease_seconds", "0.5", 0.5),
        ("allowed_hosts", "A.example, b.example,", ("a.example", "b.example")),
        ("cors_origins", "https://a.example:8443", ("https://a.example:8443",)),
        ("host", "::1", "::1"),
        ("insecure", "True", True),
        ("auth_oidc_scopes", "openid, email", ("openid", "email")),
        ("auth_oidc_issuer", "https://id.example/", "https://id.example"),
        ("database_url", "postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("database_url", "postgresql://h/db?sslrootcert=/a%20b.pem", "postgresql://h/db?sslrootcert=/a%20b.pem"),
        ("database_schema", "dagbook_2", "dagbook_2"),
    ],
)
def test_a_value_is_read_in_its_kind(tmp_path: Path, name: str, text: str, value: object) -> None:
    assert getattr(read({name: text}, {}, tmp_path), name) == value


def test_a_list_in_the_file_is_a_list(tmp_path: Path) -> None:
    assert read_file(tmp_path, "allowed_hosts:\n  - a.example\n  - b.example").allowed_hosts == (
        "a.example",
        "b.example",
    )


def test_a_value_is_text_whatever_yaml_would_make_of_it(tmp_path: Path) -> None:
    assert read_file(tmp_path, "default_shell: yes").default_shell == "yes"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", ":Asia/Tokyo"])
def test_without_a_time_zone_the_system_s_counts(tmp_path: Path, zone: str) -> None:
    assert read({}, {"TZ": zone}, tmp_path).tz.key == "Asia/Tokyo"


def test_a_time_zone_of_its_own_beats_the_system_s(tmp_path: Path) -> None:
    assert read({}, {"TZ": "Asia/Tokyo", "DAGBOOK_TZ": "Europe/Berlin"}, tmp_path).tz.key == "Europe/Berlin"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:s:e@c@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db?password=secret&x=1", "postgresql://u@h/db?password=***&x=1"),
        ("postgresql://u@h/db?x=1&sslPassword=secret", "postgresql://u@h/db?x=1&sslPassword=***"),
        ("postgresql:///db", "postgresql:///db"),
        ("sqlite:////home/a/b.sqlite3", "sqlite:////home/a/b.sqlite3"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert hide(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:12/secret@h/db",
        "postgresql://u:1#secret@h/db",
        "postgresql://u:1?secret@h/db",
        "postgresql://u:secret@h:x/db",
        "postgres://u:secret@h/db",
        "postgresql+psycopg://u:secret@h/db",
        "mysql://u:secret@h/db",
    ],
)
def test_a_database_address_that_does_not_fit_is_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read({"database_url": url}, {}, tmp_path)
    assert "secret" not in str(caught.value)


SECRETS = [setting for setting in TABLE if setting.kind.is_secret]


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.name)
def test_the_mark_of_a_hidden_secret_is_no_secret(tmp_path: Path, setting: Setting[Any]) -> None:
    with pytest.raises(SettingsError, match="write the secret itself"):
        read({}, {setting.variable: "***"}, tmp_path)


# -- the key of what is stored encrypted ---------------------------------------------------------------------------

KEY = "0123456789abcdef" * 2


def test_the_key_is_read_from_variable_or_file(tmp_path: Path) -> None:
    assert read({}, {"DAGBOOK_SECRET_KEY": KEY}, tmp_path).secret_key == KEY
    assert read_file(tmp_path, "secret_key: ${K}", K=KEY).secret_key == KEY


def test_the_key_is_shown_neither_by_listings_nor_by_accident(tmp_path: Path) -> None:
    settings = read({}, {"DAGBOOK_SECRET_KEY": KEY}, tmp_path)
    (setting,) = [setting for setting in TABLE if setting.name == "secret_key"]
    assert setting.kind.display(settings.secret_key) == "***"
    assert KEY not in repr(settings)


def test_a_short_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"secret_key \(DAGBOOK_SECRET_KEY\): is no key; write at least 32") as told:
        read({}, {"DAGBOOK_SECRET_KEY": "too-short"}, tmp_path)
    assert "too-short" not in str(told.value)


@pytest.mark.parametrize(
    ("environ", "encoding"),
    [
        ({}, "utf-8"),
        ({"LANG": "de_DE"}, "utf-8"),
        ({"LANG": "C"}, "utf-8"),
        ({"LANG": "en_US.US-ASCII"}, "utf-8"),
        ({"LANG": "xx_XX.unheard-of"}, "utf-8"),
        ({"LANG": "de_DE.ISO8859-15@euro"}, "iso8859-15"),
        ({"LANG": "ja_JP.eucJP", "LC_ALL": ""}, "euc_jp"),
        ({"LANG": "ja_JP.eucJP", "LC_CTYPE": "C.UTF-8"}, "euc_jp"),
        ({"LANG": "ja_JP.eucJP", "LC_ALL": "zh_CN.GB18030"}, "gb18030"),
    ],
)
def test_without_an_encoding_of_logs_that_of_the_locale_counts(
    tmp_path: Path, environ: dict[str, str], encoding: str
) -> None:
    settings = read({}, environ, tmp_path)
    assert (settings.log_encoding, settings.origins["log_encoding"]) == (encoding, "default")


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("UTF8", "utf-8"),
        ("Shift_JIS", "shift_jis"),
        ("ms932", "cp932"),
        ("EUC-JP", "euc_jp"),
        ("ISO-2022-JP", "iso2022_jp"),
        ("GB2312", "gb2312"),
        ("hz-gb-2312", "hz"),
        ("Big5-HKSCS", "big5hkscs"),
        ("ks_c_5601-1987", "euc_kr"),
        ("latin1", "iso8859-1"),
        ("ISO-8859-8", "iso8859-8"),
        ("windows-1252", "cp1252"),
        ("KOI8-U", "koi8-u"),
        ("IBM850", "cp850"),
        ("macintosh", "mac-roman"),
        ("UTF-16", "utf-16"),
        ("UTF-16BE", "utf-16-be"),
    ],
)
def test_an_encoding_has_many_names(tmp_path: Path, name: str, encoding: str) -> None:
    assert read_file(tmp_path, f"log_encoding: {name}").log_encoding == encoding


@pytest.mark.parametrize(
    "name", ["latin-99", "rot13", "base64", "punycode", "utf-7", "unicode_escape", "ü", "a\0b", " "]
)
def test_an_encoding_that_is_none_is_refused_with_names_that_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"log_encoding \(--log-encoding\).* write a name such as utf-8, shift_jis"):
        read({"log_encoding": name}, {}, tmp_path)


SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of these tests
GIVEN_BY_FILE = ("auth_token", "auth_basic_password", "auth_token_secret", "auth_admin_password", "secret_key")


def secret_file(folder: Path, text: str | bytes = f"{SECRET}\n") -> Path:
    path = folder / "the-secret"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", [*GIVEN_BY_FILE, "auth_oidc_client_secret", "tls_key_password"])
def test_a_secret_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    path = secret_file(tmp_path)
    by_variable = read({}, {f"DAGBOOK_{name.upper()}_FILE": str(path)}, tmp_path)
    assert (getattr(by_variable, name), by_variable.origins[name]) == (SECRET, f"DAGBOOK_{name.upper()}_FILE={path}")
    by_key = read_file(tmp_path, f"{name}_file: the-secret")
    assert getattr(by_key, name) == SECRET
    assert path in by_variable.credential_files
    assert path in by_key.credential_files


def test_the_database_s_address_is_read_from_a_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "postgresql://dagbook:hunter22@db/dagbook\r\n")
    settings = read({}, {"DAGBOOK_DATABASE_URL_FILE": str(path)}, tmp_path)
    assert settings.database_url == "postgresql://dagbook:hunter22@db/dagbook"


def test_a_secret_is_read_from_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "dagbook.auth_token").write_text(SECRET)
    (tmp_path / "other").write_text("of another program")
    settings = read({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path)
    assert settings.auth_token == SECRET
    assert settings.credential_files[-4] == tmp_path / "dagbook.auth_token"


def test_a_misspelled_credential_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dagbook.auth_tokn").write_text(SECRET)
    with pytest.raises(SettingsError, match=r"did you mean dagbook\.auth_token\?"):
        read({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path)


def test_credentials_that_cannot_be_read_are_not_overlooked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"CREDENTIALS_DIRECTORY \(.*/none\): cannot be read: No such file"):
        read({}, {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}, tmp_path)


def test_a_secret_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path, variable = secret_file(tmp_path), "DAGBOOK_AUTH_TOKEN"
    with pytest.raises(SettingsError, match=r"auth_token .*is given already, by DAGBOOK_AUTH_TOKEN; give one of them"):
        read({}, {variable: SECRET, f"{variable}_FILE": str(path)}, tmp_path)
    path.rename(tmp_path / "dagbook.auth_token")
    with pytest.raises(SettingsError, match="is given already, by DAGBOOK_AUTH_TOKEN; give one of them"):
        read({}, {variable: SECRET, "CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path)
    with pytest.raises(SettingsError, match=r"is there already, at .*:1; keep one"):
        read_file(tmp_path, f"auth_token: {SECRET}\nauth_token_file: dagbook.auth_token")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the file cannot be read: No such file or directory"),
        ("", "the file has to contain the value and nothing else"),
        ("\n", "the file has to contain the value and nothing else"),
        ("a\0b", "the file has to contain the value and nothing else"),
        ("x" * 65_537, "at most 64 KiB"),
        (b"\xff\xfe", "is not a text in UTF-8"),
    ],
)
def test_an_unusable_secret_file_is_refused(tmp_path: Path, content: str | bytes | None, problem: str) -> None:
    path = tmp_path / "none" if content is None else secret_file(tmp_path, content)
    with pytest.raises(SettingsError, match=problem):
        read({}, {"DAGBOOK_AUTH_TOKEN_FILE": str(path)}, tmp_path)


def test_only_secrets_have_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a setting"):
        read({}, {"DAGBOOK_PORT_FILE": str(secret_file(tmp_path))}, tmp_path)


def test_the_variables_that_credentials_came_from_are_known(tmp_path: Path) -> None:
    text = "database_url: postgresql://dagbook:${DB_WORD}@${DB_HOST}/dagbook\nauth_token: ${MY_TOKEN}\nhost: ${ADDRESS}"
    settings = read_file(
        tmp_path,
        text,
        DB_WORD="hunter22",
        DB_HOST="db.example.org",
        MY_TOKEN=SECRET,
        ADDRESS="127.0.0.1",
        DAGBOOK_SECRET_KEY=SECRET,
        DAGBOOK_PORT="9",
    )
    assert settings.credential_variables == {"DB_WORD", "MY_TOKEN", "DAGBOOK_SECRET_KEY"}
