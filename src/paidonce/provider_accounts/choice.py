"""Which of a merchant's accounts can take a charge. Nothing is sent, and nothing is read."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from paidonce.errors import AmountNotSupported, CurrencyNotSupported, PaymentMethodNotSupported
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.providers.base import Connector, WantedCharge
from paidonce.providers.decline_codes import (
    AMOUNT_NOT_SUPPORTED,
    CURRENCY_NOT_SUPPORTED,
    PAYMENT_METHOD_NOT_SUPPORTED,
)

NotSupported: TypeAlias = CurrencyNotSupported | AmountNotSupported | PaymentMethodNotSupported

_ERRORS: Final[Mapping[str, tuple[type[NotSupported], str]]] = {
    CURRENCY_NOT_SUPPORTED: (CurrencyNotSupported, "{currency} is not supported by {providers}."),
    AMOUNT_NOT_SUPPORTED: (AmountNotSupported, "This amount of {currency} is not supported by {providers}."),
    PAYMENT_METHOD_NOT_SUPPORTED: (
        PaymentMethodNotSupported,
        "This payment method is not supported by {providers}. Without one, the buyer pays on the provider's page.",
    ),
}


def choose_able(
    accounts: Sequence[ProviderAccount], charge: WantedCharge, connectors: Mapping[str, Connector]
) -> list[ProviderAccount] | NotSupported:
    """Return the accounts that can take a charge, in their order; where there are none, why the first cannot.

    An account with a provider that this release does not know is not refused here, because nothing is known about it.
    """
    first_refusal: str | None = None
    able = []
    for account in accounts:
        connector = connectors.get(account.provider)
        code = None
        if connector is not None:
            code = connector.unsupported(charge)
        if code is None:
            able.append(account)
        first_refusal = first_refusal or code
    if able or first_refusal is None:
        return able
    error, detail = _ERRORS[first_refusal]
    providers = " or ".join(sorted({connectors[account.provider].display_name for account in accounts}))
    return error(detail.format(currency=charge.money.currency, providers=providers))
