"""A deterministic OpenAI-compatible server over real HTTP, with faults on request.

A reply depends on the prompt, the seed and the schema alone, so that two runs of one study agree
byte for byte. ``python -m tests.fake_server`` runs it alone and prints its URL.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

WORDS = """
I you we feel think often sometimes the night work home friend worry try notice small step
because maybe then slowly today yesterday it this that hard easier fine tired hopeful not
""".split()

#: One fault of a list, or None: called with the number of the request, from 1.
Faults = Callable[[int], str | None]


def sentence(digest: bytes, words: int) -> str:
    """Words chosen by a hash."""
    picked = [WORDS[digest[i % 32] % len(WORDS)] for i in range(words)]
    return " ".join(picked).capitalize() + "."


def instance(schema: dict[str, Any], digest: bytes, depth: int = 0) -> Any:
    """A value of the schema, chosen by the hash."""
    byte = digest[depth % 32]
    if "enum" in schema:
        return schema["enum"][byte % len(schema["enum"])]
    kind = schema["type"]
    if kind == "object":
        return {
            key: instance(value, digest, depth + n)
            for n, (key, value) in enumerate(schema["properties"].items(), 1)
        }
    if kind == "array":
        items = schema["items"]
        size = min(schema.get("maxItems", 3), max(schema.get("minItems", 1), 1 + byte % 3))
        if "enum" in items:
            return [items["enum"][(byte + k) % len(items["enum"])] for k in range(size)]
        return [instance(items, digest, depth + k) for k in range(size)]
    if kind == "integer":
        low, high = schema.get("minimum", 0), schema.get("maximum", 6)
        return low + byte % (high - low + 1)
    return sentence(digest[depth % 32 :] + digest, 6)


@dataclass
class FakeServer:
    """What the server does and what it has seen.

    Attributes:
        faults: see Faults; kinds are any HTTP status ("429", "500", "401", ...), reset,
            truncate, hang, empty, malformed.
        complaint: what the body of an HTTP error says.
        retry_after: the header of a 429; None leaves it out.
        hang: seconds that a hanging answer takes.
        schemas: whether it honours ``response_format``, ignores it, or refuses it ("refuse").
        models: ids it offers; none at all is a server that lists no models (404).
        key: a key it demands.
        delay: seconds before each answer.
        usage: whether its answers count tokens.
        finish: the finish reason of its answers.
        reply: overrides the reply text, given body and prompt.
        requests: bodies received, in order, with "path" and "headers" added.
        count: calls received.
        listed: how often its models were asked for.
    """

    faults: Faults = lambda _: None
    schemas: bool | str = True
    models: tuple[str, ...] = ("fake-model",)
    key: str | None = None
    delay: float = 0.0
    hang: float = 30.0
    complaint: str = "simulated fault"
    retry_after: str | None = "0.01"
    usage: bool = True
    finish: str = "stop"
    record: bool = True
    reply: Callable[[dict[str, Any], str], str | None] = lambda body, prompt: None
    requests: list[dict[str, Any]] = field(default_factory=list)
    fault_counts: Counter[str] = field(default_factory=Counter)
    count: int = 0
    listed: int = 0
    url: str = ""

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/openai/deployments/{name}/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        return app

    def _refused(self, request: web.Request) -> web.Response | None:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        sent = request.headers.get("api-key", sent)
        if self.key is None or sent == self.key:
            return None
        error = {"message": f"Incorrect API key provided: {sent}", "code": "invalid_api_key"}
        return web.json_response({"error": error}, status=401)

    async def _models(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        self.listed += 1
        if not self.models:
            return web.Response(status=404)
        data = [{"id": name, "object": "model", "owned_by": "fake"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refused(request):
            return refused
        body = json.loads(await request.read())
        self.count += 1
        if self.record:
            seen = {"path": request.path_qs, "headers": dict(request.headers)}
            self.requests.append(body | seen)
        kind = self.faults(self.count)
        if kind:
            self.fault_counts[kind] += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if kind and kind.isdecimal():
            wait = kind == "429" and self.retry_after is not None
            headers = {"Retry-After": str(self.retry_after)} if wait else None
            error = {"error": {"message": self.complaint}}
            return web.json_response(error, status=int(kind), headers=headers)
        if kind == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if kind == "hang":
            await asyncio.sleep(self.hang)
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        if schema and self.schemas == "refuse":
            error = {"error": {"message": "response_format is not supported"}}
            return web.json_response(error, status=400)
        text = self._text(body, schema if self.schemas is True else None)
        if kind == "empty":
            text = ""
        if kind == "malformed":
            text = "???" if schema else '"""'
        return self._answer(body, text, cut=kind == "truncate")

    def _text(self, body: dict[str, Any], schema: dict[str, Any] | None) -> str:
        chat = "messages" in body
        prompt = json.dumps(body["messages"]) if chat else str(body["prompt"])
        if (said := self.reply(body, prompt)) is not None:
            return said
        digest = hashlib.sha256(f"{prompt}|{body.get('seed')}".encode()).digest()
        if schema:
            return json.dumps(instance(schema, digest))
        if "five to choose from" in prompt:
            return "Reflection, Questioning"
        if "techniques to pick from" in prompt:
            return "Technique: Reality Testing\nPlan:\n1. " + sentence(digest, 8)
        return sentence(digest, 12 + digest[3] % 20)

    def _answer(self, body: dict[str, Any], text: str, cut: bool) -> web.Response:
        chat = "messages" in body
        content = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        size = len(json.dumps(body.get("messages") or body["prompt"])) // 4
        usage = {
            "prompt_tokens": size,
            "completion_tokens": len(text) // 4,
            "total_tokens": size + len(text) // 4,
        }
        whole = {
            "id": "fake",
            "model": body["model"],
            "choices": [{"index": 0, **content, "finish_reason": self.finish}],
        }
        data = json.dumps(whole | ({"usage": usage} if self.usage else {})).encode()
        return web.Response(
            body=data[: len(data) // 2] if cut else data, content_type="application/json"
        )


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    """Runs the server on loopback in a thread of its own; its ``url`` is set."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        # a server that dies takes the calls under way with it: no grace for them
        runner = web.AppRunner(
            server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.01
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def main() -> None:
    """Serves until interrupted; prints the URL."""
    with serving(FakeServer(record=False)) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
