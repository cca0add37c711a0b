"""Work that was done outside the hub, in the admin: without a job to link to."""

from __future__ import annotations

from django.test import Client

from megahub.kernel import clock
from tests.usage import entry
from tests.world import Cast


def test_its_pages_show_the_reference(root: Client, cast: Cast) -> None:
    told = entry(cast, clock.now(), kind="manual", job_ref="invoice-12")

    for name in ("ledgerentry", "aijobusage"):
        for path in (f"/admin/ai_usage/{name}/{told.pk}/change/", f"/admin/ai_usage/{name}/"):
            page = root.get(path, {"company": cast.company.pk} if path.endswith(f"{name}/") else {})
            assert page.status_code in (200, 302), path
            if page.status_code == 200 and "change" in path:
                assert "invoice-12" in page.content.decode()
                assert f"aijob/{told.job_id}/" not in page.content.decode()
