"""What schemathesis cannot read in the document: which refusals of a well-formed request are right, and why."""

import json
from typing import Any, Final

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure

from paidonce.money import CURRENCIES

SCHEMA_VALID_REQUEST_REJECTED: Final = "ST202"

# Refusals that depend on what happened before, or on a header and a field together: no schema can tell them.
RIGHT_REFUSALS: Final = {
    "idempotency_key_reused",
    "invalid_idempotency_key",
    "invalid_state",
    "checkout_expired",
    "amount_exceeds_refundable",
    "attempts_exhausted",
    "too_many_webhook_endpoints",
    "too_many_redeliveries",
}
# Rules about a field that no schema can tell: a real URL or date, no card number; and one of two cursors.
RIGHT_FIELD_REFUSALS: Final = {"invalid_value", "contradiction", "forbidden_url"}


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001 - handed in by name
    """Name the currencies, the provider and hosts, so that not every generated body is refused for them."""
    bodies = raw_schema["components"]["schemas"]
    bodies["CreateCheckoutBody"]["properties"]["currency"]["enum"] = sorted(CURRENCIES)
    bodies["PayBody"]["properties"]["provider"] = {"type": "string", "enum": ["simulator"]}
    # Names that nobody can have: what is made there is looked up, and never called.
    bodies["CreateEndpointBody"]["properties"]["url"]["enum"] = ["https://shop.example/hook", "https://a.invalid/"]
    bodies["UpdateEndpointBody"]["properties"]["url"]["anyOf"][0]["enum"] = ["https://shop.example/hook"]


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:  # noqa: ARG001 - as above
    """Keep a failure, unless a well-formed request was refused for a reason that no schema can tell."""
    return failure.code != SCHEMA_VALID_REQUEST_REJECTED or not _is_right(json.loads(response.content))


def _is_right(problem: dict[str, Any]) -> bool:
    errors = problem.get("errors", [])
    return problem["code"] in RIGHT_REFUSALS or (bool(errors) and all(_no_schema_can_tell(error) for error in errors))


def _no_schema_can_tell(error: dict[str, str]) -> bool:
    return (
        error["code"] in RIGHT_FIELD_REFUSALS
        # Each provider has credentials of its own.
        or error["pointer"].startswith(("/credentials", "/provider"))
        # The one may stand in the header instead, the other come from the key.
        or (error["pointer"] in ("/idempotencyKey", "/merchantId", "merchantId") and error["code"] == "missing")
        # To JSON Schema 300.0 is an integer; where money moves it is a sign of a mistake.
        or error["detail"].endswith("not a number with a decimal point.")
        # What the newest event is, only the log knows.
        or error["detail"].startswith("No event has this number yet")
    )
