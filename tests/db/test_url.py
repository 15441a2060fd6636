"""Database addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.db.url import hide_password, parse_url, sqlite_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///relative.db", "sqlite+aiosqlite:///relative.db"),
        ("sqlite:////tmp/absolute.db", "sqlite+aiosqlite:////tmp/absolute.db"),
        ("postgresql://u:p@h:5433/d", "postgresql+asyncpg://u:p@h:5433/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        (
            "postgresql://u@h/d?sslmode=verify-ca&sslrootcert=/a.pem",
            "postgresql+asyncpg://u@h/d?dsn=postgresql%3A%2F%2F%3Fsslmode%3Dverify-ca%26sslrootcert%3D%252Fa.pem",
        ),
        ("postgresql://u@/d?host=/run/postgresql", "postgresql+asyncpg://u@/d?host=%2Frun%2Fpostgresql"),
    ],
)
def test_the_driver_is_chosen(written: str, meant: str) -> None:
    assert parse_url(written).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(
    "written",
    [
        "mysql://u@h/d",
        "postgresql+psycopg://u@h/d",
        "sqlite+aiosqlite:///x.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://relative.db",
        "sqlite:///x.db?mode=ro",
        "postgresql://u@h",
        "dagbook.db",
        "",
    ],
)
def test_a_wrong_address_is_told_how_to_write_it(written: str) -> None:
    with pytest.raises(ValueError, match="write sqlite:///"):
        parse_url(written)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"option 'colour'.*known are host, port, sslmode, sslrootcert"):
        parse_url("postgresql://u@h/d?colour=red")


def test_an_unknown_sslmode_is_named() -> None:
    with pytest.raises(ValueError, match=r"sslmode 'always'.*verify-full"):
        parse_url("postgresql://u@h/d?sslmode=always")


def test_the_file_of_a_sqlite_address_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_path("sqlite:///dagbook.db") == tmp_path / "dagbook.db"
    assert sqlite_path("sqlite:////srv/dagbook.db") == Path("/srv/dagbook.db")
    assert sqlite_path("postgresql://u@h/d") is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql://u:secret@h/d", "postgresql://u:***@h/d"),
        ("sqlite:///dagbook.db", "sqlite:///dagbook.db"),
        ("secret", "(not a URL)"),
    ],
)
def test_a_password_is_not_shown(written: str, shown: str) -> None:
    assert hide_password(written) == shown
