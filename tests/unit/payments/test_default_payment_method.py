import pytest

from paidonce.checkouts.model import ProviderRoute
from paidonce.payments.providers import default_payment_method


@pytest.mark.parametrize(("provider", "method"), [("simulator", "tok_success"), ("stripe", "hosted")])
def test_a_buyer_pays_with_a_test_token_at_the_simulator_and_on_the_page_of_any_other_provider(
    provider: str, method: str
) -> None:
    assert default_payment_method(ProviderRoute(provider)) == method
