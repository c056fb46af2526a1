"""Errors of the process and its database."""

from paidonce.errors.base import PaidonceError


class InvalidSettings(PaidonceError):
    """The settings are invalid; ``problems`` names every mistake."""

    code = "invalid_settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class EncryptionKeyMissing(PaidonceError):
    """No encryption key is configured for secrets that must be stored encrypted; the request had no effect."""

    code = "encryption_key_missing"

    def __init__(self, key_id: str | None = None) -> None:
        self.key_id = key_id
        missing = "No encryption key is" if key_id is None else f"The encryption key {key_id} is not"
        super().__init__(
            f"{missing} configured. The operator sets PAIDONCE_ENCRYPTION_KEYS; "
            "`paidonce encryption-key` prints a new key."
        )


class Overloaded(PaidonceError):
    """Too many requests are waiting; the request had no effect."""

    code = "overloaded"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Too many requests are waiting. The request had no effect. Retry later.")


class DatabaseUnavailable(PaidonceError):
    """The database does not respond or cannot write; nothing was acknowledged.

    ``is_of_one_node``: it is a distributed database, one of whose nodes is lost; what is stored on others is available.
    """

    code = "database_unavailable"
    retryable = True

    def __init__(self, *, is_of_one_node: bool = False) -> None:
        self.is_of_one_node = is_of_one_node
        super().__init__("The database is not available. Nothing was acknowledged. Retry later.")


class DatabaseInUse(PaidonceError):
    """Another server process is using this SQLite file."""

    code = "database_in_use"


class SchemaOutdated(PaidonceError):
    """The schema of the database is not the schema of this release."""

    code = "schema_outdated"


class CannotDistribute(PaidonceError):
    """The tables cannot be distributed: the database is not the coordinator of a Citus cluster, or not as expected."""

    code = "cannot_distribute"


class DatabaseNotSupported(PaidonceError):
    """The database does not apply the settings that each connection of paidonce begins with."""

    code = "database_not_supported"


class NotDurable(PaidonceError):
    """The database is configured so that a crash can lose committed data."""

    code = "not_durable"
