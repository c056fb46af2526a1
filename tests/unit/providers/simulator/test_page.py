"""The page on which a buyer approves or declines: plain HTML, safe whatever a text holds, and once is once."""

from html.parser import HTMLParser

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from paidonce.clock import format_instant
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.calls import Rules
from paidonce.providers.simulator.page import page_routes
from paidonce.providers.simulator.session_books import SessionState, SessionStep
from paidonce.providers.simulator.simulation import Simulation
from paidonce.providers.simulator.wire import SessionBody
from tests.support.simulated_provider import NOW, SimulatedProvider

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
RETURN_URL = "https://shop.example/return/1?a=1&b=%22"


@pytest.fixture
def simulation(provider: SimulatedProvider) -> Simulation:
    return provider.simulation(Rules())


def browser(simulation: Simulation) -> httpx.AsyncClient:
    app = Starlette(routes=[Mount("/simulator/pay", routes=page_routes(simulation))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test/simulator/pay/")


async def opened(simulation: Simulation, *, description: str | None = None, return_url: str = RETURN_URL) -> str:
    body = SessionBody(
        key="att_1",
        amount=1999,
        currency="USD",
        payment_method="hosted",
        capture=True,
        checkout_id="chk_1",
        merchant_id="m1",
        return_url=return_url,
        expires_at=format_instant(NOW + 60_000),
        description=description,
    )
    found = await simulation.open_session(body)
    assert isinstance(found, SessionState)
    return found.session.reference


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for found, attributes in self.found if found == tag]


async def statuses(simulation: Simulation) -> list[str]:
    return [line.status for line in await simulation.charges(ChargePage())]


async def test_the_page_shows_what_is_paid_and_two_buttons_and_needs_no_script(simulation: Simulation) -> None:
    reference = await opened(simulation, description="Two tickets")
    async with browser(simulation) as client:
        page = await client.get(reference)
    elements = Elements(page.text)
    assert page.status_code == 200
    assert "1999 USD" in elements.text
    assert "Two tickets" in elements.text
    assert elements.attributes("button", "formaction") == [f"{reference}/approve", f"{reference}/decline"]
    assert elements.attributes("script", "src") == []


async def test_the_page_is_never_stored_framed_or_scripted(simulation: Simulation) -> None:
    reference = await opened(simulation)
    async with browser(simulation) as client:
        answers = [await client.get(reference), await client.get("ses_none"), await client.post(f"{reference}/approve")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
        assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
        assert "script-src" not in directives
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_html_in_texts_is_shown_as_text(simulation: Simulation, provider: SimulatedProvider) -> None:
    reference = await opened(simulation, description=EVIL, return_url=f"{RETURN_URL}&{EVIL}")
    async with browser(simulation) as client:
        pages = [Elements((await client.get(reference)).text)]
        provider.now += 60_000
        pages.append(Elements((await client.get(reference)).text))
    assert [EVIL in page.text for page in pages] == [True, True]
    assert pages[1].attributes("a", "href") == [f"{RETURN_URL}&{EVIL}"]
    tags = {tag for page in pages for tag, _ in page.found}
    assert tags <= {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "button", "a"}


@pytest.mark.parametrize(("button", "status"), [("approve", "succeeded"), ("decline", "declined")])
async def test_a_button_that_is_pressed_twice_acts_once_and_leads_back_to_the_shop(
    simulation: Simulation, button: str, status: str
) -> None:
    reference = await opened(simulation)
    async with browser(simulation) as client:
        for pressed in (button, button, "approve", "decline"):
            answer = await client.post(f"{reference}/{pressed}")
            assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)
        page = Elements((await client.get(reference)).text)
    assert await statuses(simulation) == [status]
    assert page.attributes("button", "formaction") == []
    assert page.attributes("a", "href") == [RETURN_URL]


async def test_a_page_that_is_only_looked_at_changes_nothing(simulation: Simulation) -> None:
    reference = await opened(simulation)
    async with browser(simulation) as client:
        for path in (reference, f"{reference}/approve", f"{reference}/decline"):
            await client.get(path)
    found = await simulation.find_session(reference)
    assert found is not None
    assert found.session.status == "open"


async def test_a_session_that_has_ended_offers_nothing_to_press(
    simulation: Simulation, provider: SimulatedProvider
) -> None:
    reference = await opened(simulation)
    async with browser(simulation) as client:
        await simulation.step_session(reference, SessionStep.CLOSE)
        closed = Elements((await client.get(reference)).text)
        assert (await client.post(f"{reference}/approve")).status_code == 303
        provider.now += 60_000
        ended = Elements((await client.get(reference)).text)
    assert closed.attributes("button", "formaction") == ended.attributes("button", "formaction") == []
    assert "Nothing was charged." in closed.text
    assert await statuses(simulation) == []


async def test_a_page_of_no_session_is_not_found(simulation: Simulation) -> None:
    async with browser(simulation) as client:
        answers = [
            await client.get("ses_none"),
            await client.post("ses_none/approve"),
            await client.post("ses_none/decline"),
        ]
    assert [answer.status_code for answer in answers] == [404] * 3
