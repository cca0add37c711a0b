"""The test suite: quick password hashing, no fsync on SQLite, a test database of its own."""

from __future__ import annotations

from megahub.settings import env
from megahub.settings.base import VAR_DIR
from megahub.settings.dev import *  # noqa: F403
from megahub.settings.dev import DATABASES, STORAGES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_MAX_AGE = 3600  # a browser asks for each file once, not with every page
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
#: Each worker's own: a test that looks whether nothing was left finds no other test's uploads.
HUB_FILES_DIR = VAR_DIR / "files" / env.text("PYTEST_XDIST_WORKER", "alone")
STORAGES["default"]["OPTIONS"]["location"] = str(HUB_FILES_DIR)
HUB_MAX_BODY_BYTES = 1024 * 1024
HUB_SIGN_IN_ADDRESS_LIMIT = HUB_REFRESH_LIMIT = 100_000  # all tests come from one address
HUB_ROW_SECURITY = env.flag("PYTEST_ROW_SECURITY", True)
LOGGING = {"format": "console", "level": "WARNING"}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    # A file: the journal's thread and Django's threads have connections of their own.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
    )
