"""Personal data in texts: found by form and, where there are check digits, by arithmetic; masked.

Every pattern is bounded, so that the time grows with the text alone. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

#: Lengths by country, of the SWIFT registry: what comes behind an IBAN is no part of it.
IBAN_LENGTHS = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25,
    "RO": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26,
}  # fmt: skip
EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,27}")
CARD = re.compile(r"(?<![\w.])[2-6](?:[ -]?[0-9]){12,18}(?![\w])")
NIR = re.compile(
    r"(?<![\w.])[12][ .]?[0-9]{2}[ .]?[0-9]{2}[ .]?(?:[0-9]{2}|2[ABab])"
    r"[ .]?[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{2}(?!\w)"
)
AHV = re.compile(r"(?<![\w.])756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}(?!\w)")
PHONE = re.compile(
    r"(?<![\w.+])(?:(?:\+|00)[1-9](?:[ ./()-]{0,2}[0-9]){7,14}|0[1-9](?:[ ./-]?[0-9]){8})(?!\w)"
)
IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9])")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
#: A text without any of these holds nothing of the kind.
SIGNS = re.compile(r"[0-9@]|::")


def find(text: str) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of what is found, in its order; nothing is found twice."""
    end = 0
    for start, _, until, kind in sorted(_candidates(text)):
        if start >= end:
            end = until
            yield kind, start, until


def mask(text: str) -> str:
    """``text`` with each piece of personal data replaced by its kind: ``[email]``."""
    if SIGNS.search(text) is None:
        return text
    parts, done = [], 0
    for kind, start, end in find(text):
        parts += [text[done:start], f"[{kind}]"]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


def mask_all(value: Any) -> Any:
    """Every text inside a JSON value masked; names of fields stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: mask_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_all(item) for item in value]
    return value


def _candidates(text: str) -> Iterator[tuple[int, int, int, str]]:
    """(start, rank of its kind, end, kind)."""
    for rank, (kind, pattern, holds) in enumerate(KINDS):
        for match in pattern.finditer(text):
            if (length := holds(match.group())) > 0:
                yield match.start(), rank, match.start() + length, kind


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if "0" <= sign <= "9"]


def _whole(text: str) -> int:
    return len(text)


def _iban(text: str) -> int:
    """ISO 13616: moved behind, letters as numbers, the remainder by 97 is one. How long it is, else 0."""
    wanted = IBAN_LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, sign in enumerate(text, 1) if sign.isalnum()]
    if not 0 < wanted <= len(places):
        return 0
    length = places[wanted - 1]
    signs = "".join(sign for sign in text[:length] if sign.isalnum())
    moved = (signs[4:] + signs[:4]).upper()
    return length if int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1 else 0


def _card(text: str) -> int:
    """Luhn: every second digit from the right doubled, the sum ends in 0."""
    digits = _digits(text)[::-1]
    doubled = [each * 2 - 9 if each > 4 else each * 2 for each in digits[1::2]]
    return len(text) if (sum(digits[::2]) + sum(doubled)) % 10 == 0 else 0


def _nir(text: str) -> int:
    """INSEE: the key is 97 minus the number's remainder by 97; Corsica's 2A and 2B count as 19 and 18."""
    signs = "".join(sign for sign in text.upper() if sign.isalnum())
    signs = signs.replace("2A", "19", 1).replace("2B", "18", 1)
    number, key = int(signs[:13]), int(signs[13:])
    return len(text) if key == 97 - number % 97 else 0


def _ahv(text: str) -> int:
    """EAN-13: weights 1 and 3 in turn, the sum ends in 0."""
    digits = _digits(text)
    return len(text) if (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0 else 0


def _ip(text: str) -> int:
    """An address that somebody may be found by: no loopback, no private network, no version number."""
    try:
        return len(text) if ipaddress.ip_address(text).is_global else 0
    except ValueError:
        return 0


Holds = Callable[[str], int]
#: Those that prove themselves by check digits come first: one place has one kind.
KINDS: tuple[tuple[str, re.Pattern[str], Holds], ...] = (
    ("email", EMAIL, _whole),
    ("iban", IBAN, _iban),
    ("nir", NIR, _nir),
    ("ahv", AHV, _ahv),
    ("card", CARD, _card),
    ("phone", PHONE, _whole),
    ("ip", IPV4, _ip),
    ("ip", IPV6, _ip),
)
