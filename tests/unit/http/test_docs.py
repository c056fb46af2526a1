"""The page of documents holds everything that the document does, and asks nothing of any other host."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from paidonce.http.docs import render_docs
from paidonce.http.openapi import build_document
from paidonce.http.problems import PROBLEM_TYPES
from paidonce.http.routes import OPERATIONS

Json = dict[str, Any]

# Until the handlers say NamedDependency and FromPath.
pytestmark = pytest.mark.filterwarnings("ignore:.*(Inferred dependency|deprecated inferred style)")

LOADING = {"script", "link", "img", "iframe", "object", "embed", "audio", "video", "source", "base", "form"}


class Page(HTMLParser):
    """What a browser would see of a page: its anchors, links, tags, attributes, and the text of its examples."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.examples: list[str] = []
        self._in_example = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= given.keys()
        self.anchors += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag == "pre":
            self._in_example = True
            self.examples.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_example = self._in_example and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._in_example:
            self.examples[-1] += data


@pytest.fixture(scope="module")
def document() -> Json:
    return build_document(OPERATIONS)


@pytest.fixture(scope="module")
def page(document: Json) -> Page:
    return Page(render_docs(document))


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_operation_has_its_anchor(document: Json, page: Page) -> None:
    ids = {operation["operationId"] for _, _, operation in operations(document)}
    assert len(ids) >= 10
    assert ids - set(page.anchors) == set()


def test_every_error_code_has_the_anchor_that_its_type_leads_to(page: Page) -> None:
    assert {kind.code for kind in PROBLEM_TYPES} - set(page.anchors) == set()


def test_no_anchor_is_there_twice(page: Page) -> None:
    assert [anchor for anchor, count in Counter(page.anchors).items() if count > 1] == []


def test_every_link_inside_leads_somewhere(page: Page) -> None:
    assert {link for link in page.links if link.startswith("#")} - {f"#{anchor}" for anchor in page.anchors} == set()


def test_the_page_needs_no_script_and_no_other_host(document: Json, page: Page) -> None:
    assert page.tags & LOADING == set()
    assert {name for name in page.attributes if name.startswith("on") or name in ("src", "srcset", "style")} == set()
    assert {link for link in page.links if not re.match(r"#|/[^/]", link)} == set()
    assert re.findall(r"url\(|@import|@font-face", render_docs(document)) == []


def test_the_page_shows_every_parameter_and_every_field(document: Json) -> None:
    shown = set(re.findall(r"<dt><code>([^<]+)</code>", render_docs(document)))
    parameters = {one["name"] for _, _, said in operations(document) for one in said.get("parameters", [])}
    fields = {name for one in document["components"]["schemas"].values() for name in one.get("properties", {})}
    assert (parameters | fields) - shown == set()


def test_an_example_can_be_pasted_into_a_shell(document: Json, page: Page) -> None:
    called = [shlex.split(example) for example in page.examples]
    assert len(called) == len(list(operations(document)))
    create = next(words for words in called if words[1:4] == ["-X", "POST", "http://localhost:3000/checkouts"])
    assert "Content-Type: application/json" in create
    body = document["paths"]["/checkouts"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert json.loads(create[create.index("-d") + 1]) == body


def test_examples_call_the_service_where_it_is(document: Json) -> None:
    examples = Page(render_docs(document, "http://127.0.0.1:3177/")).examples
    assert "curl http://127.0.0.1:3177/health/live" in examples


def test_what_a_document_says_is_text_and_never_markup(document: Json) -> None:
    hostile = '<script>alert("1")</script><img src=x onerror=alert(1)>'
    operation = {
        "operationId": "hostile",
        "summary": hostile,
        "description": f"`{hostile}`",
        "tags": ["Checkouts"],
        "parameters": [
            {"name": hostile, "in": "query", "description": hostile, "schema": {"enum": [hostile], "pattern": hostile}}
        ],
        "responses": {"200": {"description": hostile, "headers": {hostile: {}}, "content": {}}},
    }
    page = Page(render_docs(document | {"paths": {f"/{hostile}": {"get": operation}}}, hostile))
    assert page.tags & LOADING == set()
    assert {name for name in page.attributes if name.startswith("on")} == set()
    assert hostile in page.examples[0]
