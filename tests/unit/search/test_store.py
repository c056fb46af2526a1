"""The SQL statements of the search, on both databases, while another process writes."""

from paidonce.checkouts.actions import create_checkouts
from paidonce.merchants.model import Tenant
from paidonce.search.actions import take_steps
from paidonce.search.model import Search
from paidonce.search.store import Step
from tests.support.payments import Payments, new_checkout


def test_what_is_created_while_a_step_is_taken_pushes_no_other_checkout_off_it(payments: Payments) -> None:
    for number in range(1, 5):
        payments.create(str(number))
    step = Step(Search(tenant=Tenant("m", "test"), limit=10, status="PENDING"), None, 2)
    (result,) = payments.do_interrupted(create_checkouts, new_checkout("5"), take_steps, step)
    assert ([one.id for one in result.found], result.examined_to) == (["chk_5", "chk_4", "chk_3"], "chk_3")
