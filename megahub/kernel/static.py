"""Static files under ASGI: WhiteNoise's answers, read in the thread that they are made in."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise, without its streams.

    It answers with a file that is read block by block; of such an answer ASGI has Django read all
    blocks at once, with a warning for each file.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        answer = HttpResponse(status=int(found.status))
        del answer["Content-Type"]
        if found.file is not None:
            with closing(found.file) as file:
                answer.content = file.read()
        for name, value in found.headers:
            answer[name] = value
        return answer
