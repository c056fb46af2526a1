"""The OpenAPI document as one page of HTML, without a script and without a request to another host."""

from typing import Any


def render_docs(document: dict[str, Any]) -> str:
    """Render the document."""
    return f"<!doctype html><title>{document['info']['title']}</title>"
