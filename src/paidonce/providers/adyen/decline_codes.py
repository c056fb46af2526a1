"""Adyen's refusal reasons, mapped to our decline codes.

From "Refusal reasons" (docs.adyen.com/development-resources/refusal-reasons, read 2026-11). A response has the number
of the reason and its text; a webhook has the text alone. A reason that is not listed is ``declined``.
"""

from collections.abc import Mapping
from typing import Final

from paidonce.providers import decline_codes as ours
from paidonce.redaction import redact

RAW_LENGTH_MAX: Final = 100

_CODES: Final[Mapping[str, Mapping[str, str]]] = {
    ours.DO_NOT_HONOR: {
        "2": "Refused",
        "3": "Referral",
        "26": "Revocation Of Auth",
        "27": "Declined Non Generic",
        "46": "Transaction blocked by Adyen to prevent excessive retry fees",
    },
    ours.TRY_AGAIN_LATER: {"4": "Acquirer Error", "9": "Issuer Unavailable", "21": "Not Submitted"},
    ours.EXPIRED_CARD: {"6": "Expired Card"},
    ours.AMOUNT_NOT_SUPPORTED: {"7": "Invalid Amount"},
    ours.INCORRECT_DETAILS: {
        "8": "Invalid Card Number",
        "17": "Invalid Pin",
        "18": "Pin tries exceeded",
        "19": "Pin validation not possible",
        "24": "CVC Declined",
        "32": "AVS Declined",
    },
    ours.CARD_NOT_SUPPORTED: {
        "10": "Not supported",
        "23": "Transaction Not Permitted",
        "34": "No checking account available on Card",
        "35": "No savings account available on Card",
        "37": "Contactless fallback",
        "40": "Current AID is in Penalty Box",
        "44": "Try another interface",
        "45": "Chip downgrade mode",
    },
    ours.AUTHENTICATION_FAILED: {
        "11": "3D Not Authenticated",
        "33": "Card requires online pin",
        "36": "Mobile pin required",
        "38": "Authentication required",
        "39": "RReq not received from DS",
        "41": "CVM Required Restart Payment",
        "42": "3DS Authentication Error",
        "43": "Online PIN required",
    },
    ours.INSUFFICIENT_FUNDS: {"12": "Not enough balance"},
    ours.SUSPECTED_FRAUD: {
        "14": "Acquirer Fraud",
        "20": "FRAUD",
        "22": "FRAUD-CANCELLED",
        "31": "Issuer Suspected Fraud",
    },
    ours.BUYER_CANCELED: {"15": "Cancelled", "16": "Shopper Cancelled"},
    ours.LOST_OR_STOLEN_CARD: {"5": "Blocked Card", "25": "Restricted Card"},
    ours.LIMIT_EXCEEDED: {"28": "Withdrawal amount exceeded", "29": "Withdrawal count exceeded"},
}
_BY_NUMBER: Final = {number: code for code, reasons in _CODES.items() for number in reasons}
_NUMBERS: Final = {text.lower(): number for reasons in _CODES.values() for number, text in reasons.items()}


def decline_code(raw_code: str | None, otherwise: str = ours.DECLINED) -> str:
    """Return our code for a raw code, or ``otherwise`` where none is listed."""
    return _BY_NUMBER.get(raw_code or "", otherwise)


def raw_code_of(number: str | None, text: str | None) -> str | None:
    """Return the raw code of a refusal: the number of the reason, or its text where that has none."""
    reason = (text or "").strip()
    found = number or _NUMBERS.get(reason.lower()) or redact(reason)[:RAW_LENGTH_MAX]
    return found or None
