"""Charts for the admin: SVG made here, of whole numbers; no script, no style attribute.

Colours are classes of ``megahub/admin.css`` (``hub-fill-…``), so that a page's policy stays strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

HEIGHT, COLUMN, GAP = 120, 16, 4
#: What a whole bar across measures.
WIDE = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it says when it is pointed at, and its parts from below, (colour, value)."""

    title: str
    parts: Sequence[tuple[str, float]]


def columns(label: str, rows: Sequence[Column]) -> SafeString:
    """Columns side by side, the highest as high as the chart."""
    most = max((sum(value for _, value in row.parts) for row in rows), default=0.0)
    drawn = []
    for place, row in enumerate(rows):
        below, parts = 0, []
        for colour, value in row.parts:
            height = _scaled(value, most, HEIGHT)
            parts.append({"colour": colour, "y": HEIGHT - below - height, "height": height})
            below += height
        drawn.append({"x": place * (COLUMN + GAP), "title": row.title, "parts": parts})
    width = max(1, len(rows) * (COLUMN + GAP) - GAP)
    context = {"label": label, "columns": drawn, "width": width, "height": HEIGHT}
    return render_to_string("megahub/columns.html", context)


def bar(title: str, parts: Sequence[tuple[str, float]], whole: float) -> SafeString:
    """One bar across: of ``whole`` its parts, from the left; what is beyond it is not drawn."""
    left, drawn = 0, []
    for colour, value in parts:
        width = min(_scaled(value, whole, WIDE), WIDE - left)
        drawn.append({"colour": colour, "x": left, "width": width})
        left += width
    return render_to_string("megahub/bar.html", {"title": title, "parts": drawn, "wide": WIDE})


def _scaled(value: float, most: float, size: int) -> int:
    """A part of ``size``; what is there at all is seen."""
    if value <= 0 or most <= 0:
        return 0
    return max(1, round(size * value / most))
