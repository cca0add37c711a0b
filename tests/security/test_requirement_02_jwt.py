"""Requirement 2: the algorithm is pinned, the key its own, iss, aud, exp and jti are required."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from tests.conftest import Api
from tests.tenancy.test_tokens_api import forged, pair
from tests.world import Cast


def unsigned(cast: Cast, **headers: Any) -> str:
    """Our claims under a header of the attacker's own, without a signature."""
    payload = cast.alice.token.split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", **headers}).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}."


def attacks(cast: Cast) -> dict[str, str]:
    rsa_key = rsa.generate_private_key(65537, 2048)
    public = rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = jwt.decode(cast.alice.token, options={"verify_signature": False})
    head, payload, signature = cast.alice.token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims, "user_id": "1"}).encode()).rstrip(b"=").decode()
    return {
        "none": unsigned(cast, alg="none"),
        "None": unsigned(cast, alg="None"),
        "no alg": unsigned(cast),
        "none with a signature": unsigned(cast, alg="none") + signature,
        "rs256": forged(cast, key=rsa_key, algorithm="RS256"),
        "hs384": forged(cast, algorithm="HS384"),
        "hs512": forged(cast, algorithm="HS512"),
        "crit": forged(cast, headers={"crit": ["x-unknown"], "x-unknown": 1}),
        "the wrong key": forged(cast, key="k" * 64),
        "the secret key": forged(cast, key=settings.SECRET_KEY),
        "public key as a secret": forged(cast, key=public.hex()),
        "kid": forged(cast, key="k" * 64, headers={"kid": "../../../../dev/null"}),
        "jku": forged(cast, key="k" * 64, headers={"jku": "https://evil.example/keys"}),
        "jwk": forged(cast, key="k" * 64, headers={"jwk": {"kty": "oct", "k": "a2tr"}}),
        "another issuer": forged(cast, iss="evil"),
        "no issuer": forged(cast, iss=None),
        "another audience": forged(cast, aud="other"),
        "no audience": forged(cast, aud=None),
        "expired": forged(cast, exp=int(time.time()) - 1),
        "no exp": forged(cast, exp=None),
        "no jti": forged(cast, jti=None),
        "no type": forged(cast, token_type=None),
        "not a uuid": forged(cast, sid="1' OR 1=1--"),
        "no sign-in": forged(cast, sid=None),
        "unknown sign-in": forged(cast, sid=str(uuid.uuid4())),
        "another user": forged(cast, user_id="999999999"),
        "no number": forged(cast, user_id="alice"),
        "beyond every number": forged(cast, user_id="9" * 300),
        "negative": forged(cast, user_id="-1"),
        "another version": forged(cast, ver=99),
        "payload swapped": f"{head}.{other}.{signature}",
        "cut short": cast.alice.token[:-4],
        "doubled": f"{cast.alice.token}.{signature}",
    }


ATTACKS = 33


@pytest.mark.parametrize("number", range(ATTACKS))
def test_it_is_refused(api: Api, cast: Cast, number: int) -> None:
    found = attacks(cast)
    assert len(found) == ATTACKS
    name, token = list(found.items())[number]

    for path in ("/auth/me/", "/v1/models", "/ai/jobs/"):
        response = api.as_(token).get(path)
        assert response.status_code == 401, (name, path, response.text)
    verified = api.post("/auth/token/verify/", {"token": token})
    assert verified.status_code in (400, 401), name


def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(api: Api, cast: Cast) -> None:
    tokens = pair(api, cast)

    assert api.as_(tokens["refresh"]).get("/auth/me/").status_code == 401
    assert api.post("/auth/token/refresh/", {"refresh": tokens["access"]}).status_code == 401
    assert api.post("/auth/token/revoke/", {"refresh": tokens["access"]}).status_code == 401


def test_a_refresh_token_with_a_broken_sign_in_is_refused_not_a_fault(api: Api, cast: Cast) -> None:
    refresh = forged(cast, token_type="refresh", sid="nonsense")

    for path in ("/auth/token/refresh/", "/auth/token/revoke/"):
        assert api.post(path, {"refresh": refresh}).status_code == 401


def test_the_key_is_its_own_and_long() -> None:
    assert settings.SIMPLE_JWT["SIGNING_KEY"] == settings.HUB_JWT_KEY != settings.SECRET_KEY
    assert len(settings.HUB_JWT_KEY.encode()) >= 64
    assert settings.SIMPLE_JWT["ALGORITHM"] == "HS256"
    assert tuple(int(part) for part in jwt.__version__.split(".")[:2]) >= (2, 13)
