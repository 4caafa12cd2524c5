"""What calls cost: usage by role, prices, and the budget that stops a run."""

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from dspy.utils.exceptions import LMError
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt

from magnet.lm.spec import Price


class Budget(BaseModel):
    """Limits of a run; unset ones do not apply.

    Calls never exceed their limit. Tokens and money are known only from answers, so calls that
    are in progress when the limit is reached still finish.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: NonNegativeInt | None = None
    tokens: NonNegativeInt | None = None
    money: NonNegativeFloat | None = None


class BudgetReached(LMError):
    """The budget is spent; never retried."""

    default_code = "budget"


@dataclass
class Call:
    """One answered request, as the session's record keeps it.

    Attributes:
        finish: ``stop``, or ``length`` where the token limit cut the answer.
        cached: prompt tokens the server had in its cache; None where it does not say.
        seconds: from sending to the whole answer.
    """

    role: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    finish: str
    cached: int | None
    seconds: float


@dataclass
class Usage:
    """Sums over calls.

    Attributes:
        calls: requests sent, failed ones included.
        failed: those that brought no answer.
        unknown: answered calls whose server reported no token counts; their tokens are missing
            from the sums.
        money: sum by currency, over models whose price the study gives.
    """

    calls: int = 0
    failed: int = 0
    unknown: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    money: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Usage") -> None:
        """Adds other's sums to these."""
        self.calls += other.calls
        self.failed += other.failed
        self.unknown += other.unknown
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        for currency, sum_ in other.money.items():
            self.money[currency] = self.money.get(currency, 0.0) + sum_


def cost(price: Price, input_tokens: int, output_tokens: int) -> float:
    """Money for these tokens, in the price's currency."""
    return (input_tokens * price.input + output_tokens * price.output) / 1e6


class Meter:
    """Counts every request of a run by role and refuses those beyond the budget."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.roles: dict[str, Usage] = {}
        # Synchronous modules are answered by another thread's loop.
        self._lock = threading.Lock()
        self.limit(budget or Budget())

    def limit(self, budget: Budget) -> None:
        """Sets the budget, over all that was counted so far."""
        self.budget, self.bound = budget, budget != Budget()

    def total(self) -> Usage:
        """The sums over all roles."""
        total = Usage()
        for usage in self.roles.values():
            total.add(usage)
        return total

    def start(self, role: str) -> None:
        """Counts a request that is about to be sent.

        Raises:
            BudgetReached: it would pass the budget.
        """
        budget = self.budget
        if self.bound:
            spent = self.total()
            tokens = spent.input_tokens + spent.output_tokens
            for name, used, bound in (
                ("calls", spent.calls, budget.calls),
                ("tokens", tokens, budget.tokens),
                ("money", sum(spent.money.values()), budget.money),
            ):
                if bound is not None and used >= bound:
                    raise BudgetReached(f"the budget of {bound:g} {name} is spent")
        with self._lock:
            self.roles.setdefault(role, Usage()).calls += 1

    def fail(self, role: str) -> None:
        """Counts a started request that brought no answer."""
        with self._lock:
            self.roles[role].failed += 1

    def finish(self, call: Call, price: Price | None) -> None:
        """Counts the tokens and money of an answered request."""
        with self._lock:
            self._finish(call, price)

    def _finish(self, call: Call, price: Price | None) -> None:
        usage = self.roles[call.role]
        if call.input_tokens is None or call.output_tokens is None:
            usage.unknown += 1
            return
        usage.input_tokens += call.input_tokens
        usage.output_tokens += call.output_tokens
        usage.cached_tokens += call.cached or 0
        if price is not None:
            money = cost(price, call.input_tokens, call.output_tokens)
            usage.money[price.currency] = usage.money.get(price.currency, 0.0) + money

    def dump(self) -> dict[str, Any]:
        """The sums as JSON data, by role."""
        return {role: asdict(usage) for role, usage in sorted(self.roles.items())}

    def load(self, data: dict[str, Any]) -> None:
        """Adds sums of an earlier invocation of the same run."""
        for role, usage in data.items():
            self.roles.setdefault(role, Usage()).add(Usage(**usage))
