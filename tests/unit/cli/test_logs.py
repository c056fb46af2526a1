"""Log lines contain no secrets, whichever field they come from."""

import logging
from typing import Literal

import pytest
import structlog

from paidonce.cli.logs import configure_logs
from paidonce.settings import Settings

KEY = "sk_" + "live_0123456789abcdef"


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_in_every_field_and_in_tracebacks(
    form: Literal["json", "console"], capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs(Settings(log_format=form))
    try:
        raise ValueError(f"no such key: {KEY}")  # noqa: TRY301 - as deep as it needs to be
    except ValueError:
        structlog.get_logger().exception("failed", path="/checkouts/4242424242424242", headers={"authorization": KEY})
    logging.getLogger("somebody_elses").warning("Authorization: Bearer %s", KEY)
    output = capfd.readouterr().err
    assert output.count("sk_…") + output.count("Bearer …") >= 3
    assert "4242424242424242" not in output
    assert KEY not in output
