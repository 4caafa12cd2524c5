"""Pairs as rows of tokens, the prompt as a server tokenizes it at inference.

There is one function for it, and the trainer gets finished rows: a trainer that renders
the chat by itself may add a default system message, and one that truncates cuts the reply.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from magnet.core.errors import UsageError
from magnet.dataset.pairs import Pair, messages_for, raw_prompt

Messages = Sequence[dict[str, str]]

#: What ends a turn in the templates of the completions wire.
_ENDS = {"llama3": "<|eot_id|>", "chatml": "<|im_end|>"}
#: A call by which a chat template writes the day's date.
_CLOCK = "strftime_now"
_OTHER = "Render the prompt here instead: --set \"template='llama3'\" or 'chatml'"


@dataclass(frozen=True)
class TokenRow:
    """A training example as token ids.

    Attributes:
        ids: prompt, reply, end of turn.
        start: index of the reply's first token.
    """

    ids: list[int]
    start: int

    @property
    def reply(self) -> int:
        """Tokens of the reply, end of turn included."""
        return len(self.ids) - self.start

    def labels(self, loss: str) -> list[int]:
        """What each position should predict: the ids; the prompt's are -100 for ``reply``.

        Padding is the trainer's to add; see ``magnet.training.padding``.
        """
        return [-100] * self.start + self.ids[self.start :] if loss == "reply" else self.ids


@dataclass
class TokenRows:
    """TokenRows of pairs, and what fitting them to the limit took.

    Attributes:
        rows: those that fit.
        shortened: rows among them that lost their oldest exchanges.
        left_out: pairs that do not fit however few messages are left.
    """

    rows: list[TokenRow] = field(default_factory=list)
    shortened: int = 0
    left_out: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(len(row.ids) for row in self.rows)


class Renderer:
    """Chat messages to tokens, as a server does it.

    Args:
        tokenizer: the base model's (transformers).
        template: of ``magnet.lm.wire.TEMPLATES``, whose text goes over the completions wire and
            to which the server adds its BOS; None for the model's own chat template, which the
            server applies on the chat wire.

    Raises:
        UsageError: the model has no such template, or an unusable one.
    """

    def __init__(self, tokenizer: Any, template: str | None) -> None:
        self.tokenizer, self.template = tokenizer, template
        if template is None:
            self._check_own_template()
        self.end = self._end_of_turn()

    def text(self, messages: Messages) -> str:
        """The prompt, from the first special token to where the reply begins."""
        if self.template is None:
            return self._own(messages, add_generation_prompt=True)
        from magnet.lm.wire import TEMPLATES

        return TEMPLATES[self.template]([(m["role"], m["content"]) for m in messages])

    def prompt_ids(self, messages: Messages, raw: str | None = None) -> list[int]:
        """The prompt's tokens; on the completions wire with the BOS that the server adds.

        Args:
            messages: the prompt as chat.
            raw: the text that the completions wire sends in their place, where it is Llama-3's.
        """
        text = raw if raw is not None and self.template == "llama3" else self.text(messages)
        ids = self.tokenizer(text, add_special_tokens=self.template is not None)["input_ids"]
        return list(ids)

    def row(self, messages: Messages, raw: str | None = None) -> TokenRow:
        """The row of a chat whose last message is the reply; see ``prompt_ids``."""
        prompt = self.prompt_ids(messages[:-1], raw)
        reply = self.tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"]
        return TokenRow([*prompt, *reply, self.end], len(prompt))

    def _own(self, messages: Messages, **options: Any) -> str:
        said = [dict(message) for message in messages]
        return str(self.tokenizer.apply_chat_template(said, tokenize=False, **options))

    def _check_own_template(self) -> None:
        written = self.tokenizer.chat_template
        if not written:
            raise UsageError("the base model has no chat template", _OTHER)
        if _CLOCK in str(written):
            raise UsageError(
                "the base model's chat template inserts today's date: prompts at inference would "
                "differ from those in training",
                _OTHER,
            )

    def _end_of_turn(self) -> int:
        if self.template is not None:
            text = _ENDS[self.template]
        else:
            asked = [{"role": "user", "content": "a"}]
            whole = self._own([*asked, {"role": "assistant", "content": "b"}])
            begun = self._own(asked, add_generation_prompt=True) + "b"
            if not whole.startswith(begun):
                raise UsageError(
                    "the base model's chat template renders a given reply differently from how it "
                    "prompts for one",
                    _OTHER,
                )
            text = whole[len(begun) :]
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        if not ids or ids[0] not in special:
            raise UsageError(
                f"the base model has no end-of-turn token ({text.strip()!r})",
                "Choose the template it was trained with.",
            )
        return int(ids[0])


def make_rows(
    pairs: Iterable[Pair], renderer: Renderer, limit: int, prompts: str = "ours"
) -> TokenRows:
    """Rows of at most ``limit`` tokens: the oldest exchanges go first, the reply is never cut."""
    made = TokenRows()
    for pair in pairs:

        def row(exchanges: int, pair: Pair = pair) -> TokenRow:
            drop = 2 * exchanges
            said = messages_for(pair, prompts, drop)
            return renderer.row(said, raw_prompt(pair, prompts, drop))

        # The fewest exchanges to drop: rows get shorter with each, so halving finds it.
        def fits(exchanges: int, row: Callable[[int], TokenRow] = row) -> bool:
            return len(row(exchanges).ids) <= limit

        most = (len(pair.history) + 1) // 2
        drop = bisect_left(range(most), True, key=fits)
        if drop == most:
            made.left_out += 1
        else:
            made.rows.append(row(drop))
            made.shortened += drop > 0
    return made
