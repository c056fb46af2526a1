"""Errors as PayPal writes them (developer.paypal.com/api/rest/responses)."""

from paidonce.proving.doubles.calls import ApiFailure, Reply

NAMES = {
    400: "INVALID_REQUEST",
    401: "AUTHENTICATION_FAILURE",
    404: "RESOURCE_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "UNPROCESSABLE_ENTITY",
}


class PayPalFailure(ApiFailure):
    """A response with an error. ``issue`` is its reason."""

    def __init__(self, status: int, issue: str, description: str = "", field: str = "") -> None:
        detail = {"issue": issue, "description": description or issue.replace("_", " ").capitalize()}
        body = {
            "name": NAMES[status],
            "message": "The request could not be executed.",
            "debug_id": "double0000000",
            "details": [detail | ({"field": field} if field else {})],
            "links": [],
        }
        super().__init__(Reply(status, body))
