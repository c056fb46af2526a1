"""What pages tell buyers, as message ids that templates translate: ``mark`` is for the tool that collects them."""

from typing import Final

from paidonce.providers import decline_codes


def mark(message: str) -> str:
    """Mark a message that a template translates."""
    return message


NOTHING_CHARGED: Final = mark("Nothing was charged.")
PAID_BACK: Final = mark("A payment arrived too late. It is being paid back to you.")

NOT_APPROVED: Final = mark("Your bank did not approve this payment.")
NOT_COMPLETED: Final = mark("The payment was not completed.")
NOT_SUPPORTED: Final = mark("This way to pay cannot be used for this purchase.")

# A thief must not learn that a card is reported as stolen, or that fraud is suspected: those read as any refusal.
DECLINED: Final = {
    decline_codes.INSUFFICIENT_FUNDS: mark("There is not enough money on the account or card."),
    decline_codes.LIMIT_EXCEEDED: mark("The payment exceeds a limit of the card or account."),
    decline_codes.DO_NOT_HONOR: NOT_APPROVED,
    decline_codes.EXPIRED_CARD: mark("The card has expired."),
    decline_codes.INCORRECT_DETAILS: mark("Some of the payment details are not correct."),
    decline_codes.AUTHENTICATION_FAILED: mark("Your bank could not confirm that it is you who pays."),
    decline_codes.SUSPECTED_FRAUD: NOT_APPROVED,
    decline_codes.LOST_OR_STOLEN_CARD: NOT_APPROVED,
    decline_codes.CARD_NOT_SUPPORTED: mark("This card cannot be used for this purchase."),
    decline_codes.CURRENCY_NOT_SUPPORTED: NOT_SUPPORTED,
    decline_codes.PAYMENT_METHOD_NOT_SUPPORTED: NOT_SUPPORTED,
    decline_codes.AMOUNT_NOT_SUPPORTED: NOT_SUPPORTED,
    decline_codes.TRY_AGAIN_LATER: mark("Your bank cannot be reached at the moment. Please try again later."),
    decline_codes.BUYER_CANCELED: NOT_COMPLETED,
    decline_codes.SESSION_EXPIRED: NOT_COMPLETED,
    decline_codes.PROVIDER_REFUSED: mark("The payment could not be started."),
    decline_codes.DECLINED: NOT_APPROVED,
}
# Of the simulator, whose codes are not all on the list.
OTHER_DECLINES: Final = {"buyer_declined": NOT_COMPLETED, "session_closed": NOT_COMPLETED}


def decline_text(code: str | None) -> str:
    """Tell a buyer why a payment was declined, in words that help and betray nothing."""
    return DECLINED.get(code or "") or OTHER_DECLINES.get(code or "") or NOT_APPROVED
