"""JSON schemas in the form that OpenAI's strict mode asks for."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}


def record(**properties: Schema) -> Schema:
    """An object of these properties, all of them and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def choice(values: list[str]) -> Schema:
    """One of some texts."""
    return {"type": "string", "enum": values}


def listing(items: Schema, least: int, most: int) -> Schema:
    """A list of so many items.

    ``uniqueItems`` is left out: vLLM's grammar compiler refuses it.
    """
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def rating(low: int, high: int) -> Schema:
    """A whole number from low to high; an enum, because not every server knows bounds."""
    return {"type": "integer", "enum": list(range(low, high + 1))}
