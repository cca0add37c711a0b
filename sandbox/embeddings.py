"""Embeddings, without a socket: deterministic unit vectors of each model's size."""

import base64
import hashlib
import math
from array import array

import orjson

from sandbox import errors, fields, tokens
from sandbox.prompts import Body

NATIVE_SIZES = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}
OTHER_SIZE = 1024
MAX_INPUTS = 2048

RULES = {
    "model": fields.TEXT,
    "input": fields.TEXT_OR_ARRAY,
    "encoding_format": fields.one_of("float", "base64"),
    "dimensions": fields.integer(1),
}

# A text, or the ids of its tokens.
Input = str | list[int]


def answer(body: Body) -> Body:
    fields.check(body, RULES, required=("model", "input"))
    model: str = body["model"]
    inputs = parse_inputs(body["input"])
    size = vector_size(model, body.get("dimensions"))
    packed = body.get("encoding_format") == "base64"
    data = []
    for index, item in enumerate(inputs):
        values = vector(model, item, size)
        embedding = base64.b64encode(values.tobytes()).decode() if packed else values.tolist()
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    used = sum(len(item) if isinstance(item, list) else tokens.count(item) for item in inputs)
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def vector_size(model: str, dimensions: int | None) -> int:
    native = NATIVE_SIZES.get(model, OTHER_SIZE)
    if dimensions is None:
        return native
    if model == "text-embedding-ada-002":
        raise errors.ApiError(400, "This model does not support specifying dimensions.", param="dimensions")
    if dimensions > native:
        raise errors.ApiError(
            400,
            f"Invalid value for 'dimensions' = {dimensions}. Must be less than or equal to {native}.",
            param="dimensions",
        )
    return dimensions


def vector(model: str, item: Input, size: int) -> "array[float]":
    """A unit vector of float32; a shorter one has the direction of the longer one's beginning."""
    source = hashlib.shake_256(orjson.dumps((model, item))).digest(2 * size)
    numbers = array("h", source)
    length = math.sqrt(sum(value * value for value in numbers)) or 1.0
    return array("f", [value / length for value in numbers])


def parse_inputs(value: str | list[object]) -> list[Input]:
    """The texts or token lists of `input`; raises ApiError when it is neither."""
    if isinstance(value, str):
        inputs: list[Input] = [value]
    elif value and all(type(item) is int for item in value):
        inputs = [[item for item in value if isinstance(item, int)]]
    else:
        inputs = [_input(f"input[{index}]", item) for index, item in enumerate(value)]
    if not inputs:
        raise errors.empty_array("input")
    if len(inputs) > MAX_INPUTS:
        raise errors.ApiError(
            400,
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, "
            f"but got an array with length {len(inputs)} instead.",
            param="input",
            code="array_above_max_length",
        )
    if not all(inputs):
        raise errors.ApiError(400, "Input cannot be an empty string.", param="input")
    return inputs


def _input(name: str, item: object) -> Input:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and all(type(token) is int for token in item):
        return item
    raise errors.invalid_type(name, "a string or an array of token ids", item)
