"""People steer a merchant on the dashboard: with a mouse, with a mouse and without scripts, and with the keyboard."""

import re
from base64 import b64decode
from collections.abc import Callable
from typing import NamedTuple

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.checkouts import merchant_of
from tests.browser.judging import check_page
from tests.browser.looks import DESKTOP, WITHOUT_SCRIPTS, Look
from tests.browser.people import People
from tests.browser.shown_data import CREDENTIALS, post
from tests.support.images import PNG
from tests.support.service_process import ServiceProcess, wait_until

NewPage = Callable[..., Page]
TABS_MAX = 150


class Way(NamedTuple):
    """How a person uses a page."""

    name: str
    look: Look = DESKTOP
    has_mouse: bool = True

    @property
    def id(self) -> str:
        return f"{self.name.replace(' ', '-')}"


WAYS = (Way("mouse"), Way("mouse without scripts", WITHOUT_SCRIPTS), Way("keyboard", has_mouse=False))
in_each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


class Person:
    """Somebody who uses the dashboard in one way."""

    def __init__(self, page: Page, way: Way) -> None:
        self.page = page
        self._way = way
        page.on("dialog", lambda dialog: dialog.accept())

    def go_to(self, locator: Locator) -> None:
        """Move the focus to an element with the keys, as somebody does who has no mouse."""
        for _ in range(TABS_MAX):
            self.page.keyboard.press("Tab")
            if locator.evaluate("one => one === document.activeElement"):
                return
        pytest.fail(f"the Tab key does not lead to {locator}")

    def press(self, name: str, role: str = "button") -> None:
        found = self.page.get_by_role(role, name=re.compile(name)).first
        self.use(found)

    def use(self, found: Locator) -> None:
        if self._way.has_mouse:
            found.click()
        else:
            self.go_to(found)
            self.page.keyboard.press("Space" if found.get_attribute("type") == "checkbox" else "Enter")

    def fill(self, label: str, text: str) -> None:
        found = self.page.get_by_label(label, exact=True).first
        if self._way.has_mouse or found.get_attribute("type") == "date":
            found.fill(text)
        else:
            self.go_to(found)
            self.page.keyboard.press("ControlOrMeta+a")
            self.page.keyboard.type(text)

    def expect_told(self, text: str) -> None:
        expect(self.page.locator(".flash")).to_contain_text(text)

    def secret(self) -> str:
        shown = self.page.locator("output.secret")
        expect(shown).to_be_visible()
        return str(shown.inner_text())


@pytest.fixture
def open_as(new_page: NewPage, people: People) -> Callable[[Way, str, str], Person]:
    def open_page(way: Way, role: str, path: str) -> Person:
        page = new_page(way.look, people.session(role))
        page.goto(people.url(path))
        return Person(page, way)

    return open_page


OpenAs = Callable[[Way, str, str], Person]
TENANT = "/m/{merchant_id}/{mode}"


@in_each_way
def test_an_admin_makes_changes_and_deletes_a_webhook_endpoint(open_as: OpenAs, way: Way) -> None:
    person = open_as(way, "admin", f"{TENANT}/webhooks")
    person.fill("URL", f"http://127.0.0.1:9/{way.id}")
    person.press("Create the endpoint")
    first = person.secret()
    assert first.startswith("whsec_")
    person.press("To the endpoint", "link")
    person.press("^Pause")
    person.expect_told("is paused")
    person.press("^Resume")
    person.expect_told("is resumed")
    person.press("Rotate the secret")
    assert person.secret() not in ("", first)
    person.press("To the endpoint", "link")
    person.fill("Description", "Changed")
    person.press("^Save")
    person.expect_told("is changed")
    expect(person.page.get_by_role("definition").filter(has_text="Changed")).to_be_visible()
    person.press("^Delete")
    person.expect_told("is deleted")
    expect(person.page.get_by_role("link", name=f"/{way.id}")).to_have_count(0)


@in_each_way
def test_an_admin_sends_a_test_event_one_delivery_and_a_range_again(open_as: OpenAs, way: Way) -> None:
    person = open_as(way, "admin", f"{TENANT}/webhooks/{{endpoint_id}}")
    person.press("Send a test event")
    person.expect_told("A test event is being sent.")
    person.press("Send again")
    person.expect_told("It is being sent again.")
    person.page.goto(person.page.locator("dd a[href*='/webhooks/']").first.evaluate("one => one.href"))
    person.fill("From event number", "1")
    person.fill("To event number", "2")
    person.press("Send the range again")
    person.expect_told("being sent again")
    person.fill("All that failed since", "2020-01-01")
    person.press("Send what failed again")
    person.expect_told("failed deliveries are being sent again")


