"""Example Pay's objects, as far as they are read here. What is not declared is ignored."""

from typing import Literal

import msgspec


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, which the buyer pays on its page. ``key`` is our key, which it was created with."""

    id: str
    key: str
    status: Literal["open", "authorized", "paid", "failed", "closed"]
    amount: int
    currency: str
    url: str
    failure: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A capture, a void or a refund. ``key`` is our key."""

    id: str
    key: str
    payment: str
    amount: int
    currency: str


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of a response that is no success."""

    error: str


class Webhook(msgspec.Struct, frozen=True):
    """The body of a webhook. ``payment`` is as it was then; None where the webhook is about something else."""

    id: str
    type: str
    payment: Payment | None = None
