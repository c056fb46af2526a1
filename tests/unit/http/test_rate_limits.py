"""How many requests one API key and one address may send in a time."""

import pytest

from paidonce.http.client_addresses import client_address
from paidonce.merchants.model import UNAUTHENTICATED
from tests.unit.http.rate_limit_harness import ADA, BOB, Client, limits

pytestmark = pytest.mark.usefixtures("no_pause")


async def test_a_key_has_its_own_limit_and_each_answer_tells_it() -> None:
    client = Client(limits(rate_limit_per_second=2.0, rate_limit_burst=2))
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=1;t=1'})
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=0;t=2'})
    status, headers = await client.ask(ADA)
    assert (status, headers["ratelimit"], headers["retry-after"]) == (429, '"key";r=0;t=1', "1")
    assert (await client.ask(BOB))[0] == 200
    assert await client.ask(UNAUTHENTICATED) == (200, {})


async def test_an_address_is_refused_before_anything_is_asked() -> None:
    client = Client(limits(address_limit_per_second=1.0, address_limit_burst=1))
    assert (await client.ask(ADA))[0] == 200
    status, headers = await client.ask(BOB)
    assert (status, headers["retry-after"], client.asked) == (429, "2", 1)
    assert headers["ratelimit"] == '"address";r=0;t=2'
    assert (await client.ask(BOB, address="192.0.2.2"))[0] == 200


async def test_a_failed_authentication_counts_for_ten_requests() -> None:
    client = Client(limits(address_limit_per_second=1.0, address_limit_burst=20))
    answers = [(await client.ask(status=401))[0] for _ in range(4)]
    assert answers == [401, 401, 429, 429]


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("x" * 1000, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_is_named_by_whom_it_belongs_to(client: str, name: str) -> None:
    assert client_address(client) == name
