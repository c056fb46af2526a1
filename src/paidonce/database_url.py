"""Parses ``DATABASE_URL``. ``file:`` is as in Prisma: a path relative to the working folder, or memory."""

from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

FORMS: Final = (
    "file:./dev.db, file:./dev.db?mode=memory&cache=shared, sqlite:///dev.db or postgresql://user:password@host/name"
)


class DatabaseUrl(NamedTuple):
    """The location of a database: a SQLite file, SQLite in memory (``path`` is None), or a PostgreSQL server."""

    dialect: Literal["sqlite", "postgresql"]
    path: Path | None = None
    server: str = ""

    @property
    def is_in_memory(self) -> bool:
        """Whether it belongs to one process and ends with it."""
        return self.dialect == "sqlite" and self.path is None

    @property
    def shown(self) -> str:
        """The location for people and logs, without the password."""
        if self.dialect == "sqlite":
            return f"SQLite in {self.path or 'memory'}"
        parts = urlsplit(self.server)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
        return f"PostgreSQL at {host or 'the local socket'}{parts.path}"


def parse_database_url(text: str) -> DatabaseUrl:
    """Parse a database URL; raises ValueError with a message that names the valid forms."""
    scheme = text.partition(":")[0].lower()
    if scheme == "file":
        return _sqlite(text[len("file:") :].removeprefix("//"))
    if scheme == "sqlite" and text[len("sqlite") :].startswith("://"):
        return _sqlite(text[len("sqlite://") :].removeprefix("/"))
    if scheme in ("postgresql", "postgres") and "://" in text:
        server = f"postgresql://{text.partition('://')[2]}"
        try:
            _ = urlsplit(server).port
        except ValueError as error:
            message = f"the port must be a number from 0 to 65535 ({FORMS})"
            raise ValueError(message) from error
        return DatabaseUrl("postgresql", server=server)
    message = f"it must begin with file:, sqlite:/// or postgresql:// (use {FORMS})"
    raise ValueError(message)


def _sqlite(rest: str) -> DatabaseUrl:
    path, _, query = rest.partition("?")
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    mode, cache = options.pop("mode", "rwc"), options.pop("cache", "private")
    if options or mode not in ("rwc", "memory") or cache not in ("shared", "private"):
        message = "a SQLite URL supports only the options ?mode=memory&cache=shared"
        raise ValueError(message)
    if mode == "memory" or path in ("", ":memory:"):
        return DatabaseUrl("sqlite")
    if "\x00" in unquote(path):
        message = "the path contains a NUL character"
        raise ValueError(message)
    return DatabaseUrl("sqlite", path=Path(unquote(path)))
