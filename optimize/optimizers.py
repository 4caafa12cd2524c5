"""DSPy's optimizers by name, each with defaults that fit the number of windows there are.

GEPA: https://arxiv.org/abs/2507.19457. MIPROv2: https://arxiv.org/abs/2406.11695.
BootstrapFewShotWithRandomSearch: https://arxiv.org/abs/2310.03714. SIMBA: DSPy's own.
"""

import importlib.util
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
import numpy as np

from magnet.core.errors import UsageError, missing_extra


@dataclass(frozen=True)
class Search:
    """What a search has.

    Attributes:
        student: the program it starts from.
        train: examples to learn from.
        validation: examples to choose by.
        lm: of the agents being optimized.
        prompt_lm: writes instructions.
        metric_calls: most windows to score.
        threshold: mean score of the start on the training examples: what is better may serve as
            a demonstration.
        seed: of every random choice.
        threads: examples evaluated at once.
    """

    student: dspy.Module
    train: Sequence[dspy.Example]
    validation: Sequence[dspy.Example]
    lm: dspy.LM
    prompt_lm: dspy.LM
    metric_calls: int
    threshold: float
    seed: int
    threads: int

    @property
    def rounds(self) -> int:
        """How often the validation examples can be scored whole."""
        return max(1, (self.metric_calls - len(self.train)) // len(self.validation))


def score_of(
    gold: dspy.Example, pred: dspy.Prediction, trace: Any = None, *_: Any, **__: Any
) -> float:
    """The metric of optimizers that want a number."""
    return float(pred.score)


def feedback_of(
    gold: dspy.Example, pred: dspy.Prediction, trace: Any = None, name: Any = None, own: Any = None
) -> dspy.Prediction:
    """The metric of optimizers that read."""
    return dspy.Prediction(score=float(pred.score), feedback=pred.feedback)


def _gepa(s: Search) -> dict[str, Any]:
    return {
        "metric": feedback_of,
        "reflection_lm": s.prompt_lm,
        "reflection_minibatch_size": min(3, len(s.train)),
        "max_metric_calls": s.metric_calls,
        "num_threads": s.threads,
        "seed": s.seed,
        "warn_on_score_mismatch": False,
        "valset": list(s.validation),
    }


def _miprov2(s: Search) -> dict[str, Any]:
    trials = max(1, s.rounds - 1)
    return {
        "metric": score_of,
        "prompt_model": s.prompt_lm,
        "task_model": s.lm,
        "auto": None,
        "num_candidates": max(2, min(10, round(trials / 1.5))),
        "num_trials": trials,
        "max_bootstrapped_demos": 3,
        "max_labeled_demos": 0,  # a prefix has no right answer to show
        "metric_threshold": s.threshold,
        "minibatch": False,
        "program_aware_proposer": False,  # our source code says nothing of counselling
        "num_threads": s.threads,
        "seed": s.seed,
        "valset": list(s.validation),
    }


def _random_search(s: Search) -> dict[str, Any]:
    return {
        "metric": score_of,
        "metric_threshold": s.threshold,
        "num_candidate_programs": max(1, s.rounds - 3),  # it tries three of its own first
        "max_bootstrapped_demos": 3,
        "max_labeled_demos": 0,
        "num_threads": s.threads,
        "valset": list(s.validation),
    }


def _simba(s: Search) -> dict[str, Any]:
    bsize, candidates = min(8, len(s.train)), 4
    return {
        "metric": feedback_of,
        "prompt_model": s.prompt_lm,
        "bsize": bsize,
        "num_candidates": candidates,
        "max_steps": max(1, s.metric_calls // (2 * bsize * candidates)),
        "max_demos": 3,
        "num_threads": s.threads,
        "seed": s.seed,
    }


#: Optimizers by name: DSPy's class, and its defaults here.
OPTIMIZERS: dict[str, tuple[str, Callable[[Search], dict[str, Any]]]] = {
    "gepa": ("GEPA", _gepa),
    "miprov2": ("MIPROv2", _miprov2),
    "random-search": ("BootstrapFewShotWithRandomSearch", _random_search),
    "simba": ("SIMBA", _simba),
}
#: What an option replaces.
_INSTEAD = {
    "auto": ("num_candidates", "num_trials", "max_metric_calls"),
    "max_full_evals": ("max_metric_calls",),
}


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuses options that the optimizer does not have, and an optimizer that is not installed.

    Raises:
        UsageError: one of the two.
    """
    if name == "miprov2" and importlib.util.find_spec("optuna") is None:
        raise missing_extra("optimize", "optimize: MIPROv2 needs the package optuna")
    ours = {"metric", "student", "trainset", "valset", "teacher", "seed", "prompt_model"}
    ours |= {"task_model", "reflection_lm", "num_threads", "self"}
    known = sorted((_names(name, "__init__") | _names(name, "compile")) - ours)
    for option in options:
        if option not in known:
            raise UsageError(
                f"optimize.options: {OPTIMIZERS[name][0]} has no option {option!r}",
                f"It has: {', '.join(known)}.",
            )


def _names(name: str, method: str) -> set[str]:
    function = getattr(getattr(dspy, OPTIMIZERS[name][0]), method)
    return set(inspect.signature(function).parameters)


def search(name: str, given: Search, options: Mapping[str, Any]) -> dspy.Module:
    """Runs an optimizer to its end.

    Args:
        name: of OPTIMIZERS.
        given: what it works with.
        options: over the defaults; those of the constructor and of ``compile`` alike.

    Returns:
        The program it thinks best.

    Raises:
        Halt: the search was stopped.
    """
    kind, defaults = OPTIMIZERS[name]
    replaced = {old for option in options for old in _INSTEAD.get(option, ())}
    whole = {k: v for k, v in defaults(given).items() if k not in replaced} | dict(options)
    compiling = _names(name, "compile") - _names(name, "__init__")
    inner = {k: v for k, v in whole.items() if k in compiling}
    outer = {k: v for k, v in whole.items() if k not in compiling}
    random.seed(given.seed)  # what DSPy draws without a generator of its own
    np.random.seed(given.seed % 2**32)
    with dspy.context(lm=given.lm):
        optimizer = getattr(dspy, kind)(**outer)
        return optimizer.compile(given.student, trainset=list(given.train), **inner)
