"""The record of LM calls that no agent keeps: those of a module of somebody's own."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dspy

from magnet.core.session import AgentCall
from magnet.lm import Call
from signatures import ROLES


class CallLog:
    """Listens to the calls of one module, by any LM.

    An engine of ours tells what it was answered; of every LM, ours too, DSPy tells the tokens
    (``dspy.settings.usage_tracker``). Agents inside hand over the records that they keep.

    Args:
        role: whose calls these are where the engine does not say.
        tracker: the caller's own usage tracker, which goes on being told.
    """

    def __init__(self, role: str, tracker: Any = None) -> None:
        self.role, self.tracker = role, tracker
        self.calls: list[AgentCall] = []
        # Tokens of calls that our engines have told of, until DSPy tells of the same ones.
        self._told: Counter[tuple[int | None, int | None]] = Counter()

    def append(self, call: Call) -> None:
        """Takes a call from an engine of ours."""
        tokens = {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens}
        role = call.role if call.role in ROLES else self.role
        self.calls.append(AgentCall(role=role, model=call.model, finish=call.finish, **tokens))
        self._told[call.input_tokens, call.output_tokens] += 1

    def add_usage(self, model: str, usage: Mapping[str, Any]) -> None:
        """Takes a call's tokens from DSPy, unless an engine has told of it."""
        if self.tracker is not None:
            self.tracker.add_usage(model, dict(usage))
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if self._told[tokens] > 0:
            self._told[tokens] -= 1
            return
        self.calls.append(
            AgentCall(role=self.role, model=model, input_tokens=tokens[0], output_tokens=tokens[1])
        )

    @property
    def in_order(self) -> list[AgentCall]:
        """The records in an order that does not depend on which answer came first."""
        return sorted(
            self.calls,
            key=lambda c: (c.role, str(c.model), c.input_tokens or 0, c.output_tokens or 0),
        )


def callers_log() -> CallLog | None:
    """The log of the module that is being asked; None outside of one."""
    log = dspy.settings.get("call_log")
    return log if isinstance(log, CallLog) else None


def calls_of(*answers: dspy.Prediction) -> list[AgentCall]:
    """The call records of answers: an agent's one, or a module's several."""
    calls: list[AgentCall] = []
    for answer in answers:
        one = answer.get("call")
        calls += [one] if one is not None else answer.get("calls") or []
    return calls
