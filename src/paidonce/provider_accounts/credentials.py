"""A merchant's credentials with a provider: how they are checked, encrypted, and what is shown of them.

No error and no result of this module contains a secret.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from paidonce.encryption import Keyring
from paidonce.errors import FieldError
from paidonce.field_faults import Fault
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.providers.base import Connector

PURPOSE: Final = "provider_account.credentials"
HINT_LENGTH: Final = 4
HINTED_LENGTH_MIN: Final = 13  # Of a shorter secret, four characters would be too large a part.

_decode: Final = msgspec.json.Decoder(dict[str, str]).decode


def find_faults(
    connector: Connector, mode: Literal["test", "live"], credentials: Mapping[str, str]
) -> list[FieldError]:
    """Return what is wrong with credentials, each with a JSON pointer into the body; empty where nothing is."""
    fields = {field.name: field for field in connector.credential_fields}
    known = ", ".join(fields)
    faults = [
        FieldError(_pointer(name), "unknown_field", f"The credentials of {connector.display_name} are: {known}.")
        for name in credentials
        if name not in fields
    ]
    for name, field in fields.items():
        if name not in credentials:
            if field.is_required:
                faults.append(FieldError(_pointer(name), "missing", "This field is required."))
        elif re.fullmatch(field.pattern, credentials[name]) is None:
            fault = Fault("wrong_format", f"a string that matches {field.pattern}", field.description)
            faults.append(FieldError(_pointer(name), fault.code, fault.sentence))
    if faults:
        return faults
    refused = connector.refusal(credentials, mode)
    return [FieldError(_pointer(name), "invalid_value", detail) for name, detail in refused.items()]


def _pointer(name: str) -> str:
    return f"/credentials/{name.replace('~', '~0').replace('/', '~1')}"


def make_hints(connector: Connector, credentials: Mapping[str, str]) -> dict[str, str]:
    """Return what may be shown of credentials: of a secret at most its end."""
    return {
        field.name: _hint(credentials[field.name]) if field.is_secret else credentials[field.name]
        for field in connector.credential_fields
        if field.name in credentials
    }


def _hint(secret: str) -> str:
    return f"…{secret[-HINT_LENGTH:]}" if len(secret) >= HINTED_LENGTH_MIN else "…"


def seal_credentials(keyring: Keyring, credentials: Mapping[str, str], *, merchant_id: str, account_id: str) -> str:
    """Encrypt credentials for the row of one account; raises EncryptionKeyMissing."""
    return keyring.seal(msgspec.json.encode(credentials), PURPOSE, merchant_id, account_id)


def open_credentials(keyring: Keyring, account: ProviderAccount) -> dict[str, str]:
    """Decrypt the credentials of an account; raises EncryptionKeyMissing, or ValueError where they were changed."""
    return _decode(keyring.open(account.credentials, PURPOSE, account.merchant_id, account.id))
