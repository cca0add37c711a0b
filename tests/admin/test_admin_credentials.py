"""Provider keys go in through the admin and never come out of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from ai_providers import selectors
from ai_providers.models import AICredentials, SealedKey
from tests import world
from tests.world import Cast

URL = "/admin/ai_providers/aicredentials/"
CANARY = "sk-proj-canary_4fJ8Qm2-Zw7Xk1Ld9Rt3VbHq"
OTHER = "sk-proj-another_1aB2cD3-eF4gH5iJ6kL7mN8oP"


def form(cast: Cast, **fields: str) -> dict[str, str]:
    """What the browser sends; inlines included."""
    return {
        "company": str(cast.company.pk),
        "openai_api_key": "",
        "infomaniak_api_key": "",
        "anthropic_api_key": "",
        "google_api_key": "",
        "openai_organization": "",
        "infomaniak_product_id": "",
        "keys-TOTAL_FORMS": "0",
        "keys-INITIAL_FORMS": "0",
        **fields,
    }


def stored(cast: Cast) -> AICredentials:
    return AICredentials.objects.of(cast.company.pk).get()


def live_keys(cast: Cast) -> dict[str, str]:
    keys = SealedKey.objects.of(cast.company.pk).filter(retired_at=None)
    return {key.provider: key.open(selectors.base_url_of(key.provider)) for key in keys}


def add(root: Client, cast: Cast, **fields: str) -> Any:
    return root.post(f"{URL}add/", form(cast, **fields))


def change(root: Client, cast: Cast, **fields: str) -> Any:
    return root.post(f"{URL}{stored(cast).pk}/change/", form(cast, **fields))


def everything_stored() -> str:
    """All rows of all tables as text."""
    found = []
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor, include_views=True):
            cursor.execute(f'SELECT * FROM "{name}"')
            found += [str(bytes(v) if isinstance(v, memoryview) else v) for row in cursor for v in row]
    return "\n".join(found)


def test_it_works(root: Client, cast: Cast) -> None:
    response = add(root, cast, openai_api_key=CANARY, openai_organization="org-1", use_global_fallback="on")

    assert response.status_code == 302
    assert live_keys(cast) == {"openai": CANARY}
    assert stored(cast).openai_organization == "org-1"
    assert stored(cast).use_global_fallback is True


def test_a_key_is_nowhere_to_be_read(root: Client, cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [add(root, cast, openai_api_key=CANARY)]
    row = stored(cast)
    (key,) = SealedKey.objects.of(cast.company.pk)
    pages = [
        URL,
        f"{URL}{row.pk}/change/",
        f"{URL}{row.pk}/history/",
        "/admin/ai_providers/sealedkey/",
        f"/admin/ai_providers/sealedkey/{key.pk}/change/",
        f"/admin/tenancy/company/{cast.company.pk}/change/",
        "/admin/",
    ]
    answers += [root.get(page) for page in pages]
    answers += [change(root, cast, openai_api_key=OTHER, anthropic_api_key=CANARY)]

    for answer in answers:
        assert CANARY not in answer.text
        assert CANARY not in str(answer.headers) + str(answer.cookies)
    # Ends with the last four characters, and nothing more of it is shown.
    assert "…VbHq" in answers[2].text
    assert CANARY[:-4][-4:] not in answers[2].text
    assert CANARY not in everything_stored()
    assert CANARY not in caplog.text


def test_the_log_names_fields_only(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)
    change(root, cast, openai_api_key=OTHER)

    entries = LogEntry.objects.filter(content_type__model="aicredentials", object_id=str(stored(cast).pk))
    assert [(entry.object_repr, entry.get_change_message()) for entry in entries.order_by("pk")] == [
        (f"credentials of {cast.company.name}", "Added."),
        (f"credentials of {cast.company.name}", "Changed OpenAI API key."),
    ]


@pytest.mark.parametrize("provider", ["openai", "infomaniak", "anthropic", "google"])
def test_what_is_no_key_is_refused_without_an_echo(root: Client, cast: Cast, provider: str) -> None:
    wrong = "secret passphrase of mine"

    response = add(root, cast, **{f"{provider}_api_key": wrong})

    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert errors == {f"{provider}_api_key": [f"This does not look like a key of {provider}."]}
    assert wrong not in response.text
    assert not AICredentials.objects.of(cast.company.pk).exists()


def test_a_refused_key_beside_a_good_one_changes_nothing(root: Client, cast: Cast) -> None:
    response = add(root, cast, openai_api_key=CANARY, google_api_key="nonsense")

    assert response.status_code == 200
    assert CANARY not in response.text
    assert not SealedKey.objects.of(cast.company.pk).exists()


def test_an_empty_field_leaves_the_key(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    response = change(root, cast, openai_organization="org-2")

    assert response.status_code == 302
    assert live_keys(cast) == {"openai": CANARY}
    assert stored(cast).openai_organization == "org-2"


def test_a_new_key_retires_the_old_one(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    change(root, cast, openai_api_key=OTHER)

    assert live_keys(cast) == {"openai": OTHER}
    history = SealedKey.objects.of(cast.company.pk).order_by("pk")
    assert [(key.last_four, key.retired_at is None) for key in history] == [
        ("VbHq", False),
        ("N8oP", True),
    ]


def test_removing_a_key(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY, google_api_key="AIza" + "b" * 30)

    response = change(root, cast, openai_remove="on")

    assert response.status_code == 302
    assert live_keys(cast) == {"google": "AIza" + "b" * 30}
    form_ = root.get(f"{URL}{stored(cast).pk}/change/").context["adminform"].form
    assert "google_remove" in form_.fields
    assert "openai_remove" not in form_.fields


def test_a_key_is_not_stored_and_removed_at_once(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    response = change(root, cast, openai_api_key=OTHER, openai_remove="on")

    errors = response.context["adminform"].form.errors
    assert errors == {"openai_api_key": ["Store a new key or remove the old one, not both."]}
    assert live_keys(cast) == {"openai": CANARY}


def test_fields_are_empty_and_say_what_is_stored(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)
    SealedKey.objects.of(cast.company.pk).update(refused_at=timezone.now())

    response = root.get(f"{URL}{stored(cast).pk}/change/")

    fields = response.context["adminform"].form.fields
    assert fields["openai_api_key"].help_text.startswith("Stored: …VbHq, since ")
    assert "Refused by the provider on " in fields["openai_api_key"].help_text
    assert str(fields["google_api_key"].help_text) == "No key is stored."
    inputs = [line for line in response.text.split("<input") if 'type="password"' in line.split(">")[0]]
    assert len(inputs) == 4
    assert not any("value=" in line.split(">")[0] for line in inputs)


def test_the_list_shows_last_characters(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    response = root.get(URL, {"company__id__exact": cast.company.pk})

    assert "OpenAI …VbHq" in response.text


def test_a_stored_key_is_used_at_once(root: Client, cast: Cast) -> None:
    assert world.terms(cast.company, "gpt-4o-mini").is_sandbox

    add(root, cast, openai_api_key=CANARY)

    (access,) = world.terms(cast.company, "gpt-4o-mini").accesses
    assert (access.source, access.api_key) == ("own", CANARY)


def test_one_row_for_a_company(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    response = add(root, cast, openai_api_key=OTHER)

    assert response.status_code == 200
    assert live_keys(cast) == {"openai": CANARY}


def test_the_data_key_is_not_shown(root: Client, cast: Cast) -> None:
    add(root, cast, openai_api_key=CANARY)

    response = root.get("/admin/tenancy/companykey/", {"company__id__exact": cast.company.pk})

    (row,) = response.context["cl"].result_list
    detail = root.get(f"/admin/tenancy/companykey/{row.pk}/change/")
    assert "wrapped" not in detail.context["adminform"].form.fields
    assert list(detail.context["adminform"].fieldsets[0][1]["fields"]) == [
        "company",
        "master_key_id",
        "created_at",
        "rewrapped_at",
    ]


def test_an_error_report_would_hide_what_was_sent(root: Client, cast: Cast) -> None:
    response = add(root, cast, openai_api_key=CANARY)

    assert response.wsgi_request.sensitive_post_parameters == "__ALL__"


def test_strangers_may_not_look(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.charlie.user)

    assert client.get(URL).status_code == 302
