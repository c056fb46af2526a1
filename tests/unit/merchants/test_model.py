"""When an API key is valid, and which resources a caller may get."""

from typing import NamedTuple

import pytest

from paidonce.merchants.model import (
    MERCHANT_SCOPES,
    OPERATOR,
    OVERLAP_SECONDS_DEFAULT,
    OVERLAP_SECONDS_MAX,
    UNAUTHENTICATED,
    ApiKey,
    Caller,
    KeyStatus,
    Mode,
    Scope,
    TenantScopedId,
    pick_visible,
)

DAY_SECONDS = 86_400


def key(
    merchant_id: str = "m", scopes: str = "", *, expires_at: int | None = None, revoked_at: int | None = None
) -> ApiKey:
    return ApiKey(
        id="key_1",
        merchant_id=merchant_id,
        hash="",
        shown="",
        mode="test",
        scopes=scopes,
        created_at=0,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "status"),
    [
        (None, None, KeyStatus.ACTIVE),
        (1001, None, KeyStatus.ACTIVE),
        (1000, None, KeyStatus.EXPIRED),
        (999, None, KeyStatus.EXPIRED),
        (None, 1, KeyStatus.REVOKED),
        (1001, 0, KeyStatus.REVOKED),
        (999, 2000, KeyStatus.REVOKED),
    ],
)
def test_a_key_is_valid_until_its_expiry_unless_it_is_revoked(
    expires_at: int | None, revoked_at: int | None, status: KeyStatus
) -> None:
    assert key(expires_at=expires_at, revoked_at=revoked_at).status(1000) is status


def test_a_caller_has_its_keys_merchant_and_scopes_and_an_operator_none() -> None:
    scopes = "checkouts:read events:read"
    allowed = frozenset({Scope.CHECKOUTS_READ, Scope.EVENTS_READ})
    assert key("m", scopes).caller == Caller("m", allowed, "key_1", Mode.TEST)
    assert key(OPERATOR, scopes).caller == Caller(None, allowed, "key_1")
    assert key("m").caller == Caller("m", frozenset(), "key_1", Mode.TEST)


def test_a_merchant_may_have_every_scope_but_admin() -> None:
    written_out = {"checkouts:read", "checkouts:write", "refunds:write", "events:read", "webhooks:write"}
    written_out |= {"providers:read", "providers:write", "profile:write"}
    assert written_out == MERCHANT_SCOPES
    assert Caller(None, frozenset(written_out), None) == UNAUTHENTICATED  # type: ignore[arg-type] # equal to the scopes


def test_the_rotation_overlap_is_a_day_by_default_and_at_most_thirty_days() -> None:
    assert (OVERLAP_SECONDS_DEFAULT, OVERLAP_SECONDS_MAX) == (DAY_SECONDS, 30 * DAY_SECONDS)


class Thing(NamedTuple):
    """A resource that belongs to a merchant, in one mode."""

    merchant_id: str
    mode: str = "test"


def test_a_merchant_gets_only_its_own_resources_and_an_operator_gets_all() -> None:
    mine, theirs = Thing("m1"), Thing("m2")
    found = {"1": mine, "2": theirs}
    wanted = [TenantScopedId(name, who) for name in ("1", "2", "3") for who in ("m1", "m2", None)]
    assert pick_visible(wanted, found) == {
        TenantScopedId("1", "m1"): mine,
        TenantScopedId("1", None): mine,
        TenantScopedId("2", "m2"): theirs,
        TenantScopedId("2", None): theirs,
    }


def test_a_caller_gets_only_resources_of_its_mode_and_one_without_a_mode_gets_those_of_both() -> None:
    test, live = Thing("m", "test"), Thing("m", "live")
    found = {"1": test, "2": live}
    callers = [Caller("m", frozenset(), "key_1", mode) for mode in (*Mode, None)]
    visible = [pick_visible([caller.scoped_id(name) for name in ("1", "2")], found) for caller in callers]
    assert [list(one.values()) for one in visible] == [[test], [live], [test, live]]
    other = Caller("n", frozenset(), "key_2", Mode.TEST)
    assert pick_visible([other.scoped_id("1")], found) == {}
