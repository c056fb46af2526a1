"""Stories about webhooks to merchants: whatever crashes, every event is delivered, and numbered without gaps."""

import asyncio
from contextlib import suppress
from typing import Final

from sqlalchemy import select

from paidonce import ids
from paidonce.checkouts.model import CheckoutStatus
from paidonce.cli.encrypting import reencrypt_secrets
from paidonce.database.schema import delivery, event
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    RedeliverFailed,
    SendTest,
    change_endpoints,
    create_endpoints,
    list_endpoints,
    redeliver,
    redeliver_failed,
    send_tests,
)
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RedeliverRange, redeliver_ranges
from paidonce.webhook_endpoints.store import EndpointFilter
from tests.proof.buyer import Buyer

EVENTS_OF_A_PAYMENT: Final = 3
OK: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


async def receiver(answer: bytes = OK) -> str:
    """Answer every request on a loopback port for the lifetime of the process; returns the URL."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.partition(b":")[2]))
            if answer:
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def subscribed(buyer: Buyer, url: str) -> WebhookEndpoint:
    """Return an endpoint with the URL of this run's receiver: a new one, or that of an earlier run."""
    wanted = EndpointFilter(limit=1, tenant=TenantFilter(buyer.merchant_id))
    page, _ = await buyer.service.reader.submit(list_endpoints, wanted)
    if page:
        command = ChangeEndpoint(name=TenantScopedId(page[0].id, buyer.merchant_id), url=url, enabled=True)
        changed = await buyer.service.writer.submit(change_endpoints, command)
        assert isinstance(changed, WebhookEndpoint)
        return changed
    endpoint_id = ids.new_id(ids.ENDPOINT)
    _, sealed = buyer.service.webhook_endpoints.make_secret(merchant_id=buyer.merchant_id, endpoint_id=endpoint_id)
    made = await buyer.service.writer.submit(
        create_endpoints,
        CreateEndpoint(
            id=endpoint_id,
            merchant_id=buyer.merchant_id,
            url=url,
            event_types=None,
            description=None,
            secret=sealed,
        ),
    )
    assert isinstance(made, WebhookEndpoint)
    return made


async def webhook(buyer: Buyer) -> None:
    """Every event of a payment is delivered."""
    url = await receiver()
    buyer.arm()
    await subscribed(buyer, url)
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    await buyer.until(checkout, CheckoutStatus.COMPLETED)
    await buyer.come_true(lambda: all_delivered(buyer, EVENTS_OF_A_PAYMENT))


async def webhook_desk(buyer: Buyer) -> None:
    """A merchant tests its endpoint, redelivers, and rotates the secret; so does an operator key."""
    url = await receiver()
    buyer.arm()
    endpoint = await subscribed(buyer, url)
    await buyer.create()
    name = TenantScopedId(endpoint.id, buyer.merchant_id)
    delivery_id = ids.new_id(ids.DELIVERY)
    await buyer.service.writer.submit(send_tests, SendTest(endpoint=name, delivery_id=delivery_id))
    await buyer.service.writer.submit(redeliver, TenantScopedId(delivery_id, buyer.merchant_id))
    again = RedeliverRange(id=ids.new_id(ids.REDELIVERY), endpoint=name, from_sequence=1, to_sequence=100)
    await buyer.service.writer.submit(redeliver_ranges, again)
    await buyer.service.writer.submit(redeliver_failed, RedeliverFailed(name, 0))
    _, sealed = buyer.service.webhook_endpoints.make_secret(merchant_id=buyer.merchant_id, endpoint_id=endpoint.id)
    rotation = ChangeEndpoint(name=name, secret=sealed, overlap_ms=60_000)
    await buyer.service.writer.submit(change_endpoints, rotation)
    await asyncio.to_thread(reencrypt_secrets, buyer.service.settings)
    await buyer.come_true(lambda: all_delivered(buyer, 2))


async def webhook_end(buyer: Buyer) -> None:
    """A merchant deletes an endpoint with pending deliveries: they are ended and never sent."""
    if not statuses(buyer):
        endpoint = await subscribed(buyer, await receiver())
        pause = ChangeEndpoint(name=TenantScopedId(endpoint.id, buyer.merchant_id), enabled=False)
        await buyer.service.writer.submit(change_endpoints, pause)
        await buyer.create()
    buyer.arm()
    wanted = EndpointFilter(limit=1, tenant=TenantFilter(buyer.merchant_id))
    page, _ = await buyer.service.reader.submit(list_endpoints, wanted)
    for one in page:
        end = ChangeEndpoint(name=TenantScopedId(one.id, buyer.merchant_id), deleted=True)
        await buyer.service.writer.submit(change_endpoints, end)
    await buyer.come_true(lambda: all_dropped(buyer))


async def all_dropped(buyer: Buyer) -> bool:
    await asyncio.sleep(0)
    return statuses(buyer) == {"DROPPED"}


def statuses(buyer: Buyer) -> set[str]:
    """Read the statuses of the deliveries to a merchant."""
    with buyer.service.database.read() as transaction:
        found = transaction.rows(select(delivery.c.status).where(delivery.c.merchant_id == buyer.merchant_id))
    return {row.status for row in found}


async def webhook_leave(buyer: Buyer) -> None:
    """The service is stopped while a receiver is slow: the lease is released, and the next run delivers."""
    wanted = EndpointFilter(limit=1, tenant=TenantFilter(buyer.merchant_id))
    page, _ = await buyer.service.reader.submit(list_endpoints, wanted)
    url = await receiver(OK if page else b"")
    await subscribed(buyer, url)
    buyer.arm()
    await buyer.create()
    if page:
        await buyer.come_true(lambda: all_delivered(buyer, 1))
    else:
        await buyer.come_true(lambda: being_sent(buyer))


async def all_delivered(buyer: Buyer, at_least: int) -> bool:
    """Return whether every event about money has a delivery, and every delivery succeeded."""
    await asyncio.sleep(0)
    wanted = (
        select(event.c.type, delivery.c.status, delivery.c.number)
        .outerjoin(delivery, (delivery.c.event_id == event.c.id) & (delivery.c.merchant_id == event.c.merchant_id))
        .where(event.c.merchant_id == buyer.merchant_id)
    )
    with buyer.service.database.read() as transaction:
        rows = transaction.rows(wanted)
    due = [row for row in rows if not row.type.startswith("endpoint.") or row.number is not None]
    assert [row for row in due if row.number is None] == [], "an event was committed without its delivery"
    assert sorted(row.number for row in due) == list(range(1, len(due) + 1)), "the numbers have a gap"
    return len(due) >= at_least and {row.status for row in due} == {"DELIVERED"}


async def being_sent(buyer: Buyer) -> bool:
    await asyncio.sleep(0)
    wanted = select(delivery.c.id).where(delivery.c.merchant_id == buyer.merchant_id, delivery.c.status == "SENDING")
    with buyer.service.database.read() as transaction:
        return bool(transaction.rows(wanted))
