"""The verdict: what the service says of every purchase, held against the provider's own books."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from paidonce.proving.clients import Purchase

Json = Mapping[str, Any]

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED", "AUTHORIZED", "PENDING"})
TAKEN = frozenset({"succeeded"})


class Violations(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must not be, by the promise that it breaks; each entry names a checkout and what is wrong."""

    charged_twice: list[str]
    lost: list[str]
    stuck: list[str]
    wrong: list[str]

    @property
    def count(self) -> int:
        """How many there are in all."""
        return sum(len(getattr(self, name)) for name in self.__struct_fields__)


def judge_purchases(
    purchases: Sequence[Purchase], checkouts: Mapping[str, Json], charges: Sequence[Json]
) -> Violations:
    """Compare. ``checkouts`` is what the service says by id; ``charges`` is what the provider says."""
    by_checkout: defaultdict[str, list[Json]] = defaultdict(list)
    for charge in charges:
        by_checkout[charge["checkoutId"]].append(charge)
    found: dict[str, list[str]] = {name: [] for name in Violations.__struct_fields__}
    known = set()
    for purchase in purchases:
        if purchase.checkout_id is None:
            continue
        known.add(purchase.checkout_id)
        checkout = checkouts.get(purchase.checkout_id)
        if checkout is None:
            found["lost"].append(f"{purchase.checkout_id}: acknowledged, and not there")
            continue
        _judge_one(purchase, checkout, by_checkout[purchase.checkout_id], found)
    # A create whose answer nobody heard may stand; a charge for a checkout that nobody knows may not.
    unknown = [one for one in by_checkout if one not in known and one not in checkouts]
    found["wrong"] += [f"{one}: charged, and no such checkout" for one in unknown]
    same = Counter(purchase.checkout_id for purchase in purchases if purchase.checkout_id)
    found["wrong"] += [f"{one}: one checkout for {count} keys" for one, count in same.items() if count > 1]
    return Violations(**found)


def _judge_one(purchase: Purchase, checkout: Json, charges: Sequence[Json], found: dict[str, list[str]]) -> None:
    name, status = purchase.checkout_id, checkout["status"]
    taken = [charge for charge in charges if charge["status"] in TAKEN]
    kept = [charge for charge in taken if charge["amountRefunded"] < charge["amount"]]
    if len(kept) > 1:
        found["charged_twice"].append(f"{name}: {len(kept)} charges: {', '.join(one['key'] for one in kept)}")
    if status not in ENDED:
        found["stuck"].append(f"{name}: {status} with {purchase.method}")
    if purchase.paid_at is not None and status == "PENDING":
        found["lost"].append(f"{name}: its payment was acknowledged, and it is PENDING")
    if purchase.cancel_acknowledged and status != "CANCELED":
        found["lost"].append(f"{name}: its cancelation was acknowledged, and it is {status}")
    if status == "COMPLETED" and len(taken) != 1:
        found["wrong"].append(f"{name}: COMPLETED with {len(taken)} charges")
    if status in ("FAILED", "CANCELED", "EXPIRED") and kept:
        found["wrong"].append(f"{name}: {status}, and {kept[0]['key']} is charged")
    for charge in taken:
        if (charge["amount"], charge["currency"], charge["merchantId"]) != (
            purchase.amount,
            checkout["currency"],
            purchase.merchant_id,
        ):
            found["wrong"].append(f"{name}: {charge['key']} has another amount, currency or merchant")
        if status == "COMPLETED" and charge["amountRefunded"] != checkout["amountRefunded"]:
            found["wrong"].append(
                f"{name}: {checkout['amountRefunded']} refunded here, {charge['amountRefunded']} at the provider"
            )
