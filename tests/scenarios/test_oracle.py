"""The oracle reports every violation. Without this test, a scenario without violations would prove nothing."""

import secrets
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import pysqlite3.dbapi2
from sqlalchemy import Engine
from sqlalchemy.event import listens_for, remove

from tests.support.merchant_client import ANSWER_SECONDS_MAX, Json, MerchantClient, prefer
from tests.support.oracle import attempts_of, violated_invariants
from tests.support.service_process import ServiceProcess, wait_until

# What contradicts a rule of the design: in whose file, how, and what the oracle begins its sentence with.
CONTRADICTIONS = (
    ("books.db", "INSERT INTO charge SELECT {columns} FROM charge", "1. "),
    ("paidonce.db", "DELETE FROM checkout", "2. "),
    ("books.db", "DELETE FROM charge", "3. "),
    ("books.db", "UPDATE charge SET amount_captured = amount_captured - 1", "3. "),
    ("books.db", "UPDATE charge SET amount_refunded = amount_refunded - 1", "3. "),
    ("books.db", "UPDATE charge SET decline_code = 'do_not_honor'", "3. "),
    ("paidonce.db", "UPDATE checkout SET status = 'CANCELED'", "4. "),
    ("paidonce.db", "UPDATE checkout SET status = 'AUTHORIZED'", "4. "),
    ("books.db", "UPDATE charge SET key = key || 'x'", "5. "),
    ("books.db", "UPDATE charge SET created_at = 0", "5. "),
    ("books.db", "UPDATE charge SET checkout_id = 'another'", "5. "),
    ("books.db", "UPDATE change SET amount = amount + 1", "5. "),
    ("paidonce.db", "UPDATE attempt SET status = 'NEEDS_REVIEW', settled_at = NULL, decline_code = NULL", "6. "),
    ("paidonce.db", "UPDATE event SET type = 'checkout.canceled' WHERE type = 'checkout.processing'", "8. "),
    ("paidonce.db", "UPDATE checkout SET amount_refunded = amount_refunded + 1 WHERE amount_captured > 0", "9. "),
    ("paidonce.db", "UPDATE attempt SET amount = amount + 1 WHERE kind = 'REFUND'", "9. "),
    ("paidonce.db", "DELETE FROM event WHERE type = 'checkout.failed'", "10. "),
    ("paidonce.db", "DELETE FROM event WHERE type = 'refund.succeeded'", "10. "),
    ("paidonce.db", "DELETE FROM attempt", "10. "),
    ("paidonce.db", "DELETE FROM event WHERE sequence = 1", "12. "),
    ("paidonce.db", "UPDATE merchant SET event_sequence = event_sequence + 1", "12. "),
    ("paidonce.db", "UPDATE merchant SET live_event_sequence = 1", "12. "),
    ("paidonce.db", "UPDATE checkout SET mode = 'live'", "14. "),
    ("books.db", "UPDATE charge SET amount = amount + 1", "14. "),
    ("books.db", "UPDATE charge SET merchant_id = 'another'", "14. "),
    ("books.db", "UPDATE charge SET currency = 'EUR'", "14. "),
    ("paidonce.db", "UPDATE attempt SET status = 'SENT', due_at = 1, settled_at = NULL, decline_code = NULL", "16. "),
)


async def test_the_oracle_finds_every_contradiction_between_rows_and_books(
    start: Callable[..., ServiceProcess], tmp_path: Path, sqlite_url: str
) -> None:
    service = start("dev", DATABASE_URL=sqlite_url)
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        await shop.paid(checkout_id)
        await shop.paid(await shop.created(), "tok_declined_expired_card")
        refunded = await shop.http.post(f"/checkouts/{checkout_id}/refunds", json={"amount": 100})
        assert refunded.status_code == 202
        wait_until(lambda: [row.status for row in attempts_of(sqlite_url, [checkout_id])] == ["SUCCEEDED"] * 2)
    service.terminate()
    assert service.wait_for_end() == 0
    assert violated_invariants(sqlite_url, service.books, ended=True) == []
    missed = [one for one in CONTRADICTIONS if not found(tmp_path, *one)]
    assert missed == []


def found(folder: Path, file: str, contradiction: str, sentence: str) -> bool:
    """Violate a rule in a copy; returns whether the oracle reports it."""
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
    found = violated_invariants(f"file:{copy}/paidonce.db", copy / "books.db", ended=True)
    shutil.rmtree(copy)
    return any(one.startswith(sentence) for one in found)


async def test_the_oracle_finds_nothing_wrong_while_the_service_ends_payments_between_any_two_of_its_reads(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    service = start("dev", DATABASE_URL=database_url, PAIDONCE_SIMULATOR_LATENCY_MS="0")
    interrupted: list[str] = []
    with Buyer(service.url) as buyer:
        buyer.buy()

        @listens_for(Engine, "after_cursor_execute")
        def interrupt(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("SELECT"):
                interrupted.append(statement)
                buyer.buy()

        try:
            found = violated_invariants(database_url, service.books)
        finally:
            remove(Engine, "after_cursor_execute", interrupt)
    assert found == []
    assert len(interrupted) >= 6, "four tables and two of the books"
    assert violated_invariants(database_url, service.books, ended=True) == []


class Buyer:
    """The client of one merchant, which waits for each response; its payments differ in every field."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=ANSWER_SECONDS_MAX)
        self.merchant_id = f"m_{secrets.token_hex(6)}"
        self.held: str | None = None
        self.charged: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def buy(self) -> None:
        """End one payment, and do to those of the time before what can be done to them: a capture, a refund."""
        held, self.held = self.held, self.pay("tok_success", captureMethod="manual")
        charged, self.charged = self.charged, self.pay("tok_success")
        self.pay("tok_declined_expired_card")
        if held is not None:
            self.post(f"/checkouts/{held}/capture", {"amount": 700})
        if charged is not None:
            self.post(f"/checkouts/{charged}/refunds", {"amount": 100})
            wait_until(lambda: self.http.get(f"/checkouts/{charged}").json()["amountRefunded"] == 100)

    def pay(self, method: str, **fields: object) -> str:
        """Create a checkout and pay it; returns its id."""
        body = {
            "merchantId": self.merchant_id,
            "amount": 1000,
            "currency": "USD",
            "idempotencyKey": secrets.token_hex(8),
        }
        checkout_id: str = self.post("/checkouts", body | fields)["id"]
        self.post(f"/checkouts/{checkout_id}/pay", {"paymentMethod": method})
        return checkout_id

    def post(self, path: str, body: Json) -> Json:
        """Call, and wait for what comes of it."""
        answer = self.http.post(path, json=body, headers=prefer(20))
        assert answer.status_code < 300, answer.text
        found: Json = answer.json()
        return found
