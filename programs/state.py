"""An agent's state as JSON data: instructions and demos, and the signature they were made for."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

import dspy
from pydantic import TypeAdapter

from signatures import AGENTS


def state_of(agent: dspy.Predict) -> dict[str, Any]:
    """Instructions and demos of an agent."""
    return {
        "instructions": agent.signature.instructions,
        "demos": [
            {
                name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value
                for name, value in dict(demo.items()).items()
            }
            for demo in agent.demos
        ],
    }


def apply_state(agent: Any, state: Mapping[str, Any]) -> None:
    """Puts instructions and demos into an agent, the demos in its signature's types.

    In their types, so that they stand in the prompt as they did in the search.

    Raises:
        pydantic.ValidationError: a demo does not fit the signature.
    """
    demos = [dspy.Example(**_typed(agent.name, demo)) for demo in state["demos"]]
    agent.signature = agent.signature.with_instructions(state["instructions"])
    agent.demos = demos


def digest_of(agent: dspy.Predict) -> str:
    """Hex sha256 of an agent's state: what a frozen prompt's hash is to a frozen agent."""
    text = json.dumps(state_of(agent), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def fields_of(name: str) -> dict[str, Any]:
    """An agent's inputs and outputs by name, each with the JSON schema of its type."""
    signature = AGENTS[name].signature
    sides = {"inputs": signature.input_fields, "outputs": signature.output_fields}
    return {
        side: {field: _adapter(info).json_schema() for field, info in fields.items()}
        for side, fields in sides.items()
    }


def _adapter(info: Any) -> TypeAdapter[Any]:
    """Of a field's type in full: DSPy keeps apart what ``Annotated`` says of it."""
    whole: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(whole)


def _typed(name: str, demo: Mapping[str, Any]) -> dict[str, Any]:
    fields = AGENTS[name].signature.fields
    return {
        key: _adapter(fields[key]).validate_python(value) if key in fields else value
        for key, value in demo.items()
    }
