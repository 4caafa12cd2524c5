"""The engine: one DSPy request, one HTTP call to an OpenAI-compatible server."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import aiohttp
import dspy
import orjson
from dspy import lm15
from dspy.lm15 import Request, Response

from magnet.lm.spec import LMSpec
from magnet.lm.sync import run_sync
from magnet.lm.usage import Call, Meter
from magnet.lm.wire import decode, encode, endpoint

_SESSIONS: WeakKeyDictionary[
    asyncio.AbstractEventLoop, tuple[AsyncIterator[aiohttp.ClientSession], aiohttp.ClientSession]
] = WeakKeyDictionary()


async def _sessions() -> AsyncIterator[aiohttp.ClientSession]:
    # 4 s: uvicorn (vLLM) drops idle connections after 5, and a call must not meet that.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=True) as session:
        yield session


async def http_session() -> aiohttp.ClientSession:
    """The one HTTP session of the running event loop.

    It lives in an asynchronous generator, which asyncio.run() closes with the loop: nobody has
    to remember to.
    """
    loop = asyncio.get_running_loop()
    if loop not in _SESSIONS:
        generator = _sessions()
        _SESSIONS[loop] = (generator, await anext(generator))
    return _SESSIONS[loop][1]


def key_of(spec: LMSpec) -> str:
    """The key, from the environment variable the study names; "" where there is none."""
    return os.environ.get(spec.key_env or "", "").strip()


def headers_for(spec: LMSpec, azure: bool = False) -> dict[str, str]:
    """Request headers, with the key from the environment where the study names one."""
    headers = {"Content-Type": "application/json"}
    if key := key_of(spec):
        headers |= {"api-key": key} if azure else {"Authorization": f"Bearer {key}"}
    return headers


def redact(text: str, spec: LMSpec) -> str:
    """Text of a server without the key, whole or as servers echo it (``sk-ab***yz``)."""
    if key := key_of(spec):
        text = text.replace(key, "[key]")
    return re.sub(r"\b(?:sk|key)-[\w*.-]{6,}", "[key]", text)


def _message(raw: bytes) -> str:
    try:
        error = orjson.loads(raw)
        error = error.get("error", error.get("detail", error))
        return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
    except (ValueError, AttributeError):
        return raw[:200].decode("utf-8", "replace")


_CONTEXT = re.compile(
    r"context.{0,20}(?:length|size|window)|maximum context|too many tokens", re.IGNORECASE
)
_SCHEMA = re.compile(
    r"response_format|json.?schema|guided|grammar|structured|extra (?:inputs|fields)", re.IGNORECASE
)


def names_schema(text: str) -> bool:
    """Whether an error's text speaks of the JSON schema that was sent along."""
    return _SCHEMA.search(text) is not None


def _error(status: int, text: str, retry_after: str | None) -> lm15.LM15Error:
    """The lm15 error of an HTTP status: DSPy and the agents decide by its type on retries."""
    known: dict[int, type[lm15.LM15Error]] = {
        401: lm15.AuthError,
        402: lm15.BillingError,
        403: lm15.AuthError,
        404: lm15.UnsupportedModelError,
        408: lm15.TimeoutError,
        429: lm15.RateLimitError,
    }
    kind = known.get(status, lm15.ServerError if status >= 500 else lm15.InvalidRequestError)
    if status in (400, 413, 422) and _CONTEXT.search(text):
        kind = lm15.ContextLengthError
    try:
        seconds = float(retry_after or 0)
    except ValueError:  # a date: the caller's own pause serves
        seconds = 0
    wait = seconds if 0 < seconds < float("inf") else None
    return kind(f"HTTP {status}: {text}", status=status, retry_after=wait)


def plain(error: lm15.LM15Error) -> str:
    """What went wrong, without the advice that lm15 adds for its own users."""
    return str(error.message).split("\n\n")[0]


@dataclass
class Support:
    """What a server turned out to support; shared by the roles that use it."""

    structured: bool = True


def call_of(role: str, response: Response, seconds: float) -> Call:
    """The record of an answered request."""
    usage = response.usage
    return Call(
        role=role,
        model=response.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        finish=response.finish_reason,
        cached=usage.cache_read_tokens,
        seconds=seconds,
    )


def log_call(call: Call) -> None:
    """Hands a call's record to whoever listens in this context (``dspy.settings.call_log``)."""
    if (log := dspy.settings.get("call_log")) is not None:
        log.append(call)


