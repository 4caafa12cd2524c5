"""How an agent speaks once an optimizer has changed it: DSPy's JSON format, typed answers."""

import json
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from magnet.lm.foreign import aask, is_foreign, text_of
from signatures.reading import Reader, json_object


class OptimizedAdapter(dspy.JSONAdapter):
    """DSPy's JSON format with the agent's own reader and schema.

    DSPy drops what ``Annotated`` says of a type (one to five, none twice); the reader holds
    answers to it, and reads plain words where a server cannot constrain its answers.

    Args:
        read: see Reader.
        schema: JSON schema of the signature's outputs.
        name: of the schema, as servers want one.
    """

    def __init__(self, read: Reader, schema: dict[str, Any], name: str) -> None:
        super().__init__(use_native_function_calling=False)
        self.read, self.schema, self.schema_name = read, schema, name

    async def acall(
        self,
        lm: dspy.BaseLM,
        lm_kwargs: dict[str, Any],
        signature: type[dspy.Signature],
        demos: list[dict[str, Any]],
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Asks once; the schema goes along."""
        inner = {"name": self.schema_name, "schema": self.schema, "strict": True}
        if is_foreign(lm):
            answer = await aask(lm, self.format(signature, demos, inputs), lm_kwargs, inner)
            outputs = self.parse(signature, text_of(answer))
            return [outputs | ({"logprobs": answer.logprobs} if answer.logprobs else {})]
        asked = lm_kwargs | {"response_format": {"type": "json_schema", "json_schema": inner}}
        # Past JSONAdapter's own choice of a schema, which knows no bounds.
        return list(await super(dspy.JSONAdapter, self).acall(lm, asked, signature, demos, inputs))

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """The signature's outputs.

        Raises:
            AdapterParseError: the completion does not hold them.
        """
        try:
            return self._outputs(signature, completion)
        except ValueError as error:
            raise AdapterParseError(
                adapter_name="OptimizedAdapter",
                signature=signature,
                lm_response=completion,
                message=str(error),
            ) from error

    def _outputs(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        value = json_object(completion)
        if value is None:
            return self.read(completion)
        first = value.get(next(iter(signature.output_fields)))
        ends = "ended" in signature.output_fields and value.get("ended") is True
        if ends and not first:
            return {"reply": None, "ended": True}
        if isinstance(first, dict):  # a plan, or feelings
            return self.read(json.dumps(first))
        outputs = self.read(first if isinstance(first, str) else completion)
        return outputs | {"ended": True} if ends else outputs
