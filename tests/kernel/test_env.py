"""Settings that are no number of the kind stop the hub before it starts, by name."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from megahub.settings import env


@pytest.mark.parametrize(
    ("raw", "told"),
    [("0", "HUB_X must be at least 1, not 0."), ("ten", "HUB_X must be a whole number, not 'ten'.")],
)
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, raw: str, told: str) -> None:
    monkeypatch.setenv("HUB_X", raw)

    with pytest.raises(ImproperlyConfigured) as caught:
        env.integer("HUB_X", 5, least=1)
    assert str(caught.value) == told


def test_what_is_there_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_X", " 1 ")
    assert (env.integer("HUB_X", 5, least=1), env.integer("HUB_Y", 5, least=1)) == (1, 5)
