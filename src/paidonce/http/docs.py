"""The OpenAPI document as one page of HTML, without a script and without a request to another host."""

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple, TypeAlias

from paidonce.field_faults import NO_NUL
from paidonce.http.problems import PROBLEM_TYPES

Json: TypeAlias = dict[str, Any]
Field: TypeAlias = tuple[str, Json, str]  # A parameter or property: its name, its schema or what has one, a note.

LOCAL_URL: Final = "http://localhost:3000"  # Where `make run` listens by default.
# Stands in the page that is kept for all, where each answer says how its client reached the service.
ANY_URL: Final = "http://any-host.invalid"
KNOWN_URL: Final = re.compile(
    r"https?://[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*"
)  # Needs no escape, in HTML or a shell.
IN_BACKTICKS: Final = re.compile(r"(`+)(.+?)\1")
PLACES: Final = {"path": "Path parameters", "query": "Query parameters", "header": "Request headers"}
RANGES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minProperties", "maxProperties", " pairs"),
)


class Call(NamedTuple):
    """An operation, and where it is."""

    path: str
    method: str
    operation: Json


def render_docs(document: Json, base_url: str = LOCAL_URL) -> str:
    """Render the document; its examples call the service at ``base_url``."""
    calls = [
        Call(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    calls.sort(key=lambda call: (call.path, call.method != "post"))  # What makes a thing stands before what lists it.
    groups = [(tag, [call for call in calls if tag["name"] in call.operation["tags"]]) for tag in document["tags"]]
    schemas: Json = document["components"]["schemas"]
    objects = {name: schema for name, schema in schemas.items() if not name.endswith("Body")}
    static = files("paidonce.http").joinpath("static")
    return Template(static.joinpath("docs.html").read_text(encoding="utf-8")).substitute(
        title=escape(document["info"]["title"]),
        version=escape(document["info"]["version"]),
        style=static.joinpath("docs.css").read_text(encoding="utf-8"),
        introduction="".join(_paragraph(part) for part in document["info"]["description"].split("\n\n")),
        navigation="\n".join(_navigation(groups, objects)),
        calls="\n".join(_group(tag, of_tag, schemas, base_url) for tag, of_tag in groups),
        objects="\n".join(_object(name, schema) for name, schema in objects.items()),
        errors="\n".join(_errors()),
    )


class Page:
    """The page, rendered once; only its examples differ with the URL at which a client finds the service.

    ``policy`` is its Content-Security-Policy: the browser applies its one style and loads nothing.
    """

    def __init__(self, document: Json) -> None:
        text = render_docs(document, ANY_URL)
        self._parts = [part.encode() for part in text.split(ANY_URL)]
        style = text.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )

    def at(self, base_url: str) -> bytes:
        """Show it with examples that call the service at this URL, or at the local one where this is a strange one."""
        return (base_url if KNOWN_URL.fullmatch(base_url) else LOCAL_URL).encode().join(self._parts)


def _navigation(groups: Iterable[tuple[Json, list[Call]]], objects: Iterable[str]) -> Iterator[str]:
    for tag, calls in groups:
        links = {
            one.operation["operationId"]: _method(one) + f"<span>{escape(one.operation['summary'])}</span>"
            for one in calls
        }
        yield _links(tag["name"], tag["name"], links)
    yield _links("objects", "Objects", {name: escape(_words(name)) for name in objects})
    yield _links("errors", "Errors", {kind.code: f"<code>{escape(kind.code)}</code>" for kind in PROBLEM_TYPES})


def _links(anchor: str, heading: str, links: dict[str, str]) -> str:
    items = "".join(f'<li><a href="#{escape(target)}">{label}</a></li>' for target, label in links.items())
    return f'<h2><a href="#{escape(anchor)}">{escape(heading)}</a></h2><ul>{items}</ul>'


def _method(call: Call) -> str:
    return f'<span class="method {escape(call.method)}">{escape(call.method.upper())}</span>'


def _group(tag: Json, calls: list[Call], schemas: Json, base_url: str) -> str:
    content = _paragraph(tag["description"], "quiet") + "".join(_call(call, schemas, base_url) for call in calls)
    return f'<section class="group" id="{escape(tag["name"])}"><h2>{escape(tag["name"])}</h2>{content}</section>'


def _call(call: Call, schemas: Json, base_url: str) -> str:
    operation, anchor = call.operation, escape(call.operation["operationId"])
    path = re.sub(r"({.+?})", r"<em>\1</em>", escape(call.path))
    parts = [
        f'<h3><a href="#{anchor}">{escape(operation["summary"])}</a></h3>',
        f'<p class="route">{_method(call)} <code>{path}</code></p>',
        _paragraph(operation.get("description", "")),
    ]
    for place, heading in PLACES.items():
        given = [one for one in operation.get("parameters", []) if one["in"] == place]
        parts.append(_fields(heading, [(one["name"], one, "required" * one.get("required", False)) for one in given]))
    if "requestBody" in operation:
        body: Json = operation["requestBody"]
        name = body["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        owner: Json = schemas.get(name, body)  # A body that is taken as it comes has a description and no fields.
        heading = "Body" if body.get("required") else "Body (optional)"
        parts.append(_fields(heading, _properties(owner, always="required"), owner))
    parts.append(_answers(operation["responses"]))
    example = f'<h4>Example</h4><pre tabindex="0"><code>{escape(_curl(call, base_url))}</code></pre>'
    return f'<article id="{anchor}"><div>{"".join(parts)}</div><div class="example">{example}</div></article>'


def _object(name: str, schema: Json) -> str:
    shown = _fields(_words(name), _properties(schema, sometimes="optional"), schema, level=3)
    return f'<article class="object" id="{escape(name)}">{shown}</article>'


def _curl(call: Call, base_url: str) -> str:
    given = [(one["in"], one["name"], one.get("example")) for one in call.operation.get("parameters", [])]
    in_path = {name: example or name for place, name, example in given if place == "path"}
    url = shlex.quote(base_url.rstrip("/") + call.path.format_map(in_path))
    lines = [f"curl {url}" if call.method == "get" else f"curl -X {call.method.upper()} {url}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for place, name, value in given if place == "header" and value]
    for media_type, content in call.operation.get("requestBody", {}).get("content", {}).items():
        if "example" in content:
            body = json.dumps(content["example"], separators=(",", ":"))
            lines += [f"-H {shlex.quote('Content-Type: ' + media_type)}", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(lines)


def _properties(schema: Json, *, always: str = "", sometimes: str = "") -> list[Field]:
    required, properties = schema.get("required", []), schema.get("properties", {})
    return [(name, field, always if name in required else sometimes) for name, field in properties.items()]


def _fields(heading: str, fields: Iterable[Field], owner: Json | None = None, *, level: int = 4) -> str:
    shown = "".join(_field(*field) for field in fields)
    content = _paragraph(owner.get("description", ""), "quiet") if owner else ""
    title = f"<h{level}>{escape(heading)}</h{level}>"
    return f'{title}{content}<dl class="fields">{shown}</dl>' if shown or content else ""


def _field(name: str, field: Json, note: str) -> str:
    whole = field.get("schema", field)
    kinds = whole.get("anyOf", [whole])
    schema = next(one for one in kinds if one.get("type") != "null")
    kind = _type(schema) + (" or null" if len(kinds) > 1 else "")
    content = _paragraph(field.get("description") or schema.get("description", ""))
    limits = " · ".join(_limits(schema | ({"default": whole["default"]} if "default" in whole else {})))
    content += f'<p class="limits">{limits}</p>' if limits else ""
    return f"<dt><code>{escape(name)}</code> <span>{kind}</span> <b>{escape(note)}</b></dt><dd>{content}</dd>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(_words(name))}</a>'
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if schema.get("additionalProperties"):
        return f"object of {_type(schema['additionalProperties'])}s"
    return escape(schema.get("type", "string"))


def _limits(schema: Json) -> Iterator[str]:
    if "enum" in schema:
        yield " ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    for lowest, highest, unit in RANGES:
        if highest in schema:
            least = f"{schema[lowest]:,} to " if lowest in schema else "at most "
            yield f"{least}{schema[highest]:,}{unit}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    for part, heading in (("propertyNames", "names"), ("additionalProperties", "values")):
        if isinstance(schema.get(part), dict) and (inner := ", ".join(_limits(schema[part]))):
            yield f"{heading}: {inner}"
    if schema.get("pattern", NO_NUL) != NO_NUL:
        yield f"matches <code>{escape(schema['pattern'])}</code>"
    if schema.get("default") is not None:
        yield f"default <code>{escape(str(schema['default']))}</code>"


def _answers(responses: Json) -> str:
    good = errors = ""
    for status, response in responses.items():
        content = response.get("content", {})
        codes = [code for one in content.values() for code in one.get("examples", {})]
        errors += "".join(f'<a href="#{escape(code)}"><b>{escape(status)}</b> {escape(code)}</a> ' for code in codes)
        if not codes:
            kinds = [_type(one["schema"]) if "$ref" in one["schema"] else escape(name) for name, one in content.items()]
            headers = " ".join(f"<code>{escape(name)}</code>" for name in response["headers"])
            content = f'{_inline(response["description"])} {", ".join(kinds)}<p class="limits">headers: {headers}</p>'
            good += f"<dt>{escape(status)}</dt><dd>{content}</dd>"
    return f'<h4>Responses</h4><dl class="answers">{good}</dl><h4>Errors</h4><p class="chips">{errors}</p>'


def _errors() -> Iterator[str]:
    for kind, answer in PROBLEM_TYPES.items():
        code, note = escape(kind.code), " <b>retryable</b>" if kind.retryable else ""
        content = _paragraph(" ".join(dict.fromkeys([f"{answer.title}.", kind.__doc__ or ""])))
        yield f'<div id="{code}"><dt><span>{answer.status}</span> <a href="#{code}"><code>{code}</code></a>{note}</dt>'
        yield f"<dd>{content}</dd></div>"


def _words(name: str) -> str:
    """Write a type's name as words: ``TimelineEntry`` as "Timeline entry", ``CheckoutAnswer`` as "Checkout"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Answer")).capitalize()


def _paragraph(text: str, style: str = "text") -> str:
    return f'<p class="{style}">{_inline(text)}</p>' if text else ""


def _inline(text: str) -> str:
    """Escape a text; what stands in backticks becomes code."""
    return IN_BACKTICKS.sub(r"<code>\2</code>", escape(" ".join(text.split())))
