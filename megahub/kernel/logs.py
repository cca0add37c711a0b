"""Logs: structured, on standard error, and never with a secret in them.

Every record passes ``redact``: header values and anything that looks like a credential are replaced
before a formatter sees them, in messages, arguments, extra fields and tracebacks alike.
"""

from __future__ import annotations

import logging
import logging.config
import re
from typing import Any

import structlog
from django.utils.log import CallbackFilter

from megahub.kernel import personal

#: Provider keys (masked in the middle, too), hub keys, JWTs.
KEYS = (
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_*-]{8,}|AIza[A-Za-z0-9_-]{10,}|mh_[a-z0-9]{6,}_[A-Za-z0-9]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"
)
KEYLIKE = re.compile(KEYS)
#: Those, bearer and basic headers, URLs with a password.
SECRETS = re.compile(
    rf"(?:{KEYS}"
    r"|(?i:bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@))"
)
REDACTED = "[redacted]"


def redact(text: str) -> str:
    """``text`` with everything that looks like a credential or like personal data replaced."""
    return personal.mask(SECRETS.sub(REDACTED, text))


def without_keys(text: str) -> str:
    """Somebody else's sentence, which may quote a key, without it."""
    return KEYLIKE.sub(REDACTED, text)


def redact_event(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog's processor: every value of the event, redacted, however deep it lies."""
    # Keys with an underscore are structlog's own: they are taken out before the event is written.
    return {key: value if key.startswith("_") else _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return redact(value if isinstance(value, str) else repr(value))


def _is_no_outage(record: logging.LogRecord) -> bool:
    """A 503 is an answer (of /readyz, say), not a fault."""
    return getattr(record, "status_code", None) != 503


def configure(options: dict[str, str]) -> None:
    """Django's LOGGING_CONFIG: ``format`` is ``console`` (for people) or ``json``, and a ``level``."""
    final = (
        structlog.processors.JSONRenderer()
        if options["format"] == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"not_unavailable": {"()": CallbackFilter, "callback": _is_no_outage}},
            "formatters": {
                "hub": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        redact_event,
                        final,
                    ],
                    "foreign_pre_chain": before,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "hub"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                "aiohttp.access": {"level": "WARNING"},
                "django.request": {"level": "ERROR", "filters": ["not_unavailable"]},
                # Beat's chores: two lines each, every two seconds. What fails is told all the same.
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
