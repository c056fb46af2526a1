"""A model of a disk with a volatile cache: writes are cached until a sync. A power cut keeps, drops, tears and
reorders them.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import apsw

SECTOR: Final = 512  # The unit that a disk writes atomically.
KEPT: Final = ("-wal", "")  # The database and its WAL. The shared memory file is lost in a power cut.


class Write(NamedTuple):
    """A write that is not synced. Without ``data`` it truncates the file to ``offset``."""

    offset: int
    data: bytes | None


class DiskFile:
    """One file: its durable content, and the writes since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.pending: list[Write] = []

    def sync(self) -> None:
        for write in self.pending:
            _apply(self.durable, write)
        self.pending.clear()

    def after_a_cut(self, chance: Random) -> bytes:
        """Choose one of the contents that a power cut can leave."""
        content = bytearray(self.durable)
        order = list(self.pending)
        if chance.random() < 0.5:
            chance.shuffle(order)  # The cache of the disk writes in any order.
        kept = chance.randint(0, len(order))
        for write in order[:kept]:
            _apply(content, write)
        for write in order[kept:]:
            if chance.random() < 0.3:
                _tear(content, write, chance)
        return bytes(content)


def _apply(content: bytearray, write: Write) -> None:
    if write.data is None:
        del content[write.offset :]
        return
    if len(content) < write.offset:
        content.extend(bytes(write.offset - len(content)))
    content[write.offset : write.offset + len(write.data)] = write.data


def _tear(content: bytearray, write: Write, chance: Random) -> None:
    """Apply some sectors of a write and not others."""
    if write.data is None:
        return
    for start in range(0, len(write.data), SECTOR):
        if chance.random() < 0.5:
            _apply(content, Write(write.offset + start, write.data[start : start + SECTOR]))


class Disk:
    """All files of a database. ``moment`` is called before each write and sync, when the power may fail."""

    def __init__(self, moment: Callable[[], None]) -> None:
        self.files: dict[str, DiskFile] = {}
        self.moment = moment

    def file(self, path: str) -> DiskFile:
        name = Path(path).name
        if name not in self.files:
            self.files[name] = DiskFile(Path(path).read_bytes() if Path(path).exists() else b"")
        return self.files[name]

    def after_a_cut(self, chance: Random) -> dict[str, bytes]:
        """Choose what a power cut at this moment leaves: the database and its WAL."""
        return {
            name: file.after_a_cut(chance)
            for name, file in self.files.items()
            if not name.endswith(("-shm", "-journal"))
        }


class ForgetfulFile(apsw.VFSFile):
    """A file whose writes become durable when they are synced."""

    def __init__(self, filename: apsw.URIFilename | str, flags: list[int], disk: Disk) -> None:
        super().__init__("", filename, flags)
        self._disk = disk
        self._file = disk.file(filename.filename() if isinstance(filename, apsw.URIFilename) else filename)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.moment()
        self._file.pending.append(Write(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - as above
        self._disk.moment()
        self._file.pending.append(Write(newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - as above; the real file's own sync proves nothing here
        self._disk.moment()
        self._file.sync()


class ForgetfulVFS(apsw.VFS):
    """The real file system, seen through the model of the disk."""

    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, "")
        self._disk = disk

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        if name is None:
            return super().xOpen(name, flags)
        return ForgetfulFile(name, flags, self._disk)
