"""How the OpenAPI document says that a view needs a token."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

#: One box for both in /docs/: an API key is taken as a bearer as well.
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token of `/auth/token/`, or an API key (`mh_…`) of `/auth/keys/`."
    " Scripts may send an API key as `Authorization: Token <api key>` too.",
}


class HubScheme(OpenApiAuthenticationExtension):
    """Found by drf-spectacular as soon as this module is imported."""

    target_class = "megahub.tenancy.authentication.HubAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: Any) -> Any:
        return BEARER
