"""What every page must be: accessible by axe-core's rules, and no wider than its window."""

from collections.abc import Iterator
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# The rightmost edge of what a page shows, and the elements that reach beyond the window. What scrolls inside a box of
# its own does not count: a page itself must not scroll sideways.
TOO_WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolls = one => one && (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter(one => one.getBoundingClientRect().right > width + 1 && !scrolls(one.parentElement))
    .map(one => `${one.tagName.toLowerCase()}.${one.className}: ${(one.textContent || "").trim().slice(0, 40)}`);
}"""


def check_page(page: Page) -> None:
    """Fail with all that is wrong with a page. Its scripts must be on, because axe-core is one."""
    problems = [*accessibility_problems(page), *layout_problems(page)]
    assert problems == [], f"{page.url}: " + "\n".join(["", *problems])


def accessibility_problems(page: Page) -> Iterator[str]:
    """Yield the violations of WCAG 2.2 AA that axe-core finds. The debugger runs it, so that no policy prevents it."""
    options = {"runOnly": {"type": "tag", "values": list(RULES)}, "resultTypes": ["violations"]}
    found: dict[str, Any] = Axe().run(page, options=options).response
    for violation in found["violations"]:
        for node in violation["nodes"]:
            yield f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node['failureSummary']})"


def layout_problems(page: Page) -> Iterator[str]:
    """Yield what makes a page scroll sideways."""
    for element in page.evaluate(TOO_WIDE):
        yield f"wider than the window: {element}"


def expect_visible_focus(page: Page) -> None:
    """Fail where the focused element has no outline."""
    style = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    width = page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth")
    assert (style, width) != ("none", "0px"), "nothing shows where the focus is"
