"""What commands share: the company that is meant, and calls to providers from synchronous code."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from django.core.management.base import CommandError

from ai_providers.adapters import http
from ai_providers.services.connections import Probe
from megahub.kernel import loop
from megahub.tenancy.models import Company

T = TypeVar("T")


def company_named(ref: str) -> Company:
    """The company of that slug or number. Raises CommandError when there is none."""
    found = Company.objects.filter(slug=ref).first()
    if found is None and ref.isdecimal() and len(ref) < 19:
        found = Company.objects.filter(pk=int(ref)).first()
    if found is None:
        raise CommandError(f"There is no company {ref!r}.")
    return found


def run(calls: Coroutine[Any, Any, T]) -> T:
    """Wait for calls to providers, and close their connections."""
    try:
        return loop.run(calls)
    finally:
        loop.run(http.close())


def line(probe: Probe) -> str:
    """How a try ended, in a few words."""
    if probe.error is None:
        return f"{probe.status} ({probe.source}, {probe.milliseconds} ms)"
    return f"{probe.status}: {probe.error.code} {probe.error}"
