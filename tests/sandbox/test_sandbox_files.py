"""Files: upload, list, content, delete, limits."""

from typing import Any
from unittest.mock import ANY

import pytest

from sandbox import files
from sandbox.errors import ApiError


def test_it_works(provider: Any) -> None:
    content = b'{"a": 1}\n' * 1000
    answer = provider.upload(content, "requests.jsonl")
    stored = answer.json()
    assert answer.status == 200
    assert stored == {
        "id": ANY,
        "object": "file",
        "bytes": 9000,
        "created_at": ANY,
        "expires_at": stored["created_at"] + 30 * 24 * 3600,
        "filename": "requests.jsonl",
        "purpose": "batch",
        "status": "processed",
        "status_details": None,
    }
    path = f"/v1/files/{stored['id']}"
    assert provider.call("GET", path).json() == stored
    downloaded = provider.call("GET", f"{path}/content")
    assert downloaded.raw == content
    assert downloaded.headers["content-type"] == "application/octet-stream"
    assert downloaded.headers["content-disposition"] == 'attachment; filename="requests.jsonl"'


def test_a_deleted_file_is_gone(provider: Any) -> None:
    file_id = provider.upload(b"{}").json()["id"]
    answer = provider.call("DELETE", f"/v1/files/{file_id}")
    assert answer.json() == {"id": file_id, "object": "file", "deleted": True}
    missing = provider.call("GET", f"/v1/files/{file_id}/content")
    assert missing.status == 404
    assert missing.json() == {
        "error": {
            "message": f"No such File object: {file_id}",
            "type": "invalid_request_error",
            "param": "id",
            "code": None,
        }
    }
    assert provider.call("DELETE", f"/v1/files/{file_id}").status == 404


def test_pages(provider: Any) -> None:
    ids = [provider.upload(b"{}", purpose="vision").json()["id"] for _ in range(3)]
    path = "/v1/files?purpose=vision&limit=2"
    newest = provider.call("GET", path).json()
    assert [item["id"] for item in newest["data"]] == [ids[2], ids[1]]
    assert newest == {
        "object": "list",
        "data": ANY,
        "first_id": ids[2],
        "last_id": ids[1],
        "has_more": True,
    }
    last = provider.call("GET", f"{path}&after={ids[1]}").json()
    assert [item["id"] for item in last["data"]] == [ids[0]]
    assert last["has_more"] is False
    oldest = provider.call("GET", f"{path}&order=asc").json()
    assert [item["id"] for item in oldest["data"]] == [ids[0], ids[1]]
    assert provider.call("GET", "/v1/files?purpose=evals").json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("limit=0", 400, "limit"),
        ("limit=10001", 400, "limit"),
        ("limit=many", 400, "limit"),
        ("order=up", 400, "order"),
        ("after=file-none", 404, "id"),
    ],
)
def test_wrong_queries(provider: Any, query: str, status: int, param: str) -> None:
    answer = provider.call("GET", f"/v1/files?{query}")
    assert (answer.status, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "pleasure"}, "purpose"),
        ({"filename": "requests.csv"}, "file"),
        ({"expires_after[anchor]": "created_at"}, "expires_after.seconds"),
        (
            {"expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
            "expires_after.anchor",
        ),
        (
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            "expires_after.seconds",
        ),
    ],
)
def test_wrong_forms(provider: Any, form: dict[str, str], param: str) -> None:
    before = provider.call("GET", "/v1/files").json()["data"]
    answer = provider.upload(b"{}", **form)
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    assert provider.call("GET", "/v1/files").json()["data"] == before


def test_a_form_without_a_file(provider: Any) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = provider.call("POST", "/v1/files", b"--x--\r\n", headers=headers)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "file")
    assert provider.call("POST", "/v1/files", {"file": "x"}).status == 400


def test_an_expiry(provider: Any) -> None:
    form = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    stored = provider.upload(b"{}", **form).json()
    assert stored["expires_at"] == stored["created_at"] + 3600
    assert provider.upload(b"{}", "a.png", purpose="vision").json()["expires_at"] is None


def test_a_batch_file_that_is_too_large(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BATCH_FILE_BYTES", 10)
    store = files.FileStore(tmp_path)
    with store.draft() as draft:
        draft.write(b"x" * 11)
        with pytest.raises(ApiError) as caught:
            files.accept(draft, {"purpose": "batch"}, "a.jsonl", 0)
    assert (caught.value.status, caught.value.message) == (400, "File is too large.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("knob", ["cut=1", "stall=1"])
def test_a_download_breaks_in_the_middle(provider: Any, knob: str) -> None:
    file_id = provider.upload(b"x" * 1000).json()["id"]
    connection = provider.connect()
    headers = {"x-sandbox-fault": knob}
    response = provider.send(connection, "GET", f"/v1/files/{file_id}/content", headers=headers)
    connection.sock.settimeout(0.5)
    assert response.read1(1000) == b"x" * 500
    with pytest.raises((ConnectionResetError, TimeoutError)):
        response.read1(1000)
    connection.close()


def test_a_client_that_asks_before_it_sends(provider: Any) -> None:
    connection = provider.connect()
    connection.putrequest("POST", "/v1/embeddings")
    body = b'{"model": "text-embedding-3-small", "input": "Hi"}'
    for name, value in {
        "authorization": "Bearer x",
        "content-length": str(len(body)),
        "expect": "100-continue",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(body)
    assert connection.getresponse().status == 200
    connection.close()


def test_a_name_that_has_no_place_in_a_header(provider: Any) -> None:
    file_id = provider.upload(b"{}", "été;\t.jsonl").json()["id"]
    answer = provider.call("GET", f"/v1/files/{file_id}/content")
    assert answer.headers["content-disposition"] == 'attachment; filename="_t___.jsonl"'
