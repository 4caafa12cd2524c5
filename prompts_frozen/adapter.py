"""The DSPy adapter that sends a frozen prompt byte for byte and reads the typed answer."""

from typing import Any

import dspy
from dspy.lm15 import Config, Message, Request, Response
from dspy.utils.exceptions import AdapterParseError

from magnet.lm.foreign import aask, ask, is_foreign, text_of
from prompts_frozen.prompt import Prompt
from signatures.reading import Reader


class FrozenAdapter(dspy.Adapter):
    """Renders a locked prompt instead of DSPy's own format.

    An engine of ours is handed a Request with all it may need; any other LM the same messages,
    over its own wire.

    Args:
        prompt: the frozen prompt.
        read: turns a completion into the signature's outputs, ValueError where it cannot.
        schema: JSON schema of the answer, sent with the prompt to servers that constrain
            decoding; the prompt's bytes do not depend on it.
    """

    def __init__(self, prompt: Prompt, read: Reader, schema: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.prompt, self.read, self.schema = prompt, read, schema

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The prompt as chat messages (DSPy's contract; calls themselves use a Request)."""
        system, user = self.prompt.render(inputs)
        head = [] if system is None else [{"role": "system", "content": system}]
        return [*head, {"role": "user", "content": user}]

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """The signature's outputs.

        Raises:
            AdapterParseError: the completion does not hold them.
        """
        try:
            return self.read(completion)
        except ValueError as error:
            raise AdapterParseError(
                adapter_name="FrozenAdapter",
                signature=signature,
                lm_response=completion,
                message=str(error),
            ) from error

    def _named_schema(self) -> dict[str, Any] | None:
        if self.schema is None:
            return None
        return {"name": self.prompt.name, "schema": self.schema, "strict": True}

    def _request(
        self, lm: dspy.BaseLM, lm_kwargs: dict[str, Any], inputs: dict[str, Any]
    ) -> Request:
        system, user = self.prompt.render(inputs)
        options = {k: v for k, v in {**lm.kwargs, **lm_kwargs}.items() if v is not None}
        known = {
            k: options.pop(k)
            for k in ("temperature", "max_tokens", "top_p", "seed", "stop", "logprobs")
            if k in options
        }
        if (raw := self.prompt.render_raw(inputs)) is not None:
            options["raw_prompt"] = raw
        if (schema := self._named_schema()) is not None:
            known["response_format"] = {"type": "json_schema", **schema}
        config = Config(**known, extensions=options or None)
        return Request(model=lm.model, system=system, messages=(Message.user(user),), config=config)

    def _outputs(self, signature: type[dspy.Signature], response: Response) -> list[dict[str, Any]]:
        outputs = self.parse(signature, text_of(response))
        if response.logprobs:
            outputs["logprobs"] = response.logprobs
        return [outputs]

    def __call__(
        self,
        lm: dspy.BaseLM,
        lm_kwargs: dict[str, Any],
        signature: type[dspy.Signature],
        demos: list[dict[str, Any]],
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Asks once, from synchronous code."""
        if is_foreign(lm):
            messages = self.format(signature, demos, inputs)
            return self._outputs(signature, ask(lm, messages, lm_kwargs, self._named_schema()))
        return self._outputs(signature, lm(self._request(lm, lm_kwargs, inputs)))

    async def acall(
        self,
        lm: dspy.BaseLM,
        lm_kwargs: dict[str, Any],
        signature: type[dspy.Signature],
        demos: list[dict[str, Any]],
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Asks once."""
        if is_foreign(lm):
            messages = self.format(signature, demos, inputs)
            answer = await aask(lm, messages, lm_kwargs, self._named_schema())
            return self._outputs(signature, answer)
        return self._outputs(signature, await lm.acall(self._request(lm, lm_kwargs, inputs)))
