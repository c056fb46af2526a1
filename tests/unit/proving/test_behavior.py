"""How often buyers and shops do something in a proof, and that a command can say so."""

import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from click.testing import CliRunner

from paidonce.cli.proof_commands import prove
from paidonce.http_client import HttpClient
from paidonce.ids import seeded
from paidonce.proving.behavior import Behavior, Shares, behaviors_of, make_shares, read_shares
from paidonce.proving.buyers import Browsers
from paidonce.proving.clients import Clients
from paidonce.proving.kits import KITS, MOLLIE, SIMULATOR, STRIPE, Kit
from paidonce.proving.outcome import Outcome
from paidonce.proving.plan import Plan
from paidonce.proving.run import Progress
from tests.unit.proving.test_outcome import GOOD

PURCHASES = 40


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
def test_the_shares_of_what_buyers_may_do_on_pages_are_1_together(kit: Kit) -> None:
    known = behaviors_of(kit)
    assert sum(make_shares({}, kit).of_behaviors(known)) == pytest.approx(1 if kit.has_pages else 0)
    assert sum(Shares().of_behaviors(list(Behavior))) == pytest.approx(1)


def test_a_share_that_is_given_counts_and_what_else_buyers_do_fills_the_rest_in_its_proportions() -> None:
    given = read_shares(["hold=0.7", "shop-cancels=0.4", "expires=.4"], STRIPE)
    assert given == {"hold": 0.7, "shop-cancels": 0.4, "expires": 0.4}
    shares = make_shares(given, STRIPE)
    assert (shares.hold, shares.shop_cancels, shares.expires, shares.void) == (0.7, 0.4, 0.4, Shares().void)
    assert sum(shares.of_behaviors(list(Behavior))) == pytest.approx(1)
    assert shares.approves / shares.declines == pytest.approx(Shares().approves / Shares().declines)


@pytest.mark.parametrize("given", [["approves=1"], ["void=0.6", "lapse=0.4"], ["approves=0.9", "expires=0.1"], []])
def test_shares_may_be_1_together(given: list[str]) -> None:
    assert len(read_shares(given, STRIPE)) == len(given)


@pytest.mark.parametrize(
    ("given", "kit", "message"),
    [
        (
            ["hald=0.7"],
            SIMULATOR,
            "the simulator has no share 'hald'. The shares are cancel, hold, void, lapse, refund.",
        ),
        (["expires=0.7"], SIMULATOR, "the simulator has no share 'expires'"),
        (["pays-otherwise=0.1"], MOLLIE, "Mollie has no share 'pays-otherwise'. The shares are cancel, .*never-pays, "),
        (["hold"], STRIPE, "Give hold as a number from 0 to 1, such as hold=0.5, instead of 'hold'."),
        (["hold=1.01"], STRIPE, "instead of 'hold=1.01'"),
        (["hold=-0.1"], STRIPE, "instead of 'hold=-0.1'"),
        (["hold=nan"], STRIPE, "instead of 'hold=nan'"),
        (["void=0.6", "lapse=0.5"], STRIPE, r"void \(0.6\) and lapse \(0.5\) are more than 1 together"),
        (["void=0.9"], STRIPE, r"void \(0.9\) and lapse \(0.15\) are more than 1 together"),
        (["approves=0.6", "expires=0.5"], STRIPE, "What buyers do on pages is more than 1 together"),
        (
            [f"{name}=0" for name in asdict(Shares()) if name.upper() in Behavior.__members__],
            STRIPE,
            "not all of these shares can be 0",
        ),
    ],
)
def test_a_share_that_does_not_exist_or_cannot_be_is_refused_with_what_is_wrong(
    given: list[str], kit: Kit, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_shares([one.replace("_", "-") for one in given], kit)


def test_buyers_on_pages_behave_as_the_shares_say() -> None:
    def behaviors(*given: str) -> Counter[Behavior]:
        shares = make_shares(read_shares(given, STRIPE), STRIPE)
        browsers = Browsers(STRIPE, shares, cast("HttpClient", None), cast("HttpClient", None))
        draw = seeded(1)
        return Counter(browsers.behavior(draw) for _ in range(500))

    assert behaviors("expires=1").keys() == {Behavior.EXPIRES}
    assert behaviors().keys() == set(Behavior)
    assert 200 < behaviors("shop-cancels=0.5")[Behavior.SHOP_CANCELS] < 300


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]

    def json(self) -> dict[str, Any]:
        return self.body


