"""A stored secret can be decrypted in its own row only."""

import pytest

from paidonce.encryption import Keyring
from paidonce.errors import EncryptionKeyMissing
from paidonce.idempotency.model import ScopedKey
from paidonce.idempotency.secrets import StoredSecret, open_stored_secret, seal_stored_secret
from paidonce.ids import secret_bytes

KEPT = StoredSecret("m", "whisper")
NAME = ScopedKey("m", "test", "k")


def ring(*keys: bytes) -> Keyring:
    return Keyring(lambda: keys, draw=secret_bytes)


def test_a_kept_secret_opens_in_its_own_row_and_is_not_in_the_text() -> None:
    encryption = ring(bytes(32))
    sealed = seal_stored_secret(encryption, KEPT, NAME)
    assert open_stored_secret(encryption, sealed, NAME) == KEPT
    assert "whisper" not in sealed


@pytest.mark.parametrize("other", [("m", "l"), ("n", "k"), ("mk", ""), ("", "mk")])
def test_a_kept_secret_does_not_open_in_another_row(other: tuple[str, str]) -> None:
    encryption = ring(bytes(32))
    with pytest.raises(ValueError, match="belongs to another row"):
        open_stored_secret(
            encryption, seal_stored_secret(encryption, KEPT, NAME), ScopedKey(other[0], "test", other[1])
        )


def test_a_kept_secret_does_not_open_in_the_row_of_the_same_key_in_the_other_mode() -> None:
    encryption, live = ring(bytes(32)), ScopedKey("m", "live", "k")
    sealed = seal_stored_secret(encryption, KEPT, live)
    assert open_stored_secret(encryption, sealed, live) == KEPT
    with pytest.raises(ValueError, match="belongs to another row"):
        open_stored_secret(encryption, sealed, NAME)
    with pytest.raises(ValueError, match="belongs to another row"):
        open_stored_secret(encryption, seal_stored_secret(encryption, KEPT, NAME), live)


def test_a_webhook_endpoints_secret_is_none_of_an_idempotency_key() -> None:
    encryption = ring(bytes(32))
    with pytest.raises(ValueError, match="belongs to another row"):
        open_stored_secret(encryption, encryption.seal(b"{}", "webhook_endpoint.secret", "m", "k"), NAME)


def test_without_an_encryption_key_nothing_is_encrypted_or_decrypted() -> None:
    sealed = seal_stored_secret(ring(bytes(32)), KEPT, NAME)
    with pytest.raises(EncryptionKeyMissing):
        seal_stored_secret(ring(), KEPT, NAME)
    with pytest.raises(EncryptionKeyMissing):
        open_stored_secret(ring(bytes(range(32))), sealed, NAME)


def test_the_form_of_a_kept_secret_never_changes() -> None:
    """Rows outlive a release: this one was stored by the first."""
    sealed = FIRST
    assert open_stored_secret(ring(bytes(32)), sealed, NAME) == KEPT


FIRST = "v1.8f5c8cea98bf.AAECAwQFBgcICQoL8-lAOm-K4aa2F3Df3278IHYfzfnN-PvU9emTY-RGfwqe1cEo2wA7EpymSTCzt5D5GIDA"
