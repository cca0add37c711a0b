"""The append-only ledger, usage per job, budgets with their windows, unknown exposures, alerts.

Money is an integer of nano-USD unless a field says otherwise. ``sandbox`` rows are played, never
paid; they are counted in windows and totals of their own.
"""

from ai_usage.models.alerts import AIUsageAlert, AlertRule
from ai_usage.models.budgets import Budget, BudgetWindow, UnknownExposure
from ai_usage.models.exports import Export, ExportSchedule
from ai_usage.models.ledger import AIJobUsage, LedgerEntry
from ai_usage.models.rates import RateBucket, RateLimit
from ai_usage.models.rollups import (
    JobDay,
    JobRating,
    JobRemoval,
    JobRollup,
    RatingChange,
    RollupCursor,
    UsageDay,
    UsageRollup,
)

__all__ = [
    "AIJobUsage",
    "AIUsageAlert",
    "AlertRule",
    "Budget",
    "BudgetWindow",
    "Export",
    "ExportSchedule",
    "JobDay",
    "JobRating",
    "JobRemoval",
    "JobRollup",
    "LedgerEntry",
    "RateBucket",
    "RateLimit",
    "RatingChange",
    "RollupCursor",
    "UnknownExposure",
    "UsageDay",
    "UsageRollup",
]
