"""Sending again what has failed, on both databases: the newest of one endpoint, at most so many at once."""

from sqlalchemy import update

from paidonce.database.schema import delivery
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.actions import FailedRedelivered, RedeliverFailed, redeliver_failed
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery_store import REDELIVERED_MAX
from tests.unit.webhook_endpoints.conftest import Outgoing


def fail_all(outgoing: Outgoing) -> None:
    with outgoing.database.writes.begin() as connection:
        connection.execute(update(delivery).values(status="FAILED", due_at=None, failures=10))


def redeliver(outgoing: Outgoing, endpoint: WebhookEndpoint, *, since: int) -> object:
    (answer,) = outgoing.do(redeliver_failed, RedeliverFailed(TenantScopedId(endpoint.id, endpoint.merchant_id), since))
    return answer


def test_of_more_failed_deliveries_than_are_sent_again_at_once_the_newest_are_and_it_is_told_that_others_may_be_left(
    outgoing: Outgoing,
) -> None:
    mine = outgoing.endpoint()
    for _ in range(2):
        outgoing.happen(*["m1"] * (REDELIVERED_MAX // 2 + 1))
    fail_all(outgoing)
    assert redeliver(outgoing, mine, since=0) == FailedRedelivered(REDELIVERED_MAX, has_more=True)
    assert [row.status for row in outgoing.rows(mine)] == ["FAILED"] * 2 + ["PENDING"] * REDELIVERED_MAX
    assert redeliver(outgoing, mine, since=0) == FailedRedelivered(2, has_more=False)


def test_failed_deliveries_are_sent_again_of_the_one_endpoint_and_from_the_very_moment_on(outgoing: Outgoing) -> None:
    mine, other = outgoing.endpoint(), outgoing.endpoint()
    outgoing.happen("m1")
    outgoing.now += 1
    since = outgoing.now
    outgoing.happen("m1")
    outgoing.now += 1
    outgoing.happen("m1")
    fail_all(outgoing)
    assert redeliver(outgoing, mine, since=since) == FailedRedelivered(2, has_more=False)
    assert [row.status for row in outgoing.rows(mine)] == ["FAILED", "PENDING", "PENDING"]
    assert [row.status for row in outgoing.rows(other)] == ["FAILED"] * 3
