"""Errors of checkouts, payments and providers."""

from paidonce.errors.base import PaidonceError


class CheckoutNotFound(PaidonceError):
    """The caller has no checkout with this id."""

    code = "checkout_not_found"

    def __init__(self) -> None:
        super().__init__("There is no checkout with this id.")


class PaymentInProgress(PaidonceError):
    """A payment in another way, or a void, is in progress. What only waits for its buyer is ended."""

    code = "payment_in_progress"

    def __init__(self, *, is_ended: bool = False) -> None:
        super().__init__(
            "A payment with another payment method waits for its buyer, and is ended now. Read the checkout with "
            "`Prefer: wait=30`, and pay again where nothing was charged."
            if is_ended
            else "Another operation of this checkout is in progress. Wait until it ends: `Prefer: wait=30`."
        )


class AttemptNotFound(PaidonceError):
    """The caller has no attempt with this id."""

    code = "attempt_not_found"

    def __init__(self) -> None:
        super().__init__("There is no attempt with this id.")


class AttemptOutcomeKnown(PaidonceError):
    """The outcome of the attempt is proven already, and this would not change it."""

    code = "attempt_outcome_known"

    def __init__(self, status: str) -> None:
        super().__init__(f"The attempt is already {status}, and what you report does not change that.")


class InvalidState(PaidonceError):
    """The status of the checkout does not allow this operation."""

    code = "invalid_state"

    def __init__(self, current_status: str, action: str) -> None:
        super().__init__(f"A checkout with the status {current_status} cannot be {action}.")
        self.current_status = current_status


class AttemptsExhausted(PaidonceError):
    """All payment attempts that a checkout allows were declined."""

    code = "attempts_exhausted"

    def __init__(self, attempts_max: int) -> None:
        super().__init__(
            f"All {attempts_max} payment attempts for this checkout were declined. Create another checkout."
        )


class CheckoutExpired(PaidonceError):
    """The checkout has expired."""

    code = "checkout_expired"

    def __init__(self) -> None:
        super().__init__("This checkout has expired. Create another checkout.")


class RefundNotFound(PaidonceError):
    """The caller has no refund with this id."""

    code = "refund_not_found"

    def __init__(self) -> None:
        super().__init__("There is no refund with this id.")


class AmountExceedsCapturable(PaidonceError):
    """The amount to capture exceeds the authorized amount."""

    code = "amount_exceeds_capturable"

    def __init__(self, capturable: int) -> None:
        super().__init__(f"At most {capturable} minor units can be captured.")


class AmountExceedsRefundable(PaidonceError):
    """The amount exceeds what can still be refunded. Pending refunds count as completed."""

    code = "amount_exceeds_refundable"

    def __init__(self, refundable: int) -> None:
        super().__init__(f"At most {refundable} minor units can still be refunded.")


class ProviderNotFound(PaidonceError):
    """There is no payment provider with this name."""

    code = "provider_not_found"

    def __init__(self) -> None:
        super().__init__("There is no provider with this name.")


class ProviderUnavailable(PaidonceError):
    """The provider could not be asked about a webhook; nothing was stored."""

    code = "provider_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("The provider could not be asked about this webhook. Nothing was stored. Send it again later.")


class InvalidSignature(PaidonceError):
    """The signature of the webhook is missing, wrong or too old; the webhook had no effect."""

    code = "invalid_signature"

    def __init__(self) -> None:
        super().__init__("The signature of the webhook is missing, wrong or too old. The webhook had no effect.")


class ProviderAccountNotFound(PaidonceError):
    """The caller has no provider account with this id, or none that fits."""

    code = "provider_account_not_found"

    def __init__(self, detail: str = "There is no provider account with this id.") -> None:
        super().__init__(detail)


class ProviderAccountDisabled(PaidonceError):
    """The provider account is disabled; nothing was sent to the provider."""

    code = "provider_account_disabled"

    def __init__(self) -> None:
        super().__init__("The provider account is disabled. Enable it, or name another one.")


class ProviderAccountWrongMode(PaidonceError):
    """The mode of the provider account is not the mode of the API key; the request had no effect."""

    code = "provider_account_wrong_mode"

    def __init__(self, mode: str) -> None:
        super().__init__(f"In {mode} mode only {mode} accounts can be used.")


class CurrencyNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not take its currency; nothing was sent."""

    code = "currency_not_supported"


class AmountNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not take its amount; nothing was sent."""

    code = "amount_not_supported"


class PaymentMethodNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not know its payment method; nothing was sent."""

    code = "payment_method_not_supported"
