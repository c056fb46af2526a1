"""The forms of DATABASE_URL. No password is ever shown."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from paidonce.database_url import DatabaseUrl, parse_database_url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:./dev.db", "dev.db"),
        ("file:dev.db", "dev.db"),
        ("file:/var/lib/paidonce/paid.db", "/var/lib/paidonce/paid.db"),
        ("file:///var/lib/paid.db", "/var/lib/paid.db"),
        ("file:./dev.db?mode=rwc", "dev.db"),
        ("file:./with%20space.db", "with space.db"),
        ("sqlite:///dev.db", "dev.db"),
        ("sqlite:////var/lib/paid.db", "/var/lib/paid.db"),
    ],
)
def test_a_file_is_named_as_prisma_and_sqlalchemy_name_it(text: str, path: str) -> None:
    assert parse_database_url(text) == DatabaseUrl("sqlite", path=Path(path))


@pytest.mark.parametrize(
    "text", ["file:./dev.db?mode=memory&cache=shared", "file::memory:", "sqlite://", "sqlite:///:memory:"]
)
def test_memory_is_a_database_without_a_path(text: str) -> None:
    assert parse_database_url(text) == DatabaseUrl("sqlite")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_names_of_postgresql_are_understood(scheme: str) -> None:
    url = parse_database_url(f"{scheme}://user:secret@db.example:5433/shop?sslmode=require")
    assert url == DatabaseUrl("postgresql", server="postgresql://user:secret@db.example:5433/shop?sslmode=require")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mysql://root@host/shop", "must begin with"),
        ("dev.db", "must begin with"),
        ("", "must begin with"),
        ("postgresql:shop", "must begin with"),
        ("postgresql://host:99999/shop", "port"),
        ("postgresql://host:abc/shop", "port"),
        ("file:./dev.db?mode=ro", "supports only the options"),
        ("file:./dev.db?cache=unknown", "supports only the options"),
        ("file:./dev.db?vfs=unix-none", "supports only the options"),
        ("file:./dev%00.db", "NUL"),
    ],
)
def test_what_is_no_database_is_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_database_url(text)


@given(st.one_of(st.text(), st.text().map("file:{}".format), st.text().map("postgresql://{}".format)))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        parsed = parse_database_url(text)
    except ValueError:
        return
    assert parsed.dialect in ("sqlite", "postgresql")
    assert parsed.shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:hunter2@db.example:5433/shop", "PostgreSQL at db.example:5433/shop"),
        ("postgresql://db.example/shop?password=hunter2&sslmode=require", "PostgreSQL at db.example/shop"),
        ("postgresql://user:hunter2@/shop?host=/run/postgresql", "PostgreSQL at the local socket/shop"),
        ("file:./dev.db", "SQLite in dev.db"),
        ("file::memory:", "SQLite in memory"),
    ],
)
def test_a_place_is_shown_without_its_password(text: str, shown: str) -> None:
    assert parse_database_url(text).shown == shown
