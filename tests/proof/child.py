"""One run of the service in a separate process: it opens, runs a story, and ends or crashes at a point."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

import paidonce.app
from paidonce.encryption import write_key
from paidonce.providers.base import Provider
from paidonce.providers.registry import CONNECTORS
from paidonce.providers.simulator import provider
from paidonce.providers.simulator.calls import Rules
from paidonce.providers.simulator.provider import Simulator
from paidonce.proving.oracle import Acknowledged, find_violations
from paidonce.proving.snapshot import take_snapshot
from paidonce.settings import Settings
from paidonce.webhook_endpoints.sender import LEASES_OF_A_CALL
from tests.proof.accounts import NEEDED_BY, with_two_accounts
from tests.proof.buyer import SIMULATOR, Buyer, ShiftedClock
from tests.proof.compiled import share
from tests.proof.crash_injection import Points, wrap
from tests.proof.fake_provider import DEDUPLICATES_NOT
from tests.proof.retention import EVENT_DAYS
from tests.proof.statistics import miscounted
from tests.proof.stories import STORIES

LEASE_SECONDS: Final = 20
REHEARSED: Final = ("pay", "decline", "cancel", "capture", "void_on_expiry", "expire", "refund", "answer_lost")
KEY: Final = write_key(bytes(32))
SHIFT_SECONDS: Final = LEASE_SECONDS + 5  # Between two runs, so that the leases of the crashed one have expired.


def live(*, nth: int = 1, from_the_start: bool = False, **life: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Tell the story, then hold everything against the books; returns the points that were reached, and violations.

    ``life`` holds its number, the story, where to die (``die_at``, None: at the end), and url, books, merchant, told.
    """
    os.dup2(2, 1)  # The standard output of the parent is for responses.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if not life.pop("deduplicates", True):
        _forget_keys()
    if life["story"].startswith("webhook"):
        from tests.proof.receivers import call_receivers_in_process  # noqa: PLC0415 - others do without

        call_receivers_in_process()
    points = Points(life["die_at"], nth)
    wrap(points)
    if from_the_start or STORIES[life["story"]].from_the_start:
        points.arm()
    asyncio.run(_serve(life, points))
    return {"reached": points.reached, "violations": judge(life)}


def rehearse(*, url: str, folder: str) -> None:
    """Run some stories in the fork server, so that its children find compiled statements."""
    share()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for story in REHEARSED:
        merchant = f"rehearsal-{story}"
        life = {"url": url, "books": f"{folder}/books.db", "merchant": merchant, "story": story, "number": 0}
        life["told"] = f"{folder}/told-{merchant}"
        asyncio.run(_serve(life, Points(None)))
        assert judge(life) == []


def _forget_keys() -> None:
    """Make the provider book a key each time that it is sent, and declare that in its capabilities."""
    Simulator.capabilities = DEDUPLICATES_NOT  # type: ignore[misc]
    vars(provider)["Rules"] = partial(Rules, deduplicates=False)


async def _serve(life: dict[str, Any], points: Points) -> None:
    clock = ShiftedClock(SHIFT_SECONDS * life["number"])
    paidonce.app.system_clock = clock  # type: ignore[attr-defined]
    settings = Settings(
        database_url=life["url"],
        simulator_database=f"file:{life['books']}",
        simulator_latency_ms=0,
        lease_seconds=LEASE_SECONDS,
        provider_timeout_seconds=LEASE_SECONDS / 2,
        reconcile_first_seconds=0.01,
        poll_seconds=0.02,
        event_days=EVENT_DAYS if life["story"] == "forget" else 0.0,
        audit_days=EVENT_DAYS if life["story"] == "forget" else 0.0,
        shutdown_seconds=0,
        encryption_keys=KEY,
        webhook_allow_private=True,
        webhook_timeout_seconds=LEASE_SECONDS / LEASES_OF_A_CALL,
        webhook_retry_first_seconds=0.01,
    )
    simulator: asyncio.Future[Provider] = asyncio.get_running_loop().create_future()
    connectors = with_two_accounts(simulator) if life["story"] in NEEDED_BY else CONNECTORS
    async with paidonce.app.open_service(settings, with_worker=True, migrating=True, connectors=connectors) as service:
        simulator.set_result(service.payment_providers.built_in(SIMULATOR))  # type: ignore[arg-type] # it is there
        buyer = Buyer(service, life["merchant"], Path(life["told"]), clock=clock, arm=points.arm)
        await STORIES[life["story"]].tell(buyer)


def judge(life: dict[str, Any]) -> list[str]:
    """Return violated invariants after this run, and stories with a wrong end."""
    snapshot = take_snapshot(life["url"], Path(life["books"]), of_merchant=life["merchant"])
    broken = [str(one) for one in find_violations(snapshot, read_told(Path(life["told"])))]
    broken += miscounted(life["url"], life["merchant"])
    story = STORIES[life["story"]]
    ends = [(row.status, (row.amount_captured, row.amount_refunded)) for row in snapshot.checkouts]
    return [*broken, *([] if ends == [(story.status, story.money)] else [f"The story ends with {ends}"])]


def read_told(path: Path) -> list[Acknowledged]:
    """Read the acknowledgements, if there are any."""
    return (
        [msgspec.json.decode(line, type=Acknowledged) for line in path.read_bytes().splitlines()]
        if path.exists()
        else []
    )