def _seeded(request: Request) -> Request:
    """The request with the next seed of its caller (``dspy.settings.next_seed``) if it has none."""
    if request.config.seed is not None or (draw := dspy.settings.get("next_seed")) is None:
        return request
    return replace(request, config=replace(request.config, seed=draw()))


class Asker(Protocol):
    """What answers requests: an engine, or one in front of it."""

    spec: LMSpec

    async def complete(self, request: Request) -> Response:
        """Answers one request."""


class Engine:
    """Async engine of a ``dspy.LM``: no cache, no retries, one request per call.

    Args:
        spec: the model, with its URL.
        role: whose calls these are; usage is counted under it.
        meter: counts usage and keeps the budget.
        support: what the server is known to support.
    """

    def __init__(self, spec: LMSpec, role: str, meter: Meter, support: Support) -> None:
        assert spec.url is not None
        self.spec, self.role, self.meter, self.support = spec, role, meter, support
        self.endpoint = endpoint(spec.url, spec.wire)
        self.headers = headers_for(spec, self.endpoint.azure)
        self.timeout = aiohttp.ClientTimeout(total=spec.timeout, sock_connect=30)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        return self  # a program's copies share its models: one meter, one connection

    async def complete(self, request: Request) -> Response:
        """Sends one request.

        Raises:
            lm15.LM15Error: by kind; rate limits, 5xx, time-outs and broken connections may be
                retried.
            BudgetReached: the request was not sent.
        """
        request = _seeded(request)
        asked = self.spec.structured and request.config.response_format is not None
        structured = asked and self.support.structured
        self.meter.start(self.role)
        started = time.perf_counter()
        try:
            response = await self._post(request, structured)
        except BaseException as error:
            self.meter.fail(self.role)
            refused = isinstance(error, lm15.InvalidRequestError) and names_schema(str(error))
            if not (structured and refused):
                raise
            self.support.structured = False  # this server cannot: answers are read from text
            return await self.complete(request)
        call = call_of(self.role, response, time.perf_counter() - started)
        self.meter.finish(call, self.spec.price)
        log_call(call)
        return response

    async def _post(self, request: Request, structured: bool) -> Response:
        body = encode(
            request, self.spec.wire, self.spec.template, structured, self.spec.more_sampling()
        )
        try:
            session = await http_session()
            async with session.post(
                self.endpoint.calls, data=body, headers=self.headers, timeout=self.timeout
            ) as answer:
                raw = await answer.read()
                if answer.status == 200:
                    return decode(raw, request.model)
                text = redact(_message(raw), self.spec)
                raise _error(answer.status, text, answer.headers.get("Retry-After"))
        except TimeoutError as error:
            if isinstance(error, lm15.LM15Error):
                raise
            raise lm15.TimeoutError(f"no answer within {self.spec.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise lm15.TransportError(
                redact(f"{type(error).__name__}: {error}", self.spec)
            ) from None


class SyncEngine:
    """The same engine for DSPy's synchronous path (``lm("...")``, optimizers)."""

    def __init__(self, engine: Asker) -> None:
        self.engine = engine
        # DSPy's JSON format asks these before it sends a schema; a server that refuses one is
        # met by the engine.
        self.supports_response_schema = engine.spec.structured
        self.supported_params = frozenset({"response_format"} if engine.spec.structured else ())

    def __deepcopy__(self, memo: dict[int, Any]) -> "SyncEngine":
        return self

    def complete(self, request: Request) -> Response:
        """Sends one request and waits for it."""
        return run_sync(self.engine.complete(request))


async def list_models(spec: LMSpec) -> list[dict[str, Any]]:
    """The models a server offers, as it lists them (``id``, ``owned_by``, ...).

    Raises:
        lm15.LM15Error: it cannot be reached or refuses.
    """
    assert spec.url is not None
    url = endpoint(spec.url, spec.wire).models
    if url is None:
        return []
    try:
        session = await http_session()
        timeout = aiohttp.ClientTimeout(total=20)
        async with session.get(url, headers=headers_for(spec), timeout=timeout) as answer:
            raw = await answer.read()
            if answer.status != 200:
                raise _error(answer.status, redact(_message(raw), spec), None)
            return list(orjson.loads(raw)["data"])
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, lm15.LM15Error):
            raise
        raise lm15.TransportError(f"{type(error).__name__}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise lm15.TransportError(f"{url} does not list models") from None
