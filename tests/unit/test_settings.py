"""Settings: from the environment and .env, all problems reported at once, and no password in messages."""

from pathlib import Path

import msgspec
import pytest

from paidonce.errors import InvalidSettings
from paidonce.settings import Settings, environment_name, is_loopback, load_settings


def problems_of(dotenv: Path | None = None, **environment: str) -> list[str]:
    with pytest.raises(InvalidSettings) as refused:
        load_settings(environment, dotenv)
    return refused.value.problems


def test_nothing_needs_to_be_set() -> None:
    assert load_settings({}) == Settings()


def test_every_bad_setting_is_named_at_once() -> None:
    problems = problems_of(
        PORT="70000",
        HOST="0.0.0.0",
        DATABASE_URL="mysql://host/shop",
        PAIDONCE_LOG_LEVEL="loud",
        PAIDONCE_QUEUE_LIMIT="many",
        PAIDONCE_POLL_SECONDS="0",
        PAIDONCE_COLOUR="red",
    )
    names = {problem.split("=")[0].split(":")[0] for problem in problems}
    assert names == {
        "PORT",
        "HOST",
        "DATABASE_URL",
        "PAIDONCE_LOG_LEVEL",
        "PAIDONCE_QUEUE_LIMIT",
        "PAIDONCE_POLL_SECONDS",
        "PAIDONCE_COLOUR",
    }


@pytest.mark.parametrize(
    "name",
    [
        "PAIDONCE_ADYEN_URL",
        "PAIDONCE_MOLLIE_URL",
        "PAIDONCE_PAYPAL_URL",
        "PAIDONCE_SIMULATOR_URL",
        "PAIDONCE_STRIPE_URL",
    ],
)
@pytest.mark.parametrize("url", ["stripe.example", "ftp://stripe.example", "https://", "https://u:hunter2@host/v1"])
def test_a_url_of_a_provider_that_is_none_is_named_without_its_password(name: str, url: str) -> None:
    [problem] = problems_of(None, **{name: url})
    assert problem.startswith(f"{name}=")
    assert "hunter2" not in problem
    load_settings({name: "http://127.0.0.1:9"})


def test_the_environment_is_read() -> None:
    settings = load_settings({"PORT": "8080", "PAIDONCE_LEASE_SECONDS": "45.5", "PAIDONCE_LOG_FORMAT": "json"})
    assert (settings.port, settings.lease_seconds, settings.log_format) == (8080, 45.5, "json")


def test_dotenv_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text('# a comment\nPORT=8080\nexport PAIDONCE_LOG_LEVEL="debug"\nEMPTY\n')
    settings = load_settings({"PORT": "9090"}, dotenv)
    assert (settings.port, settings.log_level) == (9090, "debug")


def test_what_is_wrong_in_dotenv_is_refused_too(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PAIDONCE_PORT=8080\nPORT=high\n")
    assert len(problems_of(dotenv)) == 2


def test_a_dotenv_that_is_not_there_is_no_mistake(tmp_path: Path) -> None:
    assert load_settings({}, tmp_path / ".env") == Settings()


def test_an_empty_value_means_the_default() -> None:
    assert load_settings({"PORT": "", "DATABASE_URL": ""}) == Settings()


def test_spaces_around_a_value_are_none_of_it() -> None:
    assert load_settings({"PORT": " 8080 ", "HOST": " ::1 "}) == Settings(port=8080, host="::1")


def test_an_unknown_setting_of_ours_is_refused_with_the_nearest_that_is_known() -> None:
    (problem,) = problems_of(PAIDONCE_LEASE_SECOND="30")
    assert problem == "PAIDONCE_LEASE_SECOND: unknown setting; did you mean PAIDONCE_LEASE_SECONDS?"


def test_a_setting_of_somebody_elses_is_left_alone() -> None:
    assert load_settings({"PATH": "/bin", "PGHOST": "db", "MY_PAIDONCE_PORT": "x"}) == Settings()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@host/shop",
        "postgresql://root:hunter2@host:port/shop",
        "postgresql://root:hunter2@host:99999/shop?password=hunter2",
        "postgresql://host:99999/shop?password=hunter2",
        "root:hunter2@host/shop",
    ],
)
def test_a_database_url_that_is_refused_is_named_without_its_password(url: str) -> None:
    (problem,) = problems_of(DATABASE_URL=url)
    assert problem.startswith("DATABASE_URL=")
    assert "hunter2" not in problem


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "paidonce.example", "127.0.0.1.example"])
def test_without_authentication_no_address_but_loopback_is_listened_on(host: str) -> None:
    (problem,) = problems_of(HOST=host)
    assert problem.startswith(f"HOST={host}: without authentication")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "127.0.0.1"])
def test_with_keys_any_address_is_listened_on(host: str) -> None:
    assert load_settings({"HOST": host, "PAIDONCE_AUTH": "keys"}) == Settings(host=host, auth="keys")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_has_several_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(("lease", "timeout"), [("20", "20"), ("10", "20")])
def test_a_lease_must_outlive_a_call_to_the_provider(lease: str, timeout: str) -> None:
    (problem,) = problems_of(PAIDONCE_LEASE_SECONDS=lease, PAIDONCE_PROVIDER_TIMEOUT_SECONDS=timeout)
    assert problem.startswith(f"PAIDONCE_LEASE_SECONDS={lease} must be longer")


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e9", "0x10", ""])
def test_a_number_of_seconds_is_a_real_one_within_its_range(number: str) -> None:
    if number:
        assert problems_of(PAIDONCE_SHUTDOWN_SECONDS=number)
    else:
        assert load_settings({"PAIDONCE_SHUTDOWN_SECONDS": number}) == Settings()


def test_the_simulator_keeps_its_books_in_a_file_of_its_own() -> None:
    assert Settings(database_url="file:./shop.db").simulator_books.path == Path("shop.simulator.db")
    assert Settings(database_url="file::memory:").simulator_books.path is None
    assert Settings(database_url="postgresql://host/shop").simulator_books.dialect == "sqlite"
    assert problems_of(PAIDONCE_SIMULATOR_DATABASE="postgresql://host/books")


def test_every_setting_says_what_it_is_for_and_has_a_name_of_its_own() -> None:
    fields = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert len({environment_name(name) for name in fields}) == len(fields)
