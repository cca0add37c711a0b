"""How the OpenAPI document says that a view needs a token."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
API_KEY = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Token <api key>`; `Bearer <api key>` is taken as well.",
}


class HubScheme(OpenApiAuthenticationExtension):
    """Found by drf-spectacular as soon as this module is imported."""

    target_class = "megahub.tenancy.authentication.HubAuthentication"
    name = ["bearerAuth", "apiKeyAuth"]

    def get_security_definition(self, auto_schema: Any) -> Any:
        return [BEARER, API_KEY]
