"""The oracle itself: whatever rule is broken, it says so. Without this, a story that finds nothing proves nothing."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2

from tests.oracle import broken_invariants
from tests.service import Paidonce
from tests.shop import Shop

# What contradicts a rule of the design: in whose file, how, and what the oracle begins its sentence with.
CONTRADICTIONS = (
    ("books.db", "INSERT INTO charge SELECT {columns} FROM charge", "1. "),
    ("paidonce.db", "DELETE FROM checkout", "2. "),
    ("books.db", "DELETE FROM charge", "3. "),
    ("books.db", "UPDATE charge SET amount = amount + 1", "3. "),
    ("books.db", "UPDATE charge SET merchant_id = 'another'", "3. "),
    ("paidonce.db", "UPDATE checkout SET status = 'CANCELED'", "4. "),
    ("books.db", "UPDATE charge SET key = key || 'x'", "5. "),
    ("books.db", "UPDATE charge SET created_at = 0", "5. "),
    ("paidonce.db", "UPDATE attempt SET status = 'NEEDS_REVIEW', settled_at = NULL, decline_code = NULL", "6. "),
    ("paidonce.db", "UPDATE event SET type = 'checkout.canceled' WHERE type = 'checkout.processing'", "8. "),
    ("paidonce.db", "DELETE FROM event WHERE type = 'checkout.failed'", "10. "),
    ("paidonce.db", "DELETE FROM attempt", "10. "),
    ("paidonce.db", "DELETE FROM event WHERE sequence = 1", "12. "),
    ("paidonce.db", "UPDATE merchant SET event_sequence = event_sequence + 1", "12. "),
)


async def test_the_oracle_finds_every_contradiction_between_rows_and_books(
    start: Callable[..., Paidonce], tmp_path: Path, sqlite_url: str
) -> None:
    service = start("dev", DATABASE_URL=sqlite_url)
    async with Shop(service.url) as shop:
        await shop.paid(await shop.created())
        await shop.paid(await shop.created(), "tok_declined_expired_card")
    service.terminate()
    assert service.wait_for_end() == 0
    assert broken_invariants(sqlite_url, service.books) == []
    missed = [one for one in CONTRADICTIONS if not found(tmp_path, *one)]
    assert missed == []


def found(folder: Path, file: str, contradiction: str, sentence: str) -> bool:
    """Contradict a rule in a copy, and tell whether the oracle says so."""
    copy = folder / "copy"
    copy.mkdir()
    for name in ("paidonce.db", "books.db"):
        shutil.copy(folder / name, copy)
    with closing(pysqlite3.dbapi2.connect(str(copy / file))) as connection:
        told = connection.execute("SELECT name FROM pragma_table_info('charge')").fetchall()
        columns = ", ".join(f"{name} || 'x'" if name in ("key", "reference") else name for (name,) in told)
        changed = connection.execute(contradiction.format(columns=columns)).rowcount
        connection.commit()
    assert changed > 0
    said = broken_invariants(f"file:{copy}/paidonce.db", copy / "books.db")
    shutil.rmtree(copy)
    return any(one.startswith(sentence) for one in said)
