"""The rows of the job types that the code knows."""

from __future__ import annotations

from dataclasses import asdict

from ai_core.domain.kinds import KINDS, Kind
from ai_core.models import AIJobType

FIELDS = ("description", "category", "estimated_duration_seconds", "requires_async")


def provide(*, reset: bool = False) -> dict[str, str]:
    """Add the job types that are missing; by name: added, unchanged, differs, or (``reset``) put back."""
    return {kind.name: _provide(kind, reset) for kind in KINDS.values()}


def _provide(kind: Kind, reset: bool) -> str:
    facts = {name: value for name, value in asdict(kind).items() if name in FIELDS}
    row, added = AIJobType.objects.get_or_create(name=kind.name, defaults=facts)
    if added:
        return "added"
    if all(getattr(row, name) == value for name, value in facts.items()):
        return "unchanged"
    if not reset:
        return "differs"
    AIJobType.objects.filter(pk=row.pk).update(**facts)
    return "put back"
