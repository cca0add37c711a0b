"""``fill_usage``: what a benchmark measures on."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command
from django.db.models import Sum

from ai_core.models import AIJob
from ai_usage.models import AIJobUsage, UsageDay
from megahub.tenancy.models import Company
from tests import world
from tests.usage import fold
from tests.world import Cast


def test_it_works(cast: Cast) -> None:
    out = StringIO()
    call_command("fill_usage", "--rows", "60", "--companies", "2", stdout=out)

    assert out.getvalue() == "60 jobs with their usage.\n"
    companies = Company.objects.filter(slug__in=("filled-1", "filled-2"))
    usage = AIJobUsage.objects.unscoped().filter(company__in=companies)
    assert usage.filter(ai_job__status__in=("completed", "failed")).count() == 60
    fold()
    days = UsageDay.objects.unscoped().filter(company__in=companies)
    assert days.aggregate(jobs=Sum("jobs")) == {"jobs": 60}
    # The next job's number is drawn above them.
    job = world.submit(cast.alice)
    assert AIJob.objects.unscoped().filter(pk=job.pk).count() == 1