class AnsweringShop:
    """Answers every request of clients as a service would where nothing goes wrong, and counts them."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self._held: dict[str, bool] = {}
        self.clients: Clients | None = None

    async def request(self, method: str, path: str, body: dict[str, Any] | None, **_: object) -> Answer:
        what = re.sub(r"chk_\d+", "{id}", f"{method} {path}")
        self.count[what] += 1
        checkout = path.partition("/checkouts/")[2].partition("/")[0]
        match what:
            case "POST /checkouts":
                checkout = f"chk_{len(self._held)}"
                assert body is not None
                self._held[checkout] = body["captureMethod"] == "manual"
                if len(self._held) >= PURCHASES and self.clients:
                    self.clients.stop()
                return Answer(201, {"id": checkout})
            case "GET /checkouts/{id}":
                return Answer(200, {"status": "AUTHORIZED" if self._held[checkout] else "COMPLETED"})
            case "POST /checkouts/{id}/refunds":
                return Answer(202, {"id": "ref_1"})
            case "POST /checkouts/{id}/cancel":
                return Answer(200, {"status": "CANCELED"})
            case _:
                return Answer(202, {"attempt": {"id": "att_1"}})


async def shop_of(*given: str) -> tuple[Counter[str], Clients]:
    """Let clients buy; returns what they did, and what they remember."""
    http = cast("HttpClient", shop := AnsweringShop())
    shares = make_shares(read_shares(given, SIMULATOR), SIMULATOR)
    browsers = Browsers(SIMULATOR, shares, http, http)
    shop.clients = clients = Clients(http, SIMULATOR, browsers, shares=shares, seed=1, concurrency=1)
    await clients.run()
    assert len(clients.purchases) == PURCHASES
    return shop.count, clients


async def test_shops_and_buyers_do_what_the_shares_say() -> None:
    capture, cancel, refund = (f"POST /checkouts/{{id}}/{one}" for one in ("capture", "cancel", "refunds"))
    done, clients = await shop_of("hold=1", "cancel=0", "void=0", "lapse=0")
    assert (done[capture], done[cancel], done[refund], len(clients.abandoned)) == (PURCHASES, 0, 0, 0)
    done, clients = await shop_of("hold=1", "cancel=0", "void=1", "lapse=0")
    assert (done[capture], done[cancel], done[refund], len(clients.abandoned)) == (0, PURCHASES, 0, 0)
    done, clients = await shop_of("hold=1", "cancel=0", "void=0", "lapse=1")
    assert (done[capture], done[cancel], done[refund], len(clients.abandoned)) == (0, 0, 0, PURCHASES)
    done, clients = await shop_of("hold=0", "cancel=1", "refund=1")
    assert (done[capture], done[cancel], done[refund], len(clients.abandoned)) == (0, PURCHASES, 4 * PURCHASES, 0)
    done, _ = await shop_of()
    assert min(done[capture], done[refund]) > 0


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_begins_and_ends_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    async def run(plan: Plan, _progress: Progress) -> Outcome:
        assert (plan.shares.hold, plan.shares.expires) == (0.7, 0.25)
        return msgspec.structs.replace(GOOD, command=plan.command)

    monkeypatch.setattr("paidonce.cli.proving.prove", run)
    given = ["--provider", "stripe", "--seed", "7", "--share", "hold=0.7", "--share", "expires=0.250"]
    ended = CliRunner().invoke(prove, [*given, "--json"] if as_json else given)
    command = (
        "paidonce prove --provider stripe --seconds 60 --seed 7 --clients 64 --share hold=0.7 --share expires=0.25"
    )
    assert (ended.exit_code, ended.stderr.splitlines()[0]) == (0, command)
    shown = json.loads(ended.stdout)["command"] if as_json else ended.stdout.splitlines()[1]
    assert shown == command


def test_the_command_that_repeats_a_run_does_not_show_the_password_of_a_database(tmp_path: Path) -> None:
    plan = Plan(seconds=0.5, seed=7, database_url="postgresql://u:secret@h/d", workers=3, clients=8, folder=tmp_path)
    assert plan.command == (
        "paidonce prove --provider simulator --seconds 0.5 --seed 7 --database URL --workers 3 --clients 8"
    )


def test_a_command_with_a_share_that_does_not_exist_says_which_there_are() -> None:
    ended = CliRunner().invoke(prove, ["--share", "hald=0.7"])
    assert (ended.exit_code, "The shares are cancel, hold" in ended.stderr) == (2, True)
