"""The OpenAPI 3.1 document, made from the declarations of all operations and from the types that they use."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from paidonce import __version__
from paidonce.errors import (
    BodyTooLarge,
    DatabaseUnavailable,
    InsufficientScope,
    InvalidIdempotencyKey,
    InvalidRequest,
    MalformedBody,
    Overloaded,
    PaidonceError,
    RateLimited,
    Unauthenticated,
    UnsupportedMediaType,
)
from paidonce.http.fields import Fields
from paidonce.http.path_ids import PATH_IDS
from paidonce.http.problems import PROBLEM_JSON, PROBLEM_TYPES, InternalError, Problem

if TYPE_CHECKING:
    from paidonce.http.operation import Operation

Json: TypeAlias = dict[str, Any]

COMPONENTS: Final = "#/components/schemas/{name}"

INTRODUCTION: Final = """\
A checkout and payment service. One purchase is charged at most once, also when processes crash, requests are retried,
calls time out, or messages arrive twice.

Amounts are integers in the minor unit of the currency. Times are RFC 3339 in UTC. Ids are opaque and
sort by creation time. Every response has an `X-Request-Id` header and, unless its call says otherwise,
`Cache-Control: no-store`. HEAD is supported wherever GET is.

Every error is a problem (RFC 9457) with a stable `code`. There is one exception: the HTTP server itself
refuses some malformed requests with a 400 or 431 without a body, or closes a connection whose request does not arrive
in time. After 400, 408, 413, 414 and 431 for a malformed, slow or too large request, the connection is closed.

A POST with an `Idempotency-Key` takes effect once, and it is safe to retry it with the same key.

