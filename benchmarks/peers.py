"""LiteLLM and Portkey beside the hub, when they are installed.

``pip install 'litellm[proxy]'`` into any environment and ``npm install @portkey-ai/gateway`` anywhere;
then ``BENCH_LITELLM=…/bin/litellm BENCH_PORTKEY=…/node_modules/.bin/gateway``. Both run as one process
without a database, as their own documentation measures them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.ground import TESTED_CORE, process, wait_for
from tools import services

LITELLM_KEY = "sk-benchmark-0123456789abcdef0123456789"
LITELLM = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{url}/v1", api_key: sk-bench}}
general_settings: {{master_key: {key}}}
"""

Target = tuple[str, dict[str, str], int]


@contextmanager
def litellm(provider_url: str) -> Iterator[Target | None]:
    """(URL, headers, pid), or None when it is not installed."""
    program = os.environ.get("BENCH_LITELLM")
    if not program:
        yield None
        return
    port = services.free_port("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "litellm.yaml"
        config.write_text(LITELLM.format(url=provider_url, key=LITELLM_KEY))
        command = [program, "--config", str(config), "--port", str(port), "--num_workers", "1"]
        with process(command, TESTED_CORE) as pid:
            wait_for(f"http://127.0.0.1:{port}/health/liveliness", seconds=180)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            yield url, {"Authorization": f"Bearer {LITELLM_KEY}"}, pid


@contextmanager
def portkey(provider_url: str) -> Iterator[Target | None]:
    """(URL, headers, pid), or None when it is not installed."""
    program = os.environ.get("BENCH_PORTKEY")
    if not program:
        yield None
        return
    port = services.free_port("127.0.0.1")
    with process(["node", program, f"--port={port}"], TESTED_CORE) as pid:
        wait_for(f"http://127.0.0.1:{port}/")
        headers = {
            "Authorization": "Bearer sk-bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{provider_url}/v1",
        }
        yield f"http://127.0.0.1:{port}/v1/chat/completions", headers, pid
