"""What a server prints when it listens: where it is, what to try first, and links for a browser."""

from typing import Final, NamedTuple
from urllib.parse import urlencode

import click

from paidonce import ids
from paidonce.cli.demo import MERCHANT, demo_checkout
from paidonce.cli.users import link_url
from paidonce.dashboard.paths import tenant_path
from paidonce.merchants.model import Mode
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.users.first_user import FirstLink, link_first_users
from paidonce.users.model import hash_token

DEMO_PAYMENTS: Final = f"{tenant_path(MERCHANT, Mode.TEST)}/payments"  # The page that shows the payment of the demo.


class Links(NamedTuple):
    """The token of a one-time link to the dashboard, and that of a checkout's page; None where it is not shown."""

    log_in_token: str | None = None
    demo_token: str | None = None


async def make_links(service: Service, *, with_demo: bool) -> Links:
    """Make the links of a server for development: to log in while nobody has logged in yet, and to pay a demo checkout
    where one is wanted.
    """
    return Links(await _log_in_token(service), await _demo_token(service) if with_demo else None)


async def _log_in_token(service: Service) -> str | None:
    if service.settings.dashboard == "off":
        return None
    token = ids.new_token()
    wanted = FirstLink(ids.new_id(ids.USER), hash_token(token))
    return token if await service.writer.submit(link_first_users, wanted) else None


async def _demo_token(service: Service) -> str | None:
    if not service.page_tokens.exist:
        return None
    return service.page_tokens.token_of((await demo_checkout(service)).id)


def announce(settings: Settings, links: Links, url: str) -> None:
    """Print where the service is, and what to try first."""
    (_announce_without_keys if settings.auth == "off" else _announce_with_keys)(url)
    if links.demo_token is not None:
        click.echo(f"Pay a demo checkout, in a browser (no money moves):\n  {url}/pay/{links.demo_token}\n")
    if links.log_in_token is not None:
        link = link_url(url, links.log_in_token)
        if links.demo_token is not None:
            link += f"?{urlencode({'next': DEMO_PAYMENTS})}"
        click.echo(f"Log in to the dashboard with this link, once, within 15 minutes:\n  {link}\n")
    elif settings.dashboard == "on":
        click.echo(
            f"The dashboard is at {url}/dashboard. To log in: paidonce users link EMAIL\n"
            "  (the first time: paidonce users create EMAIL --role operator)\n"
        )


def _announce_without_keys(url: str) -> None:
    click.echo(
        f"""
paidonce is at     {url}
documentation at   {url}/docs

  curl -X POST {url}/checkouts \\
    -H "Content-Type: application/json" \\
    -d '{{"merchantId":"m123","amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
  curl {url}/checkouts/<checkout_id>
  curl -X POST {url}/checkouts/<checkout_id>/pay
"""
    )


def _announce_with_keys(url: str) -> None:
    click.echo(
        f"""
paidonce is at     {url}
documentation at   {url}/docs

Every call needs an API key. Create one with
  paidonce merchants create m123
  paidonce keys create m123

  curl -X POST {url}/checkouts \\
    -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"amount":1000,"currency":"USD","idempotencyKey":"abc123"}}'
"""
    )
