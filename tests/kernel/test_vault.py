"""Secrets at rest: what was sealed opens here and nowhere else."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from megahub.kernel import vault
from megahub.kernel.vault import KEY_BYTES, Sealed

SECRET = "sk-canary-Zx81kQp4tYw7"
DATA_KEY = bytes(range(KEY_BYTES))
CONTEXT = "ai_providers_sealedkey|7|3|openai"
OLD, NEW = (
    f"{name}:{base64.b64encode(bytes([n]) * KEY_BYTES).decode()}" for n, name in enumerate(("k1", "k2"))
)


@pytest.fixture
def keys(settings: Any) -> Any:
    """Says which master keys there are."""

    def configure(*parts: str) -> None:
        settings.AI_ENCRYPTION_KEY = ",".join(parts)

    configure(OLD)
    return configure


def opened(sealed: bytes, key: bytes = DATA_KEY, context: str = CONTEXT) -> str | None:
    """The secret, or None where it stays sealed, which tells nothing of it."""
    try:
        return vault.unseal(key, sealed, context)
    except Sealed as error:
        assert SECRET not in f"{error!r} {error.__cause__!r}"
        assert str(error) == "a stored secret does not open here"
        return None


def test_it_works() -> None:
    sealed = vault.seal(DATA_KEY, SECRET, CONTEXT)

    assert vault.unseal(DATA_KEY, sealed, CONTEXT) == SECRET


def test_what_is_stored_says_nothing() -> None:
    sealed = vault.seal(DATA_KEY, SECRET, CONTEXT)

    assert SECRET.encode() not in sealed
    assert SECRET.encode()[:6] not in sealed
    assert len(sealed) == vault.NONCE_BYTES + len(SECRET) + 16


def test_the_same_secret_is_never_sealed_alike() -> None:
    assert len({vault.seal(DATA_KEY, SECRET, CONTEXT) for _ in range(50)}) == 50
    assert len({vault.seal(DATA_KEY, SECRET, CONTEXT)[: vault.NONCE_BYTES] for _ in range(50)}) == 50


@pytest.mark.parametrize("secret", ["", "é 漢字 🏔️", "x" * 10_000])
def test_any_text(secret: str) -> None:
    assert vault.unseal(DATA_KEY, vault.seal(DATA_KEY, secret, CONTEXT), CONTEXT) == secret


@pytest.mark.parametrize(
    "context",
    [
        "",
        "ai_providers_sealedkey|8|3|openai",
        "ai_providers_sealedkey|7|4|openai",
        "ai_providers_sealedkey|7|3|anthropic",
        "another_table|7|3|openai",
        f"data-key|{CONTEXT}",
        CONTEXT + " ",
    ],
)
def test_another_place(context: str) -> None:
    """A row that was copied to another company, row or field does not open."""
    assert opened(vault.seal(DATA_KEY, SECRET, CONTEXT), context=context) is None


def test_tampered_with() -> None:
    """Any bit of it."""
    sealed = vault.seal(DATA_KEY, SECRET, CONTEXT)

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        assert opened(bytes(changed)) is None
    assert opened(sealed) == SECRET


@pytest.mark.parametrize("length", [0, 1, 7, 8, 11, 12, 13, 27])
def test_cut_short(length: int) -> None:
    """However short: sealed, not a crash."""
    assert opened(vault.seal(DATA_KEY, SECRET, CONTEXT)[:length]) is None


@pytest.mark.parametrize("key", [bytes(KEY_BYTES), b"\x01" * KEY_BYTES, b"", b"short"])
def test_another_key(key: bytes) -> None:
    assert opened(vault.seal(DATA_KEY, SECRET, CONTEXT), key=key) is None


class TestDataKeys:
    def test_wrapped_and_unwrapped(self, keys: Any) -> None:
        master_id, wrapped = vault.new_data_key("company|7")

        data_key = vault.unwrap(master_id, wrapped, "company|7")

        assert (master_id, len(data_key)) == ("k1", KEY_BYTES)
        assert data_key not in wrapped
        assert vault.new_data_key("company|7")[1] != wrapped

    def test_of_another_company(self, keys: Any) -> None:
        master_id, wrapped = vault.new_data_key("company|7")

        with pytest.raises(Sealed):
            vault.unwrap(master_id, wrapped, "company|8")

    def test_rotation(self, keys: Any) -> None:
        """A new key wraps anew; what the old one wrapped opens as long as it is configured."""
        master_id, wrapped = vault.wrap(DATA_KEY, "company|7")
        keys(NEW, OLD)

        assert vault.unwrap(master_id, wrapped, "company|7") == DATA_KEY
        again_id, again = vault.wrap(DATA_KEY, "company|7")
        keys(NEW)

        assert (master_id, again_id) == ("k1", "k2")
        assert vault.unwrap(again_id, again, "company|7") == DATA_KEY
        with pytest.raises(Sealed) as caught:
            vault.unwrap(master_id, wrapped, "company|7")
        assert str(caught.value) == "master key 'k1' is not configured"

    def test_a_name_is_not_a_key(self, keys: Any) -> None:
        """Another key under the old one's name opens nothing."""
        master_id, wrapped = vault.wrap(DATA_KEY, "company|7")
        keys(NEW.replace("k2", "k1"))

        with pytest.raises(Sealed):
            vault.unwrap(master_id, wrapped, "company|7")


class TestMasterKeys:
    def test_a_new_one_fits(self, keys: Any) -> None:
        keys(vault.new_master_key("k9"))

        (found,) = vault.master_keys()
        assert (found.id, len(found.key)) == ("k9", KEY_BYTES)
        assert vault.new_master_key("a") != vault.new_master_key("a")

    def test_two_of_one_id(self, keys: Any) -> None:
        """Rotation goes by the id: it would leave what the older one wrapped behind."""
        keys(NEW, "k2:" + OLD.partition(":")[2])

        with pytest.raises(ImproperlyConfigured, match="part 2 has the id of an earlier part"):
            vault.master_keys()

    def test_several_with_room_between(self, keys: Any) -> None:
        keys(f" {NEW} ", f" {OLD}")

        assert [key.id for key in vault.master_keys()] == ["k2", "k1"]

    @pytest.mark.parametrize(
        "part",
        [
            "nocolon",
            ":" + OLD.partition(":")[2],
            "k1:",
            "k1:not base64!",
            "k1:" + base64.b64encode(b"short").decode(),
            "k1:" + base64.b64encode(bytes(KEY_BYTES + 1)).decode(),
        ],
    )
    def test_wrong_ones(self, keys: Any, part: str) -> None:
        """The number of the part is told, never what it holds."""
        keys(NEW, part)

        with pytest.raises(ImproperlyConfigured) as caught:
            vault.master_keys()

        assert str(caught.value).startswith("AI_ENCRYPTION_KEY: part 2 is not 'id:base64 of 32 bytes'.")
        assert part.partition(":")[2] == "" or part.partition(":")[2] not in str(caught.value)

    def test_none(self, keys: Any) -> None:
        keys("")

        with pytest.raises(ImproperlyConfigured):
            vault.master_keys()

    def test_never_printed(self, keys: Any) -> None:
        (found,) = vault.master_keys()

        assert repr(found.key) not in f"{found} {found!r}"
        assert pickle.dumps(found.id)  # its name may be told, as it stands beside every ciphertext
