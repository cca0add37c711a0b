"""What a role may do, in scopes. An API key carries a subset of its maker's, at issue and at use."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Administrator")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")


class Scope(TextChoices):
    INFERENCE = "inference", _("Call models")
    JOBS_READ = "jobs:read", _("Read jobs")
    JOBS_WRITE = "jobs:write", _("Create, change and cancel jobs")
    USAGE_READ = "usage:read", _("Read usage and costs")
    KEYS_MANAGE = "keys:manage", _("Make and revoke API keys")
    WEBHOOKS_MANAGE = "webhooks:manage", _("Manage webhooks")
    ALERTS_MANAGE = "alerts:manage", _("Check, make and resolve alerts")
    ALERTS_RULES = "alerts:rules", _("Change alert thresholds")
    AUDIT_READ = "audit:read", _("Read the audit trail")
    PRIVACY_MANAGE = "privacy:manage", _("Set what is kept, export and erase a person's data")
    MEMBERS_MANAGE = "members:manage", _("Invite, change and remove members; make brands")
    LIMITS_MANAGE = "limits:manage", _("Set budgets and rate limits")
    CREDENTIALS_MANAGE = "credentials:manage", _("Change provider credentials")


VIEWER_SCOPES = frozenset({Scope.JOBS_READ.value, Scope.USAGE_READ.value})
MEMBER_SCOPES = VIEWER_SCOPES | {
    Scope.INFERENCE.value,
    Scope.JOBS_WRITE.value,
    Scope.KEYS_MANAGE.value,
    Scope.ALERTS_MANAGE.value,
}
ADMIN_SCOPES = frozenset(Scope.values)

SCOPES_OF_ROLE: dict[str, frozenset[str]] = {
    Role.VIEWER: VIEWER_SCOPES,
    Role.MEMBER: MEMBER_SCOPES,
    Role.ADMIN: ADMIN_SCOPES,
    Role.OWNER: ADMIN_SCOPES,
}

#: The ladder of roles, the lowest first.
LADDER = (Role.VIEWER.value, Role.MEMBER.value, Role.ADMIN.value, Role.OWNER.value)


def reaches(own: str, other: str) -> bool:
    """Whether somebody of a role may give the other one, and change those who have it."""
    return LADDER.index(other) <= LADDER.index(own)
