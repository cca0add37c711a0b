"""Legacy completions, without a socket. Never streamed here."""

from sandbox import chat, errors, fields, prose, tokens
from sandbox.embeddings import Input, parse_inputs
from sandbox.prompts import Body

DEFAULT_MAX_TOKENS = 16

RULES = {
    "model": fields.TEXT,
    "prompt": fields.TEXT_OR_ARRAY,
    "n": fields.integer(1, 128),
    "max_tokens": fields.integer(0),
    "temperature": fields.decimal(0, 2),
    "top_p": fields.decimal(0, 1),
    "stop": fields.TEXT_OR_ARRAY,
    "seed": fields.INTEGER,
    "echo": fields.FLAG,
    "stream": fields.FLAG,
}


def answer(body: Body, now: int) -> Body:
    fields.check(body, RULES, required=("model", "prompt"))
    fields.check_text_array("stop", body.get("stop"))
    refuse_stream(body)
    asked = parse_inputs(body["prompt"])
    seed = prose.digest(body["model"], asked, body.get("seed"))
    choices: list[Body] = []
    written = 0
    for prompt in asked:
        for _ in range(body.get("n") or 1):
            text, finish_reason = _text(body, prompt, prose.number(seed) + 7919 * len(choices))
            written += tokens.count(text)
            if body.get("echo") and isinstance(prompt, str):
                text = prompt + text
            choices.append(
                {
                    "text": text,
                    "index": len(choices),
                    "logprobs": None,
                    "finish_reason": finish_reason,
                }
            )
    read = sum(len(item) if isinstance(item, list) else tokens.count(item) for item in asked)
    return {
        "id": f"cmpl-sandbox-{seed.hex()}",
        "object": "text_completion",
        "created": now,
        "model": body["model"],
        "choices": choices,
        "system_fingerprint": "fp_sandbox",
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def refuse_stream(body: Body) -> None:
    if body.get("stream"):
        raise errors.ApiError(
            400,
            "The sandbox does not stream this surface, only chat completions.",
            param="stream",
            code="unsupported_value",
        )


def _text(body: Body, prompt: Input, seed: int) -> tuple[str, str]:
    asked = prompt if isinstance(prompt, str) else f"{len(prompt)} tokens"
    text = chat.up_to_stop(prose.answer(body["model"], asked, seed), body.get("stop"))
    limit = body.get("max_tokens")
    limit = DEFAULT_MAX_TOKENS if limit is None else limit
    short = tokens.cut(text, limit)
    return short, "stop" if short == text else "length"
