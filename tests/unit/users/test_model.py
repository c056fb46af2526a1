"""What each role may do, and as whom a person runs a call of the API."""

import pytest

from paidonce.merchants.model import Mode, Scope, Tenant
from paidonce.users.model import Person, Role, Session, User

READS = {Scope.CHECKOUTS_READ, Scope.EVENTS_READ, Scope.PROVIDERS_READ}
OF_MERCHANT = READS | {
    Scope.CHECKOUTS_WRITE,
    Scope.REFUNDS_WRITE,
    Scope.WEBHOOKS_WRITE,
    Scope.PROVIDERS_WRITE,
    Scope.PROFILE_WRITE,
}
# Written by hand: what each role may do for a merchant.
SCOPES = {
    Role.VIEWER: READS,
    Role.REFUNDS: READS | {Scope.CHECKOUTS_WRITE, Scope.REFUNDS_WRITE},
    Role.ADMIN: OF_MERCHANT,
    Role.OPERATOR: OF_MERCHANT,
}


def person(role: Role, merchant_id: str = "m1") -> Person:
    user = User(
        id="usr_1",
        merchant_id="" if role is Role.OPERATOR else merchant_id,
        email="a@example.com",
        role=role.value,
        created_at=0,
        updated_at=0,
    )
    session = Session(
        id="uss_1",
        user_id="usr_1",
        token_hash="",
        address="",
        user_agent="",
        created_at=0,
        used_at=0,
        expires_at=1,
    )
    return Person(user=user, session=session)


@pytest.mark.parametrize("role", Role)
def test_a_person_acts_for_a_merchant_with_the_scopes_of_the_role_in_the_mode_of_the_page(role: Role) -> None:
    for mode in Mode:
        caller = person(role).caller(Tenant("m1", mode.value))
        assert caller.scopes == SCOPES[role]
        assert (caller.merchant_id, caller.mode, caller.actor) == ("m1", mode, "user:usr_1")


def test_only_an_operator_acts_for_no_merchant_and_then_has_every_scope() -> None:
    caller = person(Role.OPERATOR).caller(None)
    assert (caller.merchant_id, caller.mode, caller.scopes) == (None, None, frozenset(Scope))
    for role in (Role.VIEWER, Role.REFUNDS, Role.ADMIN):
        with pytest.raises(AssertionError):
            person(role).caller(None)


def test_an_operator_sees_every_merchant_and_everybody_else_their_own() -> None:
    for role in Role:
        assert person(role).may_see("m1")
        assert person(role).may_see("m2") == (role is Role.OPERATOR)
        assert person(role).may_see("") == (role is Role.OPERATOR)


def test_each_role_includes_itself_and_those_before_it() -> None:
    order = [Role.VIEWER, Role.REFUNDS, Role.ADMIN, Role.OPERATOR]
    for index, role in enumerate(order):
        assert [one for one in order if role.includes(one)] == order[: index + 1]
