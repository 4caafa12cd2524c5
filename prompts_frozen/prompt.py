"""A frozen prompt: a readable file with a system and a user part, rendered byte for byte."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from magnet.core.errors import UsageError

_PARTS = re.compile(
    r"(?:\[\[system\]\]\n(?P<system>.*?)\n)?\[\[user\]\]\n(?P<user>.*)\n", re.DOTALL
)
_HEAD = r"<\|start_header_id\|>{}<\|end_header_id\|>"
_LLAMA3 = re.compile(
    rf"{_HEAD.format('system')}\n\n(?P<system>.*?)<\|eot_id\|>"
    rf"{_HEAD.format('user')}\n\n(?P<user>.*)<\|eot_id\|>{_HEAD.format('assistant')}\s*",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def as_text(value: Any) -> str:
    """An input as it stands in a prompt: text unchanged, lists joined by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Prompt:
    """One agent's frozen prompt.

    Attributes:
        name: the agent.
        system: template of the system part, None where the prompt has none.
        user: template of the user part.
        sha256: hash of the file's bytes.
        raw: the whole file as a template, where it is written for the completions wire with
            Llama-3's special tokens; there it is sent as it stands.
    """

    name: str
    system: str | None
    user: str
    sha256: str
    raw: str | None = None

    @classmethod
    def parse(cls, name: str, data: bytes) -> "Prompt":
        """Reads a prompt file: ``[[system]]`` and ``[[user]]`` on separate lines.

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
                "A prompt file has [[system]] (optional) and [[user]], each on its own line, "
                "with the text below and a line break at the end.",
            )
        return cls(name, match["system"], match["user"], hashlib.sha256(data).hexdigest())

    @classmethod
    def parse_released(cls, name: str, data: bytes, rename: Mapping[str, str]) -> "Prompt":
        """Reads a prompt file of the authors.

        Llama-3's special tokens part system and user; without them the whole file is the user
        part.

        Args:
            name: the agent it is for.
            data: the file.
            rename: their placeholders' names -> those of the agent's signature.
        """
        text = _PLACEHOLDER.sub(lambda m: "{" + rename.get(m[1], m[1]) + "}", data.decode("utf-8"))
        sha256 = hashlib.sha256(data).hexdigest()
        if match := _LLAMA3.fullmatch(text):
            return cls(name, match["system"], match["user"], sha256, raw=text)
        return cls(name, None, text, sha256)

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """Names in braces, over both parts."""
        return frozenset(_PLACEHOLDER.findall((self.system or "") + self.user))

    @property
    def instructions(self) -> str:
        """What it asks for in general: both parts without the paragraphs that show an input."""
        kept = [self.system] if self.system and not _PLACEHOLDER.search(self.system) else []
        kept += [p for p in self.user.split("\n\n") if not _PLACEHOLDER.search(p)]
        return "\n\n".join(kept)

    def without(self, *inputs: str) -> "Prompt":
        """The prompt less the paragraphs of its user part that show these inputs."""
        gone = {f"{{{name}}}" for name in inputs if name in self.placeholders}
        if not gone:
            return self
        kept = [p for p in self.user.split("\n\n") if not any(mark in p for mark in gone)]
        return replace(self, user="\n\n".join(kept), raw=None)

    def cut(self, *inputs: str) -> "Prompt":
        """The prompt without the paragraphs of these inputs, with its own hash.

        Unlike ``without`` it takes care that nothing else goes or is left behind.

        Raises:
            UsageError: an input stands in the system part, in a paragraph with another one, or
                under its own heading.
        """
        gone = self.placeholders.intersection(inputs)
        if not gone:
            return self
        if stuck := gone.intersection(_PLACEHOLDER.findall(self.system or "")):
            raise self._uncut(min(stuck), "it is in the system part")
        kept: list[str] = []
        for paragraph in self.user.split("\n\n"):
            shown = set(_PLACEHOLDER.findall(paragraph))
            if not shown & gone:
                kept.append(paragraph)
            elif shown - gone:
                raise self._uncut(min(shown & gone), "its paragraph also shows another input")
            elif not _PLACEHOLDER.sub("", paragraph).strip() and kept and kept[-1].endswith(":"):
                raise self._uncut(min(shown), "its heading is a paragraph of its own")
        user = "\n\n".join(kept)
        raw = None if self.raw is None else self.raw.replace(self.user, user)
        whole = f"[[system]]\n{self.system}\n[[user]]\n{user}\n"
        return replace(self, user=user, raw=raw, sha256=hashlib.sha256(whole.encode()).hexdigest())

    def _uncut(self, name: str, why: str) -> UsageError:
        return UsageError(
            f"prompt {self.name!r}: {{{name}}} cannot be left out: {why}",
            "Give each input its own paragraph, with its heading on the line above and blank lines "
            "around it; or use another prompt set.",
        )

    def render(self, inputs: Mapping[str, Any]) -> tuple[str | None, str]:
        """System and user text, with every placeholder replaced in a single pass.

        One pass, so that braces inside an input (a client may write "{history}") stay as
        they are.

        Raises:
            KeyError: an input the prompt names is missing.
        """
        system = None if self.system is None else self._fill(self.system, inputs)
        return system, self._fill(self.user, inputs)

    def render_raw(self, inputs: Mapping[str, Any]) -> str | None:
        """The whole prompt as its file has it, special tokens and all; None where it has none."""
        return None if self.raw is None else self._fill(self.raw, inputs)

    @staticmethod
    def _fill(template: str, inputs: Mapping[str, Any]) -> str:
        return _PLACEHOLDER.sub(lambda match: as_text(inputs[match[1]]), template)
