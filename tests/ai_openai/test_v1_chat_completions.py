"""``POST /v1/chat/completions``."""

from __future__ import annotations

from ai_core.models import AIJob
from tests import world
from tests.conftest import Api
from tests.world import Cast

URL = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}]}


def test_it_works(api: Api, cast: Cast) -> None:
    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 200
    answer = response.json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"].startswith("[sandbox] gpt-4o-mini echoes")
    assert response.headers["x-megahub-sandbox"] == "true"
    job = AIJob.objects.of(cast.company.pk).get(job_id=response.headers["x-megahub-job-id"])
    assert (job.status, job.attempt_no, job.sandbox) == ("completed", 1, True)
    assert job.response == answer
    (entry,) = world.ledger(job.pk)
    usage = answer["usage"]
    assert entry.kind == "settle"
    assert entry.input_tokens == usage["prompt_tokens"]
    assert entry.output_tokens == usage["completion_tokens"]
    # gpt-4o-mini: 0.15 USD per million tokens in, 0.60 out.
    expected = usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600
    assert entry.cost_nano_usd == entry.charged_nano_usd == expected


def test_anonymous(api: Api) -> None:
    response = api.post(URL, BODY)

    assert response.status_code == 401
    assert response.json() == {
        "error": {
            "message": "Authentication credentials were not provided.",
            "type": "authentication_error",
            "param": None,
            "code": None,
        }
    }
