"""Every page of the admin in a browser, lists in English, rows and forms in French: each opens and
says nothing on the console (``tests/admin/test_admin_french.py`` reads its words)."""

from __future__ import annotations

import pytest

from megahub.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.looking import shoot
from tests.each import addresses
from tests.world import RUN


@pytest.mark.timeout(600)
def test_every_page(window: Window, one_of_each: None) -> None:
    root = User.objects.create_superuser(f"walker-{RUN}", password="correct horse")
    english, french = window("en-US", root), window("fr-FR", root)

    for name, address in addresses():
        page = english if name.endswith("-list") else french
        response = page.goto(address, wait_until="domcontentloaded")
        assert response is not None
        assert response.status == 200, address
        shoot(page, name, whole=False)
