"""Language models: the embedded one, OpenAI-compatible servers, usage and budget."""

from magnet.lm.connect import connect, make_lm, resolve
from magnet.lm.spec import LMSpec, Price, spec_for
from magnet.lm.usage import Budget, BudgetReached, Call, Meter, Usage

__all__ = [
    "Budget",
    "BudgetReached",
    "Call",
    "LMSpec",
    "Meter",
    "Price",
    "Usage",
    "connect",
    "make_lm",
    "resolve",
    "spec_for",
]
