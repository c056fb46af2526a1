"""What a server prints when it listens."""

from typing import Literal

import pytest

from paidonce.cli.announcing import Links, announce
from paidonce.settings import Settings

URL = "http://localhost:3000"


def printed(links: Links, capsys: pytest.CaptureFixture[str], *, dashboard: Literal["on", "off"] = "on") -> list[str]:
    announce(Settings(auth="off", dashboard=dashboard), links, URL)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_log_in_leads_to_the_payments_of_the_demo_where_its_checkout_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(Links("log-in", "demo"), capsys)
    assert f"{URL}/pay/demo" in lines
    assert f"{URL}/dashboard/login/log-in?next=%2Fdashboard%2Fm%2Fdemo%2Ftest%2Fpayments" in lines


def test_without_a_demo_the_log_in_leads_to_the_start_page(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(Links("log-in"), capsys)
    assert f"{URL}/dashboard/login/log-in" in lines
    assert not any("/pay/" in line and "checkouts" not in line for line in lines)


def test_once_somebody_has_logged_in_the_dashboard_is_named_without_a_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"The dashboard is at {URL}/dashboard. To log in: paidonce users link EMAIL" in printed(Links(), capsys)
    assert not any("dashboard" in line for line in printed(Links(), capsys, dashboard="off"))
