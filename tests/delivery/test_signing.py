"""Standard Webhooks signatures."""

from __future__ import annotations

import base64

from megahub.delivery.domain import signing

#: The vector that the specification's reference libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # leaks: published
MESSAGE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_specifications_vector() -> None:
    assert signing.sign(SECRET, *MESSAGE) == SIGNATURE
    assert signing.sign(SECRET.removeprefix("whsec_"), *MESSAGE) == SIGNATURE


def test_whatever_is_tampered_with_signs_otherwise() -> None:
    message_id, timestamp, body = MESSAGE
    tampered = [
        (message_id + "x", timestamp, body),
        (message_id, timestamp + 1, body),
        (message_id, timestamp, body + b" "),
        (message_id[:-1], timestamp, body),
    ]

    assert all(signing.sign(SECRET, *each) != SIGNATURE for each in tampered)
    assert signing.sign(signing.new_secret(), *MESSAGE) != SIGNATURE


def test_a_secret_is_256_random_bits() -> None:
    secrets = {signing.new_secret() for _ in range(50)}

    assert len(secrets) == 50
    assert all(
        len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32 for secret in secrets
    )


def test_the_headers_carry_a_signature_per_secret() -> None:
    other = signing.new_secret()

    assert signing.headers([other, SECRET], *MESSAGE) == {
        "webhook-id": MESSAGE[0],
        "webhook-timestamp": str(MESSAGE[1]),
        "webhook-signature": f"{signing.sign(other, *MESSAGE)} {SIGNATURE}",
    }
