"""A developer's machine: what ``./hub up`` runs. Its keys come from the launcher (``var/``)."""

from __future__ import annotations

import base64
import hashlib

from megahub.settings import env
from megahub.settings.base import *  # noqa: F403
from megahub.settings.base import AI_ENCRYPTION_KEY, HUB_JWT_KEY, SIMPLE_JWT

# Without the launcher (an editor, a REPL) fixed keys keep the project importable; `prod` has none.
SECRET_KEY = env.text("HUB_SECRET_KEY", "development-only-not-a-secret-" + "0" * 40)
HUB_JWT_KEY = HUB_JWT_KEY or "development-only-jwt-key-" + "0" * 64
SIMPLE_JWT = SIMPLE_JWT | {"SIGNING_KEY": HUB_JWT_KEY}
AI_ENCRYPTION_KEY = AI_ENCRYPTION_KEY or (
    "dev:" + base64.b64encode(hashlib.sha256(b"development-only").digest()).decode()
)
HUB_KEYS_ARE_OWN = False
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
# Static files are served from where the packages keep them; nothing is collected.
STATIC_ROOT = None
