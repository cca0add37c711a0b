"""The text of a job's prompt as something that queries can look into.

PostgreSQL asks jsonpath, SQLite ``json_tree``; both look at the texts of messages, ``prompt`` and
``input``, and not at the names of parameters. Without an index: a search reads the brand's jobs.
"""

from __future__ import annotations

from typing import Any

import orjson
from django.db.models import BooleanField, Func

#: Where texts are: contents of messages, their parts, a prompt, the input of embeddings.
PLACES = ("messages[*].content[*]", "messages[*].content[*].text", "prompt", "input[*]")
SQLITE_KEYS = ("content", "text", "prompt", "input")


class PromptHolds(Func):
    """Whether the texts of ``input_data`` hold ``text``, in upper or lower case."""

    output_field = BooleanField()
    conditional = True

    def __init__(self, text: str, column: str = "input_data") -> None:
        super().__init__(column)
        self.text = text

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """``q``: the text is no pattern, ``i``: case does not matter."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        said = orjson.dumps(self.text).decode()
        places = " || ".join(f'@.{place} like_regex {said} flag "iq"' for place in PLACES)
        return f"jsonb_path_exists({column}, %s::jsonpath)", [*params, f"$ ? ({places})"]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        """``LIKE`` over every text below ``input_data`` whose place is one of those."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        keys = ", ".join(f"'{key}'" for key in SQLITE_KEYS)
        inside = f"t.type = 'text' AND (t.key IN ({keys}) OR t.path = '$.input')"
        pattern = f"%{connection.ops.prep_for_like_query(self.text)}%"
        sql = f"EXISTS (SELECT 1 FROM json_tree({column}) t WHERE {inside} AND t.atom LIKE %s ESCAPE '\\')"
        return sql, (*params, pattern)
