"""The OpenAI wire formats: canonical request to body, body to canonical response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
from dspy import lm15
from dspy.lm15 import Message, Request, Response, TokenLogprob, TopLogprob, Usage

Turns = list[tuple[str, str]]


def _llama3(turns: Turns) -> str:
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    said = "".join(head.format(role) + text + "<|eot_id|>" for role, text in turns)
    return said + head.format("assistant")


def _chatml(turns: Turns) -> str:
    said = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return said + "<|im_start|>assistant\n"


#: Chat templates for the completions wire. The first token of the text (BOS) is the server's.
TEMPLATES: dict[str, Callable[[Turns], str]] = {"llama3": _llama3, "chatml": _chatml}


@dataclass(frozen=True)
class Endpoint:
    """Where a model's calls go.

    Attributes:
        calls: URL that calls are posted to.
        models: URL that lists the models; None for an Azure deployment, which has no list.
        azure: the key travels as ``api-key`` and the model is in the URL.
    """

    calls: str
    models: str | None
    azure: bool = False


def endpoint(url: str, wire: str) -> Endpoint:
    """The endpoint of a server's URL; an Azure deployment's URL keeps its query."""
    parts = urlsplit(url)
    tail = "chat/completions" if wire == "chat" else "completions"
    path = parts.path.rstrip("/")
    if "/openai/deployments/" in path:
        path = path.removesuffix("/" + tail)
        whole = urlunsplit((parts.scheme, parts.netloc, f"{path}/{tail}", parts.query, ""))
        return Endpoint(whole, None, azure=True)
    base = path if path.endswith("/v1") else f"{path}/v1"

    def at(name: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, f"{base}/{name}", parts.query, ""))

    return Endpoint(at(tail), at("models"))


def _text(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    return "\n".join(part.text for part in parts)


def encode(
    request: Request,
    wire: str,
    template: str | None,
    structured: bool,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The body of a call.

    The seed travels as ``seed``; a JSON schema as ``response_format``, which OpenAI, vLLM and
    llama.cpp take alike. A prompt written with Llama-3's special tokens (extension
    ``raw_prompt``) is sent unchanged where wire and template are the ones it is for.

    Args:
        request: what to ask.
        wire: ``chat`` or ``completions``.
        template: of TEMPLATES, for the completions wire.
        structured: whether to send the JSON schema.
        more: further fields of the body.
    """
    config = request.config
    turns: Turns = [] if request.system is None else [("system", _text(request.system))]
    turns += [(message.role, _text(message.parts)) for message in request.messages]
    body: dict[str, Any] = {"model": request.model}
    extensions = dict(config.extensions or {})
    if wire == "chat":
        body["messages"] = [{"role": role, "content": text} for role, text in turns]
    else:
        raw = extensions.get("raw_prompt") if template == "llama3" else None
        body["prompt"] = raw or TEMPLATES[template or ""](turns)
    for name in ("temperature", "max_tokens", "top_p", "seed"):
        if (value := getattr(config, name)) is not None:
            body[name] = int(value) if value == int(value) else value
    if config.logprobs:
        if wire == "chat":
            body |= {"logprobs": True, "top_logprobs": config.logprobs}
        else:
            body["logprobs"] = config.logprobs
    if config.stop:
        body["stop"] = list(config.stop)
    extensions.pop("raw_prompt", None)
    body |= {**(more or {}), **extensions}
    if structured and (schema := config.response_format):
        # DSPy drops the name "response", which it takes for its own; OpenAI demands one.
        named = {"name": "response"}
        named |= {k: schema[k] for k in ("name", "schema", "strict") if k in schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return orjson.dumps(body)


def _logprobs(choice: dict[str, Any]) -> tuple[TokenLogprob, ...] | None:
    """Tokens with their alternatives, in either wire's form; None where there are none."""
    given = choice.get("logprobs") or {}
    if given.get("content"):  # chat
        return tuple(
            TokenLogprob(
                t["token"],
                float(t["logprob"]),
                top=tuple(
                    TopLogprob(a["token"], float(a["logprob"])) for a in t.get("top_logprobs") or ()
                ),
            )
            for t in given["content"]
        )
    if given.get("tokens") and given.get("top_logprobs"):  # completions
        return tuple(
            TokenLogprob(
                token,
                float((top or {}).get(token, 0.0)),
                top=tuple(TopLogprob(a, float(p)) for a, p in (top or {}).items()),
            )
            for token, top in zip(given["tokens"], given["top_logprobs"], strict=False)
        )
    return None


def decode(raw: bytes, model: str) -> Response:
    """The canonical response of a body.

    Raises:
        lm15.TransportError: the body is cut short or holds no choice; the call may be retried.
    """
    try:
        body = orjson.loads(raw)
        choice = body["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        usage = body.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        return Response(
            id=body.get("id") or None,
            model=body.get("model") or model,
            message=Message.assistant(text or ""),
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
            usage=Usage(
                input_tokens=usage.get("prompt_tokens"),
                output_tokens=usage.get("completion_tokens"),
                cache_read_tokens=cached,
            ),
            logprobs=_logprobs(choice),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise lm15.TransportError(
            f"the server's answer is not a completion ({type(error).__name__}): {raw[:80]!r}"
        ) from None
