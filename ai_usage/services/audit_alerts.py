"""A broken audit trail is an alert: the company's own for its chain, everybody's for the hub's."""

from __future__ import annotations

import logging

from ai_usage.models import AIUsageAlert
from ai_usage.services import alerts
from ai_usage.services.alerts import Alert
from megahub.audit.domain.chains import Fault
from megahub.audit.services import anchors, verifying
from megahub.kernel import clock, trail
from megahub.kernel.text import Text
from megahub.tenancy.models import Company

log = logging.getLogger(__name__)


def verify_and_tell() -> int:
    """Check every chain; anchor what is sound, or tell what is not. How many faults there are."""
    found = verifying.verify()
    if not found.faults:
        anchors.drop()
        return 0
    for fault in found.faults:
        log.critical("the audit trail is not whole: %s", fault)
    companies = set(Company.objects.filter(is_active=True).values_list("pk", flat=True))
    for chain in sorted({fault.chain for fault in found.faults}):
        own = [fault for fault in found.faults if fault.chain == chain]
        for company_id in sorted(companies if chain == trail.HUB else companies & {chain}):
            alerts.raise_now(_alert(company_id, own))
    return len(found.faults)


def _alert(company_id: int, own: list[Fault]) -> Alert:
    return Alert(
        company_id=company_id,
        alert_type=AIUsageAlert.AlertType.AUDIT_BROKEN,
        provider_name="",
        subject=f"chain {own[0].chain}",
        window_start=clock.now().date(),
        message=Text("The audit trail is not whole ({count}): {first}.", count=len(own), first=str(own[0])),
        severity=AIUsageAlert.Severity.CRITICAL,
    )
