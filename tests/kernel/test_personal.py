"""Personal data is found by form and check digits, and nothing else is."""

from __future__ import annotations

import pytest

from megahub.kernel import logs, personal


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to jane.doe+x@mail.example.co.uk.", "write to [email]."),
        ("IBAN CH93 0076 2011 6238 5295 7 and more", "IBAN [iban] and more"),
        ("de89370400440532013000", "[iban]"),
        ("FR14 2004 1010 0505 0001 3M02 606", "[iban]"),
        ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
        ("5500-0000-0000-0004", "[card]"),
        ("378282246310005", "[card]"),
        ("NIR 2 55 08 14 168 025 38", "NIR [nir]"),
        ("AHV 756.9217.0769.85", "AHV [ahv]"),
        ("7569217076985", "[ahv]"),
        ("call +41 79 123 45 67 now", "call [phone] now"),
        ("call 06 12 34 56 78", "call [phone]"),
        ("0041791234567", "[phone]"),
        ("from 8.8.8.8: no", "from [ip]: no"),
        ("2a00:1450:4007:80d::200e", "[ip]"),
        ("a@b.ch, c@d.fr", "[email], [email]"),
    ],
)
def test_it_is_masked(text: str, masked: str) -> None:
    assert personal.mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no data at all",
        "4111 1111 1111 1112",
        "756.9217.0769.84",
        "127.0.0.1:6379 and 10.0.0.1",
        "version 1.2.3.4.5",
        "2026-11-26T12:30:45.123456Z",
        "0.0123456789",
        "ai_job_0123456789abcdef01234567",
        "gpt-4o-mini-2024-07-18",
        "1795000000000000000",
        "12:30:45",
        "user@localhost",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert personal.mask(text) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CH93 0076 2011 6238 5295 8", "iban"),
        ("2 55 08 14 168 025 39", "nir"),
        ("XX93 0076 2011 6238", "iban"),
    ],
)
def test_a_wrong_check_digit_is_no_proof(text: str, kind: str) -> None:
    assert kind not in {found for found, _, _ in personal.find(text)}


def test_inside_a_document_names_of_fields_stay() -> None:
    value = {"a@b.ch": ["x", {"y": "a@b.ch"}, 4111111111111111, None, True]}

    assert personal.mask_all(value) == {"a@b.ch": ["x", {"y": "[email]"}, 4111111111111111, None, True]}


def test_logs_hold_none() -> None:
    assert logs.redact("mail to a@b.ch failed") == "mail to [email] failed"
