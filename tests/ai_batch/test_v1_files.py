"""``/v1/files``: uploads are streamed, refused with their reason, and leave nothing half written."""

from __future__ import annotations

import errno
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import default_storage

from ai_batch.api import uploads
from ai_batch.models import StoredFile
from ai_batch.services import files
from ai_batch.services.files import Incoming
from megahub.kernel import clock
from tests.conftest import Api
from tests.world import Cast

CONTENT = b'{"custom_id": "a"}\n' * 1000


def upload(api: Api, name: str = "r.jsonl", content: bytes = CONTENT, **form: str) -> Any:
    return api.post("/v1/files", data={"purpose": "batch", **form}, files={"file": (name, content)})


def incoming() -> list[Path]:
    return list((Path(settings.HUB_FILES_DIR) / "incoming").glob("*"))


class TestUpload:
    def test_it_works(self, cast: Cast, api: Api) -> None:
        alice = api.as_(cast.alice)
        answer = upload(alice, "../../etc/r\u00e9sum\u00e9.jsonl")
        told = answer.json()
        assert answer.status_code == 200
        assert told["object"] == "file"
        assert (told["bytes"], told["filename"], told["purpose"]) == (
            len(CONTENT),
            "r\u00e9sum\u00e9.jsonl",
            "batch",
        )
        assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        assert told["expires_at"] - told["created_at"] == 30 * 86_400
        assert alice.get(f"/v1/files/{told['id']}").json() == told
        content = alice.get(f"/v1/files/{told['id']}/content")
        assert content.content == CONTENT
        row = StoredFile.objects.of(cast.company.pk).get()
        assert row.name == f"{cast.company.pk}/{row.file_id}"
        assert incoming() == []

    @pytest.mark.parametrize(
        ("name", "form", "param", "message"),
        [
            ("r.txt", {}, "file", "Invalid file format for Batch API. Must be .jsonl"),
            (
                "r.jsonl",
                {"purpose": "vision"},
                "purpose",
                "Invalid value: 'vision'. Supported values are: 'batch'.",
            ),
            (
                "r.jsonl",
                {"expires_after[anchor]": "now"},
                "expires_after.anchor",
                "Invalid value: 'now'. Supported values are: 'created_at'.",
            ),
            ("r.jsonl", {"color": "red"}, "color", "Unknown parameter: 'color'."),
        ],
    )
    def test_bad_forms(
        self, cast: Cast, api: Api, name: str, form: dict[str, str], param: str, message: str
    ) -> None:
        answer = upload(api.as_(cast.alice), name, **form)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["message"]) == (400, param, message)
        self._nothing_left(cast)

    def test_no_form_at_all(self, cast: Cast, api: Api) -> None:
        assert api.as_(cast.alice).post("/v1/files", {"purpose": "batch"}).status_code == 415
        answer = api.as_(cast.alice).post("/v1/files", files={"purpose": (None, "batch")})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")

    def test_too_large(self, cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """By what is declared, and by what comes."""
        real = uploads.read
        monkeypatch.setattr(uploads, "read", lambda request: real(request, 10_000))
        for form_bytes in (0, 100_000):
            monkeypatch.setattr(uploads, "FORM_BYTES", form_bytes)
            answer = upload(api.as_(cast.alice))
            assert answer.status_code == 400
            assert answer.json()["error"]["message"] == "File is too large."
            self._nothing_left(cast)

    def test_a_full_disk(self, cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Incoming.write

        def full(self: Incoming, block: bytes) -> None:
            class Full:
                def write(self, block: Any) -> int:
                    raise OSError(errno.ENOSPC, "No space left on device")

                def close(self) -> None:
                    """Nothing."""

            self._file.close()
            self._file = Full()  # type: ignore[assignment]
            real(self, block)

        monkeypatch.setattr(Incoming, "write", full)
        answer = upload(api.as_(cast.alice))
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_full")
        self._nothing_left(cast)

    @staticmethod
    def _nothing_left(cast: Cast) -> None:
        assert incoming() == []
        assert not StoredFile.objects.of(cast.company.pk).exists()


class TestList:
    def test_it_works(self, cast: Cast, api: Api) -> None:
        alice = api.as_(cast.alice)
        made = [upload(alice, f"{n}.jsonl").json()["id"] for n in range(3)]

        def listed(query: str) -> list[str]:
            return [each["id"] for each in alice.get(f"/v1/files?{query}").json()["data"]]

        assert listed("") == made[::-1]
        assert listed("order=asc") == made
        assert listed("purpose=batch&limit=1") == [made[2]]
        assert listed("purpose=vision") == []
        assert listed(f"after={made[1]}") == [made[0]]
        assert listed(f"order=asc&after={made[1]}") == [made[2]]

    @pytest.mark.parametrize(
        ("query", "param"),
        [("limit=0", "limit"), ("order=up", "order"), ("after=f", "after"), ("x=1", "x")],
    )
    def test_bad_queries(self, cast: Cast, api: Api, query: str, param: str) -> None:
        answer = api.as_(cast.alice).get(f"/v1/files?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_deleted_file_is_gone(cast: Cast, api: Api) -> None:
    alice = api.as_(cast.alice)
    file_id = upload(alice).json()["id"]
    row = StoredFile.objects.of(cast.company.pk).get()
    assert alice.request("DELETE", f"/v1/files/{file_id}").json() == {
        "id": file_id,
        "object": "file",
        "deleted": True,
    }
    assert alice.get(f"/v1/files/{file_id}").status_code == 404
    assert alice.get(f"/v1/files/{file_id}/content").status_code == 404
    assert not default_storage.exists(row.name)


def test_a_file_that_has_expired_is_gone(cast: Cast, api: Api) -> None:
    alice = api.as_(cast.alice)
    file_id = upload(alice).json()["id"]
    row = StoredFile.objects.of(cast.company.pk).get()
    StoredFile.objects.of(cast.company.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert alice.get(f"/v1/files/{file_id}").status_code == 404
    files.remove_unread()
    assert not default_storage.exists(row.name)
