"""A frozen prompt: a readable file with a system and a user part, rendered byte for byte."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from magnet.errors import UsageError

_PARTS = re.compile(
    r"(?:\[\[system\]\]\n(?P<system>.*?)\n)?\[\[user\]\]\n(?P<user>.*)\n", re.DOTALL
)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def as_text(value: Any) -> str:
    """An input as it stands in a prompt: text unchanged, lists joined by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Prompt:
    """One agent's frozen prompt.

    Attributes:
        name: the agent's role.
        system: template of the system part, None where the prompt has none.
        user: template of the user part.
        sha256: hash of the file's bytes.
    """

    name: str
    system: str | None
    user: str
    sha256: str

    @classmethod
    def parse(cls, name: str, data: bytes) -> "Prompt":
        """Reads a prompt file: ``[[system]]`` and ``[[user]]`` on lines of their own.

        Each part is all between its mark and the line break before the next mark or the end.

        Raises:
            UsageError: the file is not UTF-8 or has no such parts.
        """
        try:
            match = _PARTS.fullmatch(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UsageError(f"prompt {name!r} is not UTF-8: {error}") from None
        if match is None:
            raise UsageError(
                f"prompt {name!r} has no [[user]] part",
                "A prompt file holds [[system]] (optional) and [[user]], each on its own line, "
                "with the text below and a line break at the end.",
            )
        return cls(name, match["system"], match["user"], hashlib.sha256(data).hexdigest())

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """Names in braces, over both parts."""
        return frozenset(_PLACEHOLDER.findall((self.system or "") + self.user))

    def render(self, inputs: Mapping[str, Any]) -> tuple[str | None, str]:
        """System and user text, with every placeholder replaced in a single pass.

        One pass, so that braces inside an input (a client may write "{history}") stay as
        they are.

        Raises:
            KeyError: an input the prompt names is missing.
        """

        def value(match: re.Match[str]) -> str:
            return as_text(inputs[match[1]])

        system = None if self.system is None else _PLACEHOLDER.sub(value, self.system)
        return system, _PLACEHOLDER.sub(value, self.user)
