"""The pages of checkouts in each language: every message is translated, and no page is half in English."""

import re
import tomllib
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from paidonce.buyer_pages.texts import DECLINED, decline_text
from paidonce.pages.languages import CODES
from paidonce.pages.translations import load_translations
from paidonce.providers.evidence import Declined, Succeeded, Unknown
from tests.support.buyer_pages import BuyerPagesShop

PACKAGE: Final = "paidonce.buyer_pages"
FOLDER: Final = Path(str(files(PACKAGE)))
TRANSLATED: Final = [code for code in CODES if code != "en"]
PLACEHOLDER: Final = re.compile(r"%\(\w+\)s|%%|%")

# What a page says in each language where it can be paid.
PAY: Final = {
    "en": ("Pay $1,234.50", "Your bank did not approve this payment.", "You have 4 attempts left."),
    "de": ("1.234,50\u00a0$ bezahlen", "Ihre Bank hat diese Zahlung nicht genehmigt.", "Sie haben noch 4 Versuche."),
    "fr": (
        "Payer 1\u202f234,50\u00a0$US",
        "Votre banque n’a pas autorisé ce paiement.",  # noqa: RUF001 - as French is written
        "Il vous reste 4 tentatives.",
    ),
    "es": ("Pagar 1.234,50\u00a0US$", "Su banco no ha autorizado este pago.", "Le quedan 4 intentos."),
    "it": ("Paga 1.234,50\u00a0USD", "La Sua banca non ha autorizzato questo pagamento.", "Le restano 4 tentativi."),
    "nl": ("US$\u00a01.234,50 betalen", "Uw bank heeft deze betaling niet goedgekeurd.", "U hebt nog 4 pogingen."),
    "pt": ("Pagar US$\u00a01.234,50", "O seu banco não autorizou este pagamento.", "Restam 4 tentativas."),
    "pl": ("Zapłać 1\u00a0234,50\u00a0USD", "Bank nie zatwierdził tej płatności.", "Pozostały 4 próby."),
    "sv": ("Betala 1\u00a0234,50\u00a0US$", "Din bank godkände inte betalningen.", "Du har 4 försök kvar."),
    "ja": ("$1,234.50 を支払う", "銀行がこのお支払いを承認しませんでした。", "あと4回お試しいただけます。"),
}


@cache
def messages() -> dict[object, None]:
    """Collect the messages of the package, as `make translations` does."""
    root = Path(__file__).parents[3]
    mappings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    method_map = [(one["pattern"], one["method"]) for one in mappings]
    options = {
        one["pattern"]: {key: value for key, value in one.items() if key not in ("method", "pattern")}
        for one in mappings
    }
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
    found = extract_from_dir(FOLDER, method_map, options, keywords)
    return {message: None for _, _, message, _, _ in found}


def catalogue(code: str) -> Catalog:
    with (FOLDER / "locale" / code / "LC_MESSAGES" / "messages.po").open("rb") as source:
        return read_po(source, locale=code)


def translations(code: str) -> list[Message]:
    return [message for message in catalogue(code) if message.id]


def texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def test_every_language_but_english_has_a_catalogue_and_no_other_has() -> None:
    assert sorted(path.name for path in (FOLDER / "locale").iterdir()) == sorted(TRANSLATED)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_and_no_catalogue_has_another(code: str) -> None:
    found = translations(code)
    assert len(messages()) >= 50
    assert {message.id for message in found} == set(messages())
    assert catalogue(code).obsolete == {}
    missing = [message.id for message in found if message.fuzzy or not all(texts(message.string))]
    assert missing == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_message(code: str) -> None:
    wrong = []
    for message in translations(code):
        wanted = sorted(PLACEHOLDER.findall(texts(message.id)[0]))
        wrong += [text for text in texts(message.string) if sorted(PLACEHOLDER.findall(text)) != wanted]
    assert wrong == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_holds_no_markup_and_no_space_at_its_ends(code: str) -> None:
    every = [text for message in translations(code) for text in texts(message.string)]
    assert [text for text in every if re.search(r"[<>&]|^\s|\s$|\s\s", text)] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_each_decline_has_words_in_each_language(code: str) -> None:
    known = load_translations(PACKAGE, code)
    for decline in DECLINED:
        assert known.gettext(decline_text(decline)) != decline_text(decline)


def test_polish_has_the_words_for_one_for_few_and_for_many() -> None:
    known = load_translations(PACKAGE, "pl")
    both = "You have %(count)s attempt left.", "You have %(count)s attempts left."
    shown = [known.ngettext(*both, count) % {"count": count} for count in (1, 2, 5)]
    assert shown == ["Pozostała 1 próba.", "Pozostały 2 próby.", "Pozostało 5 prób."]


async def page(shop: BuyerPagesShop, url: str, accepted: str) -> str:
    """Return what a buyer with this language reads, without the markup."""
    shown = (await shop.http.get(url, headers={"Accept-Language": accepted})).text
    return unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "\n", shown, flags=re.DOTALL))


def english_in(text: str, code: str) -> list[str]:
    """Find messages that a page shows in English, although they are another text in its language."""
    lines = {line.strip() for line in text.splitlines()}
    told = [one for message in messages() for one in texts(message) if "%" not in one and one in lines]
    return [one for one in told if code == "en" or load_translations(PACKAGE, code).gettext(one) != one]


@pytest.mark.parametrize("code", CODES)
async def test_a_page_is_whole_in_each_language_from_the_form_to_the_receipt(shop: BuyerPagesShop, code: str) -> None:
    checkout = await shop.checkout(amount=123450, description="Due tazze", cancelUrl="https://shop.example/cart")
    button, declined, left = PAY[code]
    read = [await page(shop, checkout["url"], code)]
    assert button in read[0]
    await shop.pay(checkout)
    read.append(await page(shop, checkout["url"], code))
    await shop.prove(checkout, Declined("do_not_honor"))
    read.append(await page(shop, checkout["url"], code))
    assert declined in read[-1]
    assert left in read[-1]
    await shop.pay(checkout)
    await shop.prove(checkout, Unknown("timeout"))
    read.append(await page(shop, checkout["url"], code))
    await shop.prove(checkout, Succeeded("ch_1"))
    read.append(await page(shop, checkout["url"], code))
    assert "2023" in read[-1]
    read.append(await page(shop, f"{checkout['url'][:-1]}_", code))  # There is no such payment.
    assert [bool(english_in(text, code)) for text in read] == [code == "en"] * len(read)


async def test_a_page_names_its_language_for_the_browser_and_for_readers(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    shown = await shop.http.get(checkout["url"], headers={"Accept-Language": "de-AT, de;q=0.9"})
    assert '<html lang="de-AT" dir="ltr">' in shown.text
    assert "$\u00a010,00 bezahlen" in shown.text


async def test_a_link_that_names_a_language_keeps_it_through_the_payment(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    shown = await shop.http.get(f"{checkout['url']}?lang=ja", headers={"Accept-Language": "de"})
    assert "お支払い" in shown.text
    action = re.search(r'<form method="post" action="([^"]*)"', shown.text)
    assert action is not None
    assert action[1].endswith("?lang=ja")
    posted = await shop.http.post(action[1], data={"attempt": "x"})
    assert posted.headers["location"].endswith("?lang=ja")
    for rubbish in ("%22%3E%3Cscript%3E", "xx", ""):
        shown = await shop.http.get(f"{checkout['url']}?lang={rubbish}")
        assert (shown.status_code, "<script>" in shown.text) == (200, False)