Each path has exactly one spelling; every other spelling is a 404. A path has no empty segment, no trailing
slash, and no `.` or `..`. Only characters that a path segment cannot contain are percent-encoded, with uppercase
hexadecimal digits.
"""

REQUEST_ID_HEADER: Final = {"description": "Identifies the request in the logs.", "schema": {"type": "string"}}

HEADERS: Final[dict[str, Json]] = {
    "Location": {"description": "The path of the created resource.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` if a request with this idempotency key was executed before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Preference-Applied": {"description": "The preference that was applied.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "`no-store`, as on every response.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "The authentication scheme to use.", "schema": {"type": "string"}},
    "RateLimit-Policy": {
        "description": "The rate limits that applied to this request, if any.",
        "schema": {"type": "string"},
        "example": '"key";q=2000;w=2',
    },
    "RateLimit": {
        "description": "The remaining quota of each rate limit: `r` requests for the next `t` seconds.",
        "schema": {"type": "string"},
        "example": '"key";r=1999;t=1',
    },
    "Allow": {"description": "The methods that this path supports.", "schema": {"type": "string"}},
}

LIMIT_HEADERS: Final = {name: HEADERS[name] for name in ("RateLimit-Policy", "RateLimit")}

PARAMETER_HEADERS: Final[dict[str, Json]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The idempotency key: 1 to 255 printable ASCII characters, with or without quotes.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "Long polling with `wait=N`: the response is sent when the status is no longer PROCESSING, or "
        "after N seconds (at most 30).",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The `sequence` of the last event that was received. It overrides `after`. Browsers send it.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
}


API_KEY: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "With `PAIDONCE_AUTH=keys` every call needs an API key: `Authorization: Bearer sk_…`. By default "
    "API keys are off: no call needs a key, and the operator's calls are not allowed.",
}


def build_document(operations: Sequence["Operation"], *, url: str = "/") -> Json:
    """Make the document from a table of operations; ``url`` is the path under which they are mounted."""
    kinds: set[type] = {Problem}
    for operation in operations:
        kinds |= {response.schema for response in operation.responses.values() if response.schema}
        kinds |= {operation.body} if operation.body else set()
    _, schemas = msgspec.json.schema_components(sorted(kinds, key=lambda kind: kind.__name__), ref_template=COMPONENTS)
    _refine(schemas)
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "paidonce",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "security": [{}],
        "tags": [
            {"name": "Checkouts", "description": "Create checkouts and pay them."},
            {"name": "Refunds", "description": "Return money to the buyer, completely or in part; disputes of buyers."},
            {"name": "Attempts", "description": "See and resolve what waits for a proof or for a person."},
            {"name": "Operator", "description": "Manage merchants and API keys, with an operator's API key."},
            {"name": "Events", "description": "The ordered event log of a merchant: as pages and as a stream."},
            {"name": "Statistics", "description": "See what was sold, and what needs attention."},
            {"name": "Webhooks", "description": "Webhook endpoints of merchants, and the deliveries to them."},
            {"name": "Profile", "description": "How a merchant appears to its buyers."},
            {"name": "Providers", "description": "Accounts with payment providers, and webhooks from them."},
            {"name": "Buyers", "description": "For the browsers of buyers."},
            {"name": "Service", "description": "Health checks and the description of the API."},
        ],
        "paths": _portable(dict(sorted(paths.items()))),
        "components": {
            "schemas": _portable(dict(sorted(schemas.items()))),
            "securitySchemes": {"apiKey": API_KEY},
        },
    }


def _portable(node: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    r"""Write patterns as JSON Schema does: its ``$`` is the end of the text, for which Python has ``\Z``."""
    if isinstance(node, dict):
        return {
            name: part.replace(r"\Z", "$") if name == "pattern" and isinstance(part, str) else _portable(part)
            for name, part in node.items()
        }
    return [_portable(part) for part in node] if isinstance(node, list) else node


def _refine(schemas: Json) -> None:
    """Add what the types cannot express: metadata is an object of strings."""
    for schema in schemas.values():
        metadata = schema.get("properties", {}).get("metadata")
        if metadata == {}:
            metadata |= {"type": "object", "additionalProperties": {"type": "string"}}


def _describe(operation: "Operation") -> Json:
    described: Json = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation),
    }
    description = operation.description
    if operation.scope is not None:
        description = f"{description} Scope: `{operation.scope}`.".strip()
        described["security"] = [{}, {"apiKey": []}]
    elif operation.details_scope is not None:
        description = f"{description} Tells more to a key with the scope `{operation.details_scope}`.".strip()
    if description:
        described["description"] = description
    parameters = [*_path_parameters(operation.path), *_query_parameters(operation.parameters)]
    parameters += [PARAMETER_HEADERS[name] for name in operation.headers]
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        content: Json = {"schema": {"$ref": COMPONENTS.format(name=operation.body.__name__)}}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        described["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    elif operation.raw_body:
        described["requestBody"] = {"description": operation.raw_body, "content": {"application/json": {"schema": {}}}}
    return described


def _path_parameters(path: str) -> Iterable[Json]:
    for name, part in PATH_IDS.items():
        if f"{{{name}}}" in path:
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": part.description,
                "schema": {"type": "string", "pattern": f"^{part.pattern}$"},
                "example": part.example,
            }


def _query_parameters(kind: type[Fields] | None) -> Iterable[Json]:
    if kind is None:
        return
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    for name, parameter in schema["properties"].items():
        allowed = [one for one in parameter.get("anyOf", [parameter]) if one.get("type") != "null"]
        shown = {key: value for key, value in allowed[0].items() if key not in ("description", "default")}
        described = {"name": name, "in": "query", "schema": shown}
        description = parameter.get("description") or allowed[0].get("description")
        yield described | ({"description": description} if description else {})


def _responses(operation: "Operation") -> Json:
    responses: Json = {}
    for status, spec in operation.responses.items():
        response: Json = {
            "description": spec.description,
            "headers": {"X-Request-Id": REQUEST_ID_HEADER, **LIMIT_HEADERS},
        }
        response["headers"] |= {name: HEADERS[name] for name in spec.headers}
        if spec.schema is not None:
            response["content"] = {spec.media_type: {"schema": _schema(spec.schema)}}
        elif spec.media_type != "application/json":
            response["content"] = {spec.media_type: {"schema": {"type": "string"}}}
        responses[str(status)] = response
    for status, causes in _errors_by_status(operation).items():
        responses[str(status)] = _problem(causes) if str(status) not in responses else responses[str(status)]
    return dict(sorted(responses.items()))


def _schema(kind: type) -> Json:
    return {"type": "object"} if kind is dict else {"$ref": COMPONENTS.format(name=kind.__name__)}


def _errors_by_status(operation: "Operation") -> dict[int, list[type[PaidonceError]]]:
    causes: list[type[PaidonceError]] = [*operation.errors, RateLimited, InternalError]
    if operation.scope is not None:
        causes += [Unauthenticated, InsufficientScope]
    elif operation.details_scope is not None:
        causes.append(Unauthenticated)
    if operation.parameters is not None:
        causes.append(InvalidRequest)
    if operation.body is not None:
        causes += [MalformedBody, InvalidRequest, InvalidIdempotencyKey, BodyTooLarge, UnsupportedMediaType]
    if operation.touches_database:
        causes += [Overloaded, DatabaseUnavailable]
    by_status: dict[int, list[type[PaidonceError]]] = {}
    for cause in dict.fromkeys(causes):
        by_status.setdefault(PROBLEM_TYPES[cause].status, []).append(cause)
    return by_status


def _problem(causes: list[type[PaidonceError]]) -> Json:
    status = PROBLEM_TYPES[causes[0]].status
    headers = {"X-Request-Id": REQUEST_ID_HEADER, **LIMIT_HEADERS}
    if status == 401:  # noqa: PLR2004 - as below
        headers["WWW-Authenticate"] = HEADERS["WWW-Authenticate"]
    if status in (429, 503):
        headers["Retry-After"] = HEADERS["Retry-After"]
    examples = {
        cause.code: {
            "summary": (cause.__doc__ or "").strip(),
            "value": {
                "type": f"/docs#{cause.code}",
                "title": PROBLEM_TYPES[cause].title,
                "status": status,
                "detail": PROBLEM_TYPES[cause].title + ".",
                "instance": "/checkouts",
                "code": cause.code,
                "requestId": "req_06f0q0h7pvsnb2c9vq3k1jv2rg",
                "retryable": cause.retryable,
            },
        }
        for cause in causes
    }
    shape = {"$ref": COMPONENTS.format(name="Problem")}
    return {
        "description": " ".join(f"`{cause.code}`: {(cause.__doc__ or '').strip()}" for cause in causes),
        "headers": headers,
        "content": {PROBLEM_JSON: {"schema": shape, "examples": examples}},
    }
