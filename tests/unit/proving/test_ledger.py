"""The ledger of a double, as the oracle reads it."""

from collections import defaultdict

from paidonce.proving.ledger import Books, read_ledger


def movement(kind: str, amount: int = 1000, *, key: str = "att_1", payment: str = "pi_1") -> dict[str, object]:
    return {
        "kind": kind,
        "id": f"{kind}_{key}",
        "paymentId": payment,
        "amount": amount,
        "currency": "EUR",
        "checkoutId": "chk_1",
        "operationKey": key,
        "movedAt": 1,
        "account": "sk_1",
    }


def read(*movements: dict[str, object]) -> Books:
    return read_ledger(movements, defaultdict(str, {"sk_1": "m1"}))


def test_a_charge_belongs_to_the_merchant_whose_account_has_taken_it() -> None:
    ((charge,), changes) = read(movement("charge"))
    assert (charge.key, charge.reference, charge.checkout_id, charge.merchant_id) == ("att_1", "pi_1", "chk_1", "m1")
    assert (charge.status, charge.amount, charge.amount_captured, charge.currency) == ("succeeded", 1000, 1000, "EUR")
    assert changes == []
    other = movement("charge") | {"account": "sk_2"}
    assert read(other).charges[0].merchant_id == ""


def test_a_payment_that_is_charged_twice_has_two_charges() -> None:
    assert [one.amount for one in read(movement("charge"), movement("charge")).charges] == [1000, 1000]
    assert len(read(movement("charge"), movement("charge", payment="pi_2")).charges) == 2


def test_what_is_captured_and_refunded_is_counted_and_named_with_its_key() -> None:
    books = read(
        movement("authorization"),
        movement("capture", 700, key="att_2"),
        movement("release", 300, key=""),
        movement("refund", 200, key="att_3"),
        movement("refund", 100, key="att_4"),
        movement("refund_failed", 100, key="att_4") | {"id": "refund_att_4"},
    )
    (charge,) = books.charges
    assert (charge.status, charge.amount, charge.amount_captured, charge.amount_refunded) == (
        "succeeded",
        1000,
        700,
        200,
    )
    assert [(one.kind, one.key, one.amount, one.decline_code) for one in books.changes] == [
        ("CAPTURE", "att_2", 700, None),
        ("REFUND", "att_3", 200, None),
        ("REFUND", "att_4", 100, "failed"),
    ]
    assert {one.charge_reference for one in books.changes} == {"pi_1"}


def test_a_released_authorization_holds_nothing() -> None:
    books = read(movement("authorization"), movement("release", key="att_2"))
    assert [one.status for one in books.charges] == ["voided"]
    assert [(one.kind, one.key) for one in books.changes] == [("VOID", "att_2")]


def test_an_authorization_that_is_not_released_is_held() -> None:
    assert [(one.status, one.amount_captured) for one in read(movement("authorization")).charges] == [("authorized", 0)]
