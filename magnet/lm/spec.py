"""What a study says about a language model."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from signatures import PARENTS

#: What a role does not take over from ``default`` once it names a URL of its own: a key, above
#: all, must not reach another server.
CONNECTION = ("url", "model", "wire", "template", "key_env", "price")


_SECRET = re.compile(r"key|token|secret|sig|pass|auth", re.IGNORECASE)


def _no_secrets(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL starts with http:// or https:// and names a host")
    if parts.password or parts.username or any(map(_SECRET.search, parse_qs(parts.query))):
        raise ValueError(
            "a key stands in the URL; put it into an environment variable and name that in key_env"
        )
    return url.rstrip("/")


class Price(BaseModel):
    """Price of a model in ``currency`` a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: NonNegativeFloat
    output: NonNegativeFloat
    currency: str = "USD"


class LMSpec(BaseModel):
    """One model: where it is, how it is spoken to, how it samples.

    Attributes:
        url: an OpenAI-compatible server (with or without /v1) or an Azure deployment's URL;
            unset is the embedded LM.
        model: its name there; not needed where the server offers only one.
        wire: ``chat`` posts messages, ``completions`` posts the prompt with ``template``'s
            special tokens.
        key_env: name of the environment variable that holds the key.
        max_tokens: of an answer; 0 leaves the limit to the server.
        timeout: seconds a call may take.
        structured: ask the server to constrain typed answers to their JSON schema.
        extra: further fields of the request body, as the server names them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(_no_secrets)] | None = None
    model: str | None = None
    wire: Literal["chat", "completions"] = "chat"
    template: Literal["llama3", "chatml"] | None = None
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: NonNegativeInt = 512
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    price: Price | None = None
    timeout: float = Field(default=300, gt=0)
    structured: bool = True
    extra: dict[str, Any] = {}

    def sampling(self) -> dict[str, Any]:
        """The sampling fields every LM knows, as DSPy names them; unset ones left out."""
        fields = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens or None,
        }
        return {k: v for k, v in fields.items() if v is not None}

    def more_sampling(self) -> dict[str, Any]:
        """Fields of the request body that are this server's own."""
        return ({} if self.min_p is None else {"min_p": self.min_p}) | self.extra


def spec_for(
    role: str, tables: Mapping[str, dict[str, Any]], usual: Mapping[str, Any] | None = None
) -> LMSpec:
    """A role's model from a study's ``[lm.*]`` tables: its own keys over those of ``default``.

    Args:
        role: the role.
        tables: the study's.
        usual: what the role's keys are unless its own table says otherwise.
    """
    merged: dict[str, Any] = {}
    for name in ("default", PARENTS.get(role, role), role):
        own = tables.get(name, {})
        if "url" in own and name != "default":
            merged = {k: v for k, v in merged.items() if k not in CONNECTION}
        if name == role:
            merged |= usual or {}
        merged |= own
    return LMSpec.model_validate(merged)
