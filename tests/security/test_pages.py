"""Every page and every other answer tells browsers what may run and who may look; pages keep to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from megahub.kernel import pages
from megahub.tenancy.models import User
from tests import routes, world
from tests.conftest import Api
from tests.world import RUN, Cast

POLICY = "content-security-policy"
#: Answered by machines' words, whatever the path.
ANYWHERE = ["/", "/docs/", "/schema/", "/nowhere", "/ai/nowhere/", "/static/megahub/admin.css", "/readyz"]
ANYWHERE += ["/console/batches/results/nobodys"]


class Page(HTMLParser):
    """What of a page a policy without 'unsafe-inline' would not run."""

    def __init__(self, text: str, nonce: str, *, styles: bool) -> None:
        super().__init__()
        self.nonce, self.styles = nonce, styles
        self.refused: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        carries = given.get("nonce") == self.nonce
        is_data = given.get("type") in ("application/json", "text/template")
        if tag == "script" and not given.get("src") and not carries and not is_data:
            self.refused.append("an inline script")
        if self.styles and ((tag == "style" and not carries) or "style" in given):
            self.refused.append("an inline style")
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.refused.append(f"{tag} {name}={value}")
            if name in ("src", "action") and re.match(r"(https?:)?//", value or ""):
                self.refused.append(f"{tag} from {value}")


def nonce(policy: str) -> str:
    found = re.search(r"'nonce-([\w-]{20,})'", policy)
    assert found is not None, policy
    return found[1]


def check(response: Any) -> None:
    """The headers of an answer, and that its page runs under them."""
    asked = getattr(response, "request", None)
    path = asked["PATH_INFO"] if isinstance(asked, dict) else asked.url.path if asked else "/admin/"
    laxer = path.startswith("/admin/")
    headers = {name.lower(): value for name, value in response.headers.items()}
    for name, value in pages.HEADERS.items():
        assert headers[name.lower()] == value
    if not headers.get("content-type", "").startswith("text/html"):
        assert headers[POLICY] == "default-src 'none'; frame-ancestors 'none'"
        return
    policy = headers[POLICY]
    assert "script-src 'self' 'nonce-" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    assert "unsafe-eval" not in policy
    assert ("'unsafe-inline'" in policy) is laxer
    text = response.content.decode()
    assert Page(text, nonce(policy), styles=not laxer).refused == []


@pytest.fixture(scope="module")
def browser(sandbox_url: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(f"pages-{RUN}", password="correct horse"))
    return client


def of_the_admin() -> Iterator[str]:
    """Every path of the admin that needs no row's number."""
    for pattern in _patterns(admin.site.urls[0]):
        if pattern.name and "autocomplete" not in pattern.name and "logout" not in pattern.name:
            try:
                yield reverse(f"admin:{pattern.name}")
            except NoReverseMatch:
                continue


def _patterns(found: Any) -> Iterator[URLPattern]:
    for pattern in found:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


ADMIN = sorted(set(of_the_admin()))


def test_the_admin_is_walked_whole() -> None:
    lists = {f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist" for m in admin.site._registry}

    assert {reverse(name) for name in lists} < set(ADMIN)


@pytest.mark.parametrize("path", ADMIN)
def test_the_admins_pages(browser: Client, path: str) -> None:
    check(browser.get(path, follow=True))
    check(browser.get(path))  # itself, were it a redirect


@pytest.mark.parametrize("model", ["tenancy.company", "tenancy.user", "ai_usage.budget"])
def test_a_rows_page(browser: Client, cast: Cast, model: str) -> None:
    found = next(each for each in admin.site._registry if each._meta.label_lower == model)
    row = found._base_manager.first() or world.make_budget(cast.company, "1.00")
    name = f"admin:{model.replace('.', '_')}"
    for kind in ("change", "history", "delete"):
        check(browser.get(reverse(f"{name}_{kind}", args=[row.pk])))


def test_signing_in() -> None:
    check(Client().get("/admin/login/"))
    check(Client().get("/admin/"))


@pytest.mark.parametrize("path", ANYWHERE)
def test_everything_else(api: Api, path: str) -> None:
    check(api.get(path))


def test_the_console_has_a_policy_of_its_own(api: Api) -> None:
    """Nothing of it is inline: it needs no nonce."""
    answer = api.get("/console/batches/")

    assert answer.status_code == 200
    for name, value in pages.HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert answer.headers[POLICY].startswith("default-src 'self'; base-uri 'none'")
    assert "unsafe" not in answer.headers[POLICY]
    assert Page(answer.text, "", styles=True).refused == []


def test_pages_outside_of_the_admin_are_registered() -> None:
    """A new page's path joins ANYWHERE: it would be an answer in HTML that nobody looked at."""
    views = {path: pattern.callback for path, pattern in routes.walk(get_resolver().url_patterns, "/")}
    apis = ("fast_methods", "actions", "cls")
    plain = {
        path
        for path, view in views.items()
        if not path.startswith("/admin/") and not any(hasattr(view, name) for name in apis)
    }

    download = "/console/batches/results/{token}"
    assert plain == {"/", "/readyz", "/metrics", "/console/batches/", download, "/batch-api.html"}


def test_the_hot_lane(api: Api, cast: Cast) -> None:
    for response in (api.get("/healthz"), api.as_(cast.alice).get("/v1/models"), api.get("/v1/models")):
        assert response.headers[POLICY] == pages.NO_PAGE
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


def test_a_nonce_is_used_once(api: Api) -> None:
    found = {nonce(api.get("/docs/").headers[POLICY]) for _ in range(3)}

    assert len(found) == 3


def test_a_server_error_is_told_them() -> None:
    request = RequestFactory().get("/admin/x")

    check(pages.told(request, HttpResponse("<p>broken</p>", status=500)))


class TestForgery:
    """What a cookie lets in asks for the token; the API takes no cookie."""

    def test_the_admin_asks_for_the_token(self, browser: Client) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = browser.cookies

        refused = strict.post("/admin/tenancy/company/add/", {"name": "Forged"})

        assert refused.status_code == 403
        check(refused)

    def test_signing_in_asks_for_it(self) -> None:
        strict = Client(enforce_csrf_checks=True)

        assert strict.post("/admin/login/", {"username": "a", "password": "b"}).status_code == 403

    def test_so_does_a_page_that_says_nothing_of_it(self) -> None:
        """The admin's own views would ask by themselves: this one is asked for by the middleware alone."""
        strict = Client(enforce_csrf_checks=True)

        assert strict.post("/batch-api.html").status_code == 403

    def test_a_session_is_nobody_to_the_api(self, browser: Client) -> None:
        assert browser.get("/auth/me/").status_code == 401
        assert browser.post("/ai/jobs/", {}, content_type="application/json").status_code == 401

    def test_the_cookies(self, browser: Client) -> None:
        client, name = Client(), f"pages-{RUN}"
        client.post("/admin/login/", {"username": name, "password": "correct horse"})

        cookie = client.cookies["sessionid"]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
