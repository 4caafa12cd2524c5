"""Asking a module, whoever wrote it: an agent, a plain predictor, asynchronous or not."""

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.lm.sync import in_thread
from programs.agent import Agent, AgentError
from programs.calls import CallLog, callers_log, calls_of

#: What an answer must hold, by the role of who is asked.
_GIVES = {"planner": "plan", "technique": "techniques"}


def _entry(module: dspy.Module) -> Callable[..., Any] | None:
    """What a call ends in: ``aforward``, or ``forward`` where there is no other."""
    for name in ("aforward", "forward"):
        if (found := getattr(type(module), name, None)) is not None:
            return found  # type: ignore[no-any-return]
    return None


def _parameters(module: dspy.Module) -> dict[str, inspect.Parameter]:
    entry = _entry(module)
    return {} if entry is None else dict(list(inspect.signature(entry).parameters.items())[1:])


def why_not(module: Any, given: set[str]) -> str | None:
    """Why something cannot be asked with these inputs; None where it can."""
    if not isinstance(module, dspy.Module):
        return f"is not a dspy.Module but {type(module).__name__!r}"
    if _entry(module) is None:
        return "has neither forward nor aforward"
    for name, parameter in _parameters(module).items():
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if named and parameter.default is parameter.empty and name not in given:
            return f"asks for {name!r}; it is given {', '.join(sorted(given))}"
    return None


def _fitting(module: dspy.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the inputs that a module names, or all where it takes any."""
    if type(module).__module__.startswith("dspy."):
        fields = {name for p in module.predictors() for name in p.signature.input_fields}
        return {name: value for name, value in inputs.items() if name in fields}
    parameters = _parameters(module)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(inputs)
    return {name: value for name, value in inputs.items() if name in parameters}


def _place(module: dspy.Module, error: Exception) -> str:
    """Where it happened: in the module's own file, if that is on the way."""
    frames = traceback.extract_tb(error.__traceback__)
    home = sys.modules[type(module).__module__].__dict__.get("__file__")
    place = [frame for frame in frames if frame.filename == home] or frames
    return f"{place[-1].filename}, line {place[-1].lineno}"


def _as_agent_error(module: dspy.Module, role: str, error: Exception) -> AgentError:
    """What runs understand: whose error, of what kind."""
    who = type(module).__name__
    if isinstance(error, LMError):
        return AgentError(role, error.code, f"{who}: {error.message.split(chr(10) * 2)[0]}", {})
    if isinstance(error, AdapterParseError):
        reply = error.lm_response
        return AgentError(role, "malformed", f"{who} cannot read {reply[:200]!r}", {}, reply)
    what = f"{who}: {type(error).__name__}: {error} ({_place(module, error)})"
    return AgentError(role, "unexpected", what, {})


async def _answer(module: dspy.Module, inputs: Mapping[str, Any]) -> Any:
    if hasattr(type(module), "aforward"):
        return await module.acall(**inputs)
    return await in_thread(module, **inputs)


async def ask(
    module: dspy.Module, role: str, *, draw: Draw | None = None, **inputs: Any
) -> dspy.Prediction:
    """Asks a module and sees to it that its calls are on record.

    A module with ``forward`` alone runs in a thread of its own, so that it holds up nobody. Its
    LM calls count as the role's, in the order of role and model; one that returns ``call`` or
    ``calls`` keeps its own record.

    Args:
        module: an Agent, or anything that takes what it names of the inputs.
        role: whose part it plays.
        draw: where seeds come from; calls by an engine of ours that name no seed take theirs
            from here.
        **inputs: what an agent in this place is given.

    Returns:
        Its answer, with ``calls`` where it has no ``call``.

    Raises:
        AgentError: it failed; or its answer is not what the role gives.
    """
    if isinstance(module, Agent):
        return await module.acall(draw=draw, **inputs)
    outer, log = callers_log(), CallLog(role, _tracker())
    seeds = None if draw is None else _Seeds(draw.at(role))
    try:
        with dspy.context(call_log=log, usage_tracker=log, next_seed=seeds):
            answer = await _answer(module, _fitting(module, inputs | {"draw": draw}))
    except (AgentError, UsageError):
        raise
    except Exception as error:
        raise _as_agent_error(module, role, error) from error
    wanted = _GIVES.get(role, "reply")
    if not isinstance(answer, dspy.Prediction) or wanted not in answer:
        what = f"{type(module).__name__} returned no dspy.Prediction with {wanted!r}"
        raise AgentError(role, "unexpected", what, {})
    if answer.get("call") is None and answer.get("calls") is None:
        answer.calls = log.in_order
    if outer is not None:
        outer.calls.extend(calls_of(answer))
    return answer


def _tracker() -> Any:
    """The usage tracker that the user has set, behind any of ours."""
    tracker = dspy.settings.get("usage_tracker")
    return tracker.tracker if isinstance(tracker, CallLog) else tracker


class _Seeds:
    """A seed for each call of a module, one after the other."""

    def __init__(self, draw: Draw) -> None:
        self.draw, self.given = draw, 0

    def __call__(self) -> int:
        self.given += 1
        return self.draw.at("call", self.given).seed
