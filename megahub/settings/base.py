"""What holds in every environment. ``dev``, ``test`` and ``prod`` build on it.

The settings package is the only place that reads the environment; every variable is listed in the
README's table.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

from megahub.settings import env
from megahub.settings.reliability import *  # noqa: F403
from megahub.settings.sidebar import UNFOLD  # noqa: F401 - a setting
from megahub.settings.sign_in import *  # noqa: F403
from megahub.settings.sign_in import ACCOUNT_APPS, ACCOUNT_MIDDLEWARE, HUB_ACCOUNTS

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env.text("HUB_VAR", str(BASE_DIR / "var"))).resolve()

# Who we are ------------------------------------------------------------------------------------

HUB_RUN_ID = env.text("HUB_RUN_ID")
#: Where people reach the hub: links in e-mails begin with it.
HUB_PUBLIC_URL = env.text("HUB_PUBLIC_URL", f"http://127.0.0.1:{env.integer('HUB_PORT', 8000)}")
# Never empty, since the commands that make keys run before there is one; such a key starts no hub
# (megahub/tenancy/checks.py).
SECRET_KEY = env.text("HUB_SECRET_KEY", "unset")
DEBUG = False
ALLOWED_HOSTS = env.words("HUB_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
ROOT_URLCONF = "megahub.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenancy.User"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *ACCOUNT_APPS,
    "megahub.tenancy",
    "megahub.audit",
    "megahub.delivery",
    "ai_providers",
    "ai_guard",
    "ai_usage",
    "ai_core",
    "ai_openai",
    "ai_batch",
]

MIDDLEWARE = [
    "megahub.kernel.pages.PagesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "megahub.kernel.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "megahub.kernel.requests.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "megahub.tenancy.staff.StaffMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "megahub.kernel.requests.RequestMiddleware",
    *ACCOUNT_MIDDLEWARE,
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "megahub" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "megahub.kernel.pages.nonce",
            ],
        },
    },
]

# Storage ---------------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'hub.sqlite3'}")
# Under ASGI a request's thread is its own: connections are kept by a pool, not by threads.
DATABASES: dict[str, dict[str, Any]] = {
    "default": {**dj_database_url.parse(DATABASE_URL, conn_max_age=0, conn_health_checks=True)}
}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["ENGINE"] = "megahub.kernel.postgresql"
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=5,
        # A host that is cut off refuses nothing: who waits for it must notice by itself.
        tcp_user_timeout=15_000,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        # After two seconds without a server the pool stops trying: who asks next tries at once. Its own
        # pauses double up to minutes, in which a database that is back would not be noticed.
        pool={
            "min_size": 1,
            "max_size": env.integer("HUB_DB_POOL_SIZE", 12),
            "timeout": 5,
            "reconnect_timeout": 2,
        },
        # One request is one processor's work: a page planned for several reads far more than it shows.
        options="-c lock_timeout=2s -c idle_in_transaction_session_timeout=30s"
        " -c max_parallel_workers_per_gather=0",
    )
else:
    # IMMEDIATE: a deferred transaction that reads and then writes fails with SQLITE_BUSY at once.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }

#: PostgreSQL shows each company its own rows only (docs/decisions/0008-row-level-security.md).
HUB_ROW_SECURITY = env.flag("HUB_ROW_SECURITY", True)
#: Where uploads, exports and results are kept, through Django's storages.
HUB_FILES_DIR = Path(env.text("HUB_FILES_DIR", str(VAR_DIR / "files"))).resolve()
#: Heads of the audit trail, signed: on another disk than the database, where there is one.
HUB_AUDIT_ANCHORS = Path(env.text("HUB_AUDIT_ANCHORS", str(VAR_DIR / "audit-anchors.jsonl")))
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": str(HUB_FILES_DIR),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
#: Exports of more rows are made in the background; what is ready is kept for so many days.
HUB_EXPORT_STREAM_ROWS = env.integer("HUB_EXPORT_STREAM_ROWS", 20_000)
HUB_EXPORT_KEEP_DAYS = env.integer("HUB_EXPORT_KEEP_DAYS", 7)

REDIS_URL = env.text("REDIS_URL")

# Celery: the broker is only a doorbell (docs/architecture.md); it carries job ids, never results.
CELERY_BROKER_URL = env.broker(env.text("CELERY_BROKER_URL", REDIS_URL or "filesystem://"))
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = CELERY_BROKER_URL.startswith("redis")
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULER = "megahub.kernel.beat:Scheduler"
CELERY_TASK_DEFAULT_QUEUE = "normal"
CELERY_TIMEZONE = "UTC"
if CELERY_BROKER_URL.startswith("filesystem"):
    BELL_DIR = VAR_DIR / "bell"
    CELERY_BROKER_TRANSPORT = "megahub.kernel.bell:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "data_folder_in": str(BELL_DIR / "queue"),
        "data_folder_out": str(BELL_DIR / "queue"),
        "control_folder": str(BELL_DIR / "control"),
        "polling_interval": 0.05,
    }
elif CELERY_WORKER_DISABLE_PREFETCH:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 600,
        "socket_timeout": 5,
        "socket_connect_timeout": 0.5,
        "socket_keepalive": True,
        "queue_order_strategy": "priority",
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}

# Language, time, static files ------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "megahub" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT: Path | None = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "megahub" / "vendor"]
# Without `collectstatic` (./hub up) the files are served from where the packages keep them.
WHITENOISE_USE_FINDERS = True
# Served at the root of the site: what browsers ask for by themselves.
WHITENOISE_ROOT = BASE_DIR / "megahub" / "root"

# Authentication --------------------------------------------------------------------------------

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["megahub.tenancy.backends.ThrottledBackend"]
#: Tries to sign in within so many seconds: of a name from an address; of an address; refreshes of one.
HUB_SIGN_IN_SECONDS = 900
HUB_SIGN_IN_LIMIT = env.integer("HUB_SIGN_IN_LIMIT", 20, least=1)
HUB_SIGN_IN_ADDRESS_LIMIT = env.integer("HUB_SIGN_IN_ADDRESS_LIMIT", 300, least=1)
HUB_REFRESH_LIMIT = env.integer("HUB_REFRESH_LIMIT", 3000, least=1)
HUB_JWT_KEY = env.text("HUB_JWT_KEY")
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": HUB_JWT_KEY,
    "ISSUER": "megahub",
    "AUDIENCE": "megahub-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.integer("HUB_ACCESS_TOKEN_MINUTES", 30)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.integer("HUB_REFRESH_TOKEN_DAYS", 14)),
    "LEEWAY": 0,
}
#: How long a token's standing is remembered before the database is asked again (seconds).
HUB_IDENTITY_TTL_SECONDS = 5.0

# Keys for stored credentials: "id:base64[,id:base64…]", the first one seals, all of them open.
AI_ENCRYPTION_KEY = env.text("AI_ENCRYPTION_KEY")

# REST ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["megahub.tenancy.authentication.HubAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["megahub.kernel.drf.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["megahub.kernel.drf.JsonParser"],
    "DEFAULT_PAGINATION_CLASS": "megahub.kernel.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "megahub.kernel.filters.StrictFilterBackend",
        "megahub.kernel.filters.StrictOrderingFilter",
    ],
    "DEFAULT_SCHEMA_CLASS": "megahub.kernel.openapi.Schema",
    "EXCEPTION_HANDLER": "megahub.kernel.drf.handle_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MEGAHUB",
    "DESCRIPTION": "A multi-tenant AI job hub: every provider, every token accounted for.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],  # a browser opens /docs/ without a token
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "BudgetScopeEnum": "ai_usage.models.Budget.Scope",
        "BudgetPeriodEnum": "ai_usage.models.Budget.Period",
        "RateLimitScopeEnum": "ai_usage.models.RateLimit.Scope",
        "SchedulePeriodEnum": "ai_usage.models.ExportSchedule.Period",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "megahub.kernel.openapi.complete",
    ],
}
#: Recorded requests and answers, for the OpenAPI document.
HUB_EXAMPLES_DIR = BASE_DIR / "megahub" / "examples"
HUB_MAX_BODY_BYTES = env.integer("HUB_MAX_BODY_BYTES", 16 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = HUB_MAX_BODY_BYTES
#: Origins whose frontends may call the API from a browser; none unless named.
HUB_CORS_ORIGINS = env.words("HUB_CORS_ORIGINS")
HUB_METRICS_TOKEN = env.text("HUB_METRICS_TOKEN")

# Providers -------------------------------------------------------------------------------------

HUB_SANDBOX_URL = env.text("HUB_SANDBOX_URL")
HUB_PROVIDERS: dict[str, dict[str, str]] = {
    "openai": {
        "base_url": env.text("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        "api_key": env.text("OPENAI_API_KEY"),
    },
    "infomaniak": {
        "base_url": env.text("INFOMANIAK_BASE_URL", "https://api.infomaniak.com"),
        "api_key": env.text("INFOMANIAK_API_KEY"),
        "product_id": env.text("INFOMANIAK_PRODUCT_ID"),
    },
}
HUB_PROVIDER_CONNECT_SECONDS = env.number("HUB_PROVIDER_CONNECT_SECONDS", 5.0)
HUB_PROVIDER_FIRST_BYTE_SECONDS = env.number("HUB_PROVIDER_FIRST_BYTE_SECONDS", 300.0)
#: The longest that a try of a key (health, test_connection) may take.
HUB_PROBE_SECONDS = env.number("HUB_PROBE_SECONDS", 10.0)
HUB_PROVIDER_BETWEEN_BYTES_SECONDS = env.number("HUB_PROVIDER_BETWEEN_BYTES_SECONDS", 60.0)

# Jobs ------------------------------------------------------------------------------------------

AI_DEFAULT_MODEL = env.text("AI_DEFAULT_MODEL", "gpt-4o")
#: A synchronous request whose model is expected to take longer goes to a worker by itself (seconds).
AI_ASYNC_ABOVE_SECONDS = env.number("AI_ASYNC_ABOVE_SECONDS", 120.0)
#: Without it the reasoning models (the o-series and later) are neither listed nor called.
AI_ENABLE_O3 = env.flag("AI_ENABLE_O3", True)
#: Tokens a month of a provider that a company starts with; 0: openai 1,000,000, the others 500,000.
AI_DEFAULT_MONTHLY_QUOTA = env.integer("AI_DEFAULT_MONTHLY_QUOTA", 0)
AI_O3_DAILY_BUDGET = env.text("AI_O3_DAILY_BUDGET", "100.00")
AI_O3_SPECIAL_QUOTA = env.integer("AI_O3_SPECIAL_QUOTA", 50)
HUB_JOB_SLOTS = env.integer("HUB_JOB_SLOTS", 100)
HUB_JOB_MAX_ATTEMPTS = env.integer("HUB_JOB_MAX_ATTEMPTS", 4)
HUB_JOB_DEADLINE_SECONDS = env.integer("HUB_JOB_DEADLINE_SECONDS", 900)
HUB_JOURNAL_CAPACITY = env.integer("HUB_JOURNAL_CAPACITY", 4096)
#: Answers that were not settled yet (kernel/spool.py); every process of a host uses the same folder.
HUB_SPOOL_DIR = env.text("HUB_SPOOL_DIR", str(VAR_DIR / "spool"))
HUB_DRAIN_SECONDS = env.integer("HUB_DRAIN_SECONDS", 25)

# Batches of files ------------------------------------------------------------------------------

#: Lines that a worker runs at once, beside its jobs.
HUB_BATCH_SLOTS = env.integer("HUB_BATCH_SLOTS", 100)
HUB_BATCH_MAX_ATTEMPTS = env.integer("HUB_BATCH_MAX_ATTEMPTS", 4)

# Webhooks and alerts ---------------------------------------------------------------------------

#: Webhooks may go to http://, other ports and private addresses: on a developer's machine only.
HUB_WEBHOOKS_ALLOW_PRIVATE = env.flag("HUB_WEBHOOKS_ALLOW_PRIVATE")
AI_ENABLE_ALERTING = env.flag("AI_ENABLE_ALERTING", True)
#: Hears of every company's alerts, beside its own administrators; several separated by commas.
AI_ALERT_EMAIL = env.words("AI_ALERT_EMAIL")
#: A mail server that does not answer holds nobody for longer (seconds).
EMAIL_TIMEOUT = 10

LOGGING_CONFIG = "megahub.kernel.logs.configure"
LOGGING = {
    "format": env.text("HUB_LOG_FORMAT", "console"),
    "level": env.text("HUB_LOG_LEVEL", "INFO"),
}

# The admin -------------------------------------------------------------------------------------

# A message may hold a new API key: it travels in the answer's own cookie, never in the database.
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
LOGIN_REDIRECT_URL = "admin:index"
if HUB_ACCOUNTS:
    LOGIN_URL = "account_login"