@in_each_way
def test_an_admin_makes_a_key_whose_secret_is_shown_to_this_form_alone_and_revokes_it(
    open_as: OpenAs, way: Way
) -> None:
    person = open_as(way, "admin", f"{TENANT}/keys")
    page = person.page
    count = page.get_by_role("button", name=re.compile("^Revoke")).count()
    person.use(page.get_by_label("checkouts:read", exact=True))
    person.press("Create the key")
    secret = person.secret()
    page.reload()  # The form is sent again.
    assert person.secret() == secret
    if way.look.has_scripts:
        check_page(page)
    person.press("All API keys", "link")
    expect(page.get_by_role("heading", level=1)).to_have_text("API keys")
    assert secret not in page.content()
    revoke = page.get_by_role("button", name=re.compile("^Revoke"))
    expect(revoke).to_have_count(count + 1)
    person.use(revoke.first)
    person.expect_told("is revoked")
    expect(revoke).to_have_count(count)


@in_each_way
def test_an_admin_adds_a_provider_account_replaces_its_credentials_and_disables_it(open_as: OpenAs, way: Way) -> None:
    person = open_as(way, "admin", f"{TENANT}/accounts?provider=stripe")
    person.fill("Name", f"Account by {way.name}")
    for name, value in CREDENTIALS.items():
        person.fill(name, value)
    person.press("Add the account")
    person.expect_told("is added")
    person.press("Check the credentials")
    person.expect_told("Stripe could not be reached")
    person.fill("secretKey", CREDENTIALS["secretKey"].replace("0", "1"))
    person.fill("webhookSecret", CREDENTIALS["webhookSecret"])
    person.press("^Replace")
    person.expect_told("are replaced")
    for secret in CREDENTIALS.values():
        assert secret not in person.page.content()
    person.fill("Position", "9")
    person.press("^Save")
    person.expect_told("is changed")
    person.press(f"Account by {way.name}$", "link")
    person.press("^Disable")
    person.expect_told("takes no new payments")
    person.press("^Enable")
    person.expect_told("can be used again")
    person.press("^Disable")
    person.expect_told("takes no new payments")


@in_each_way
def test_an_admin_changes_the_branding_with_a_logo(open_as: OpenAs, way: Way) -> None:
    person = open_as(way, "admin", f"{TENANT}/branding")
    logo = {"name": "logo.png", "mimeType": "image/png", "buffer": b64decode(PNG)}
    person.fill("Name", f"Shop by {way.name}")
    person.fill("Color of the button", "#0a5c36")
    person.page.get_by_label("Logo", exact=True).set_input_files(logo)
    person.press("^Save")
    person.expect_told("was changed")
    expect(person.page.get_by_role("img", name="The logo")).to_be_visible()
    expect(person.page.get_by_text(f"Shop by {way.name}", exact=True)).to_be_visible()
    person.use(person.page.get_by_label("Remove the logo"))
    person.press("^Save")
    person.expect_told("was changed")
    expect(person.page.get_by_role("img", name="The logo")).to_have_count(0)


@in_each_way
def test_an_operator_creates_a_merchant_and_is_led_to_its_keys(open_as: OpenAs, way: Way) -> None:
    person = open_as(way, "operator", "/operator/merchants")
    person.fill("Id", f"m_by_{way.id}")
    person.press("Create the merchant")
    person.expect_told(f"The merchant m_by_{way.id} exists.")
    assert person.page.url.endswith(f"/m/m_by_{way.id}/test/keys")


@in_each_way
def test_an_operator_records_the_outcome_of_an_attempt(
    open_as: OpenAs, service: ServiceProcess, people: People, way: Way
) -> None:
    with merchant_of(service, people.shown.merchant_id) as merchant:
        checkout = merchant.checkout()
        post(merchant, f"/checkouts/{checkout['id']}/pay", paymentMethod="tok_other_amount")
        wait_until(lambda: merchant.read(checkout)["attempt"]["status"] == "NEEDS_REVIEW")
        attempt_id = merchant.read(checkout)["attempt"]["id"]
        person = open_as(way, "operator", "/operator/review")
        person.use(person.page.get_by_role("link", name=attempt_id))
        person.fill("The provider's reference of what took place", f"ch_by_{way.id.replace('-', '_')}")
        person.press("It took place")
        person.expect_told("The attempt is SUCCEEDED now.")
        assert merchant.read(checkout)["status"] == "COMPLETED"
