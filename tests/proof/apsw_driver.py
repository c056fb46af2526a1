"""apsw as a minimal DB-API driver for SQLAlchemy's SQLite dialect, so that a VFS of the test can be used."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw

paramstyle: Final = "qmark"
threadsafety: Final = 1
apilevel: Final = "2.0"
sqlite_version: Final = apsw.sqlite_lib_version()
sqlite_version_info: Final = tuple(int(part) for part in sqlite_version.split("."))

Error = apsw.Error
DatabaseError = IntegrityError = OperationalError = ProgrammingError = InterfaceError = apsw.Error
DataError = InternalError = NotSupportedError = apsw.Error

vfs_name: str | None = None  # Set by the test, for connections from then on.
rewrite: Callable[[str], str] = str  # Changes a statement on its way: how a test weakens a PRAGMA.


class Cursor:
    """A DB-API cursor that has fetched all rows when ``execute`` returns."""

    arraysize = 1
    lastrowid: int | None = None

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: tuple[Any, ...] | None = None
        self.rowcount = -1

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> "Cursor":
        cursor = self._connection.raw.cursor()

        def describe(running: apsw.Cursor, _statement: str, _bindings: object) -> bool:
            self.description = tuple((*one[:1], *[None] * 6) for one in running.get_description()) or None
            return True

        self.description = None
        cursor.exec_trace = describe
        self._rows = list(cursor.execute(rewrite(statement), tuple(_plain(one) for one in parameters)))
        self.rowcount = self._connection.raw.changes()
        return self

    def executemany(self, statement: str, many: Sequence[Sequence[Any]]) -> "Cursor":
        for parameters in many:
            self.execute(statement, parameters)
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        self._rows = []


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever SQLite takes
    return str(value) if isinstance(value, str) else value  # A StrEnum is a str, but not to apsw.


class Connection:
    """A DB-API connection in autocommit mode. The engine sends BEGIN itself, as with the other driver."""

    isolation_level = None

    def __init__(self, path: str, vfs: str | None) -> None:
        self.raw = apsw.Connection(path, vfs=vfs)

    def cursor(self) -> Cursor:
        return Cursor(self)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self.cursor().execute(statement, parameters)

    def commit(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def rollback(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def create_function(self, name: str, count: int, function: Any, **_: object) -> None:  # noqa: ANN401 - any
        self.raw.create_scalar_function(name, function, count)

    def close(self) -> None:
        self.raw.close()


def connect(path: str, **_: object) -> Connection:
    """Open a database with the VFS of the test."""
    return Connection(path, vfs_name)
