"""Calls to a ``dspy.LM`` that keeps its own connection: not one that ``connect`` made.

DSPy takes a canonical request from anybody and gives a canonical response, so that the prompt's
bytes, usage and the model's name are available from any LM. Its own wires speak to the server: no
completions template, no raw prompt, and repetitions and cache as that LM is set.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import dspy
from dspy.clients.backend_selection import CLIENT_KEYS
from dspy.lm15 import DataPart, Request, Response, TextPart, request_from_openai_chat
from dspy.utils.exceptions import LMInvalidRequestError, LMUnsupportedFeatureError

from magnet.lm.http import SyncEngine, call_of, log_call, names_schema

#: Keys of an LM or a call that are DSPy's own, or its connection's, and no part of a request.
_NOT_SENT = frozenset(CLIENT_KEYS) | {"cache", "n", "num_generations", "prompt_cache", "rollout_id"}
#: What DSPy translates from server to server; further options go to the server as they are.
_KNOWN = frozenset(
    {
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("logprobs", "top_logprobs", "reasoning_effort", "response_format"),
    }
)
#: LMs that refused a schema.
_PLAIN: WeakSet[dspy.BaseLM] = WeakSet()


def is_foreign(lm: Any) -> bool:
    """Whether an LM keeps its own connection."""
    return not isinstance(getattr(lm, "engine", None), SyncEngine)


def _request(
    lm: dspy.BaseLM,
    messages: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    schema: Mapping[str, Any] | None,
) -> Request:
    given = {**lm.kwargs, **options}
    body = {k: v for k, v in given.items() if v is not None and k not in _NOT_SENT}
    more = body.pop("extra_body", {}) | {k: body.pop(k) for k in list(body) if k not in _KNOWN}
    if (alternatives := body.get("logprobs")) and alternatives is not True:
        body |= {"logprobs": True, "top_logprobs": alternatives}
    if schema is not None and lm not in _PLAIN:
        body["response_format"] = {"type": "json_schema", "json_schema": dict(schema)}
    whole = request_from_openai_chat({"model": lm.model, "messages": list(messages), **body})
    return replace(whole, config=replace(whole.config, extensions=more)) if more else whole


def _without_schema(lm: dspy.BaseLM, request: Request, error: Exception) -> Request:
    """The request without the schema that the LM refused; the error where that is not the cause."""
    unsupported = isinstance(error, LMUnsupportedFeatureError)
    if request.config.response_format is None or not (unsupported or names_schema(str(error))):
        raise error
    _PLAIN.add(lm)  # from here on answers are read from text
    return replace(request, config=replace(request.config, response_format=None))


def _more(lm: dspy.BaseLM, options: Mapping[str, Any]) -> dict[str, Any]:
    """What tells DSPy's cache two equal requests apart."""
    rollout = options.get("rollout_id", lm.kwargs.get("rollout_id"))
    return {} if rollout is None else {"rollout_id": rollout}


def text_of(response: Response) -> str:
    """An answer's text; DSPy has read it already where it is the JSON that was asked for."""
    parts = response.message.parts
    return "".join(
        part.text if isinstance(part, TextPart) else json.dumps(part.value, ensure_ascii=False)
        for part in parts
        if isinstance(part, TextPart | DataPart)
    )


def _logged(response: Response, started: float) -> Response:
    log_call(call_of("default", response, time.perf_counter() - started))
    return response


def ask(
    lm: dspy.BaseLM,
    messages: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
) -> Response:
    """Asks once, and once more without the schema where the LM refuses it.

    Args:
        lm: the LM; its own options hold where ``options`` say nothing.
        messages: as OpenAI's chat wire has them.
        options: temperature, max_tokens, seed and the like.
        schema: ``name``, ``schema`` and ``strict`` of the answer's JSON schema.

    Raises:
        LMError: by kind, once DSPy has repeated the call as often as the LM says.
    """
    request, started = _request(lm, messages, options, schema), time.perf_counter()
    try:
        response = lm(request, **_more(lm, options))
    except (LMInvalidRequestError, LMUnsupportedFeatureError) as error:
        response = lm(_without_schema(lm, request, error), **_more(lm, options))
    return _logged(response, started)


async def aask(
    lm: dspy.BaseLM,
    messages: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
) -> Response:
    """``ask`` for asynchronous callers."""
    request, started = _request(lm, messages, options, schema), time.perf_counter()
    try:
        response = await lm.acall(request, **_more(lm, options))
    except (LMInvalidRequestError, LMUnsupportedFeatureError) as error:
        response = await lm.acall(_without_schema(lm, request, error), **_more(lm, options))
    return _logged(response, started)
