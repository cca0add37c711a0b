"""Infomaniak's wire: OpenAI's, under a product id, in two API versions with an envelope for errors.

Sources: reference/infomaniak.md (v1), provider-facts.md section 3 (v2 and the differences).
"""

from __future__ import annotations

import re
from typing import Any

from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call
from megahub.kernel.errors import NoApiKey

#: It stands in the path and comes from a company's own settings: it may not lead elsewhere.
PRODUCT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Infomaniak(OpenAI):
    """One base URL; the model's row says under which version's path it is served."""

    name = "infomaniak"

    def url(self, access: Access, spec: ModelSpec | None, path: str) -> str:
        """Without a model: the catalogue's own path. Raises NoApiKey when the product id is missing."""
        if spec is None:
            return f"{access.base_url}/1/ai{path}"
        self.check(access)
        return access.base_url + spec.wire["path"].format(product_id=access.extra["product_id"]) + path

    def check(self, access: Access) -> None:
        """Calls name a product."""
        if not PRODUCT_ID.fullmatch(access.extra.get("product_id", "")):
            message = "A product id (infomaniak_product_id) is missing beside the API key."
            raise NoApiKey(message, provider=self.name)

    def to_wire(self, call: Call, spec: ModelSpec) -> dict[str, Any]:
        """The first API documents no ``stream_options``; its streams' usage is estimated."""
        sent = super().to_wire(call, spec)
        if spec.wire["path"].startswith("/1/"):
            sent.pop("stream_options", None)
        return sent

    def reason(self, told: dict[str, Any]) -> tuple[str, Any]:
        """``{code, description, errors: [{description, context: {attribute}}]}``."""
        errors = told.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        context = first.get("context")
        text = first.get("description") or told.get("description") or told.get("message") or ""
        return str(text), context.get("attribute") if isinstance(context, dict) else None
