"""One window: from a prefix on, the counselor answers, the client replies, the judge rates.

The techniques' selector is the agent that steers MAGneT (https://arxiv.org/abs/2509.04183,
section 3); its choice shows in the reply that follows, so the reply and what the client makes of
it are what is rated: on the six CTRS items (appendix D).
"""

import copy
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import dspy

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.core.seeds import Split
from magnet.core.session import Message, transcript
from optimize.prefixes import Prefix
from optimize.scoreboard import Outcome, halt_for
from optimize.task import starting
from programs import AgentError, Client, Judge, MagnetCounselor
from programs.profile import Profile
from signatures import SPECIALISTS
from signatures.scales import CTRS

#: Agents whose work a window shows. The client is none: optimized for the rating it would flatter.
OPTIMIZABLE = ("technique", "response", *SPECIALISTS, "planner")


def calls_of(agent: str, horizon: int, repeats: int) -> dict[str, int]:
    """LM calls of a window by role, if nothing is asked twice.

    Args:
        agent: under optimization.
        horizon: exchanges.
        repeats: of each of the judge's questions.

    Raises:
        UsageError: the agent cannot be optimized on windows.
    """
    if agent not in OPTIMIZABLE:
        raise UsageError(
            f"optimize: {agent!r} is no agent that can be optimized on windows",
            f"Known: {', '.join(OPTIMIZABLE)}; judge and single CTRS items with --ratings.",
        )
    calls = dict.fromkeys((*SPECIALISTS, "technique"), horizon - 1)
    calls |= {"response": horizon, "client": horizon}
    if agent != "response":
        calls[agent] = calls.get(agent, 0) + 1
    if agent == "planner":
        calls["technique"] += 1
    calls["judge"] = len(CTRS.items) * repeats
    return {role: n for role, n in calls.items() if n}


class Recorded(dspy.Module):
    """An agent that says what the session's own said at this exchange; it asks nobody."""

    def __init__(self, **outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """The recorded outputs."""
        return dspy.Prediction(**self.outputs)


class Rollout:
    """Plays windows.

    Args:
        agent: the agent under optimization, one of OPTIMIZABLE.
        splits: prefixes by split.
        counselor: MAGneT's program, each agent with its LM.
        client: the client's.
        judge: the judge's.
        horizon: exchanges of a window.
        repeats: how often the judge is asked each item; the mean counts.
        random_seed: of the study; None leaves sampling to the servers.
    """

    scale = "mean of six CTRS items / 6"

    def __init__(
        self,
        agent: str,
        splits: Mapping[Split, Sequence[Prefix]],
        counselor: MagnetCounselor,
        client: Client,
        judge: Judge,
        *,
        horizon: int = 1,
        repeats: int = 1,
        random_seed: int | None = 0,
    ) -> None:
        self.predictors = (agent,)
        self.counselor, self.client, self.judge = counselor, client, judge
        self.horizon, self.repeats, self.random_seed = horizon, repeats, random_seed
        self.prefixes = {p.id: p for group in splits.values() for p in group}
        self.splits = {split: [p.example for p in group] for split, group in splits.items()}
        self.clients = {p.id: p.client for p in self.prefixes.values()}

    @property
    def calls(self) -> dict[str, int]:
        """LM calls of a window by role, if nothing is asked twice."""
        return calls_of(self.predictors[0], self.horizon, self.repeats)

    def agents(self, start: str) -> dict[str, dspy.Module]:
        """The agent under optimization."""
        name = self.predictors[0]
        return {name: starting(getattr(self.counselor, name), start)}

    async def play(
        self, agents: Mapping[str, dspy.Module], example: str, rollout: int | None = None
    ) -> Outcome:
        """Plays and rates one window.

        Raises:
            Halt: the budget is spent, or a server is gone.
        """
        prefix = self.prefixes[example]
        try:
            messages, techniques = await self._window(agents, prefix, rollout)
        except AgentError as error:
            if error.code != "malformed":
                raise halt_for(error.code, str(error)) from None
            own = error.role in agents
            told = f"The answer could not be read: {error}" if own else ""
            return Outcome(None, told, unreadable=own, missing=str(error))
        items, reasons, missing = await self._rate(messages)
        detail = {
            "window": [m.model_dump() for m in messages],
            "techniques": techniques,
            "items": items,
            "reasons": reasons,
        }
        if missing:
            return Outcome(None, "", missing=missing, detail=detail)
        mean = fmean(items.values())
        feedback = _feedback(prefix, techniques, items, reasons, mean)
        return Outcome(mean / CTRS.high, feedback, detail=detail)

    def _draw(self, prefix: Prefix, rollout: int | None) -> Draw | None:
        if self.random_seed is None:
            return None
        root = Draw((self.random_seed, prefix.seed.seed_id))  # as in the session itself
        return root if rollout is None else root.at("rollout", rollout)

    async def _window(
        self, agents: Mapping[str, dspy.Module], prefix: Prefix, rollout: int | None
    ) -> tuple[list[Message], list[list[str]]]:
        root = self._draw(prefix, rollout)
        history, plan = list(prefix.history), prefix.plan
        if "planner" in agents:
            plan = None
        techniques = []
        for step in range(self.horizon):
            draw = root.at(prefix.exchange + step) if root else None
            counselor = self._counselor(agents, prefix if step == 0 else None)
            said = await counselor.acall(seed=prefix.seed, history=history, plan=plan, draw=draw)
            plan = said.plan
            history.append(Message(role="counselor", message=said.reply))
            chosen = said.techniques
            techniques.append([chosen] if isinstance(chosen, str) else [str(t) for t in chosen])
            heard = await self.client.acall(seed=prefix.seed, history=history, draw=draw)
            if heard.reply is not None:
                history.append(Message(role="client", message=heard.reply))
            if heard.ended:
                break
        return history[len(prefix.history) - 1 :], techniques

    def _counselor(
        self, agents: Mapping[str, dspy.Module], recorded: Prefix | None
    ) -> MagnetCounselor:
        """The counselor with the agents to optimize; at the prefix the rest is as recorded."""
        counselor = copy.copy(self.counselor)
        if recorded is not None:
            for role in counselor.specialists:
                draft = recorded.candidates.get(role)
                setattr(counselor, role, None if draft is None else Recorded(reply=draft))
            if "planner" not in agents:  # another plan may ask for other techniques
                counselor.technique = Recorded(techniques=list(recorded.techniques))
        for name, agent in agents.items():
            setattr(counselor, name, agent)
        return counselor

    async def _rate(
        self, messages: Sequence[Message]
    ) -> tuple[dict[str, float], dict[str, str], str]:
        """The items' values, the judge's reasons, and why one is missing."""
        text = transcript(messages)
        items: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for question in CTRS.questions:
            item, values = str(question.item), []
            for repeat in range(self.repeats):
                draw = None
                if self.random_seed is not None:
                    draw = Draw((self.random_seed, CTRS.name, text, item, repeat))
                try:
                    with dspy.context(trace=None):  # frozen: no demo, no lesson for optimizers
                        answer = await self.judge.acall(
                            question=question.agent, conversation=text, draw=draw
                        )
                except AgentError as error:
                    if error.code != "malformed":
                        raise halt_for(error.code, str(error)) from None
                    return items, reasons, f"{item}: {error}"
                values.append(answer.score)
                reasons[item] = answer.reason
            items[item] = fmean(values)
        return items, reasons, ""


def _feedback(
    prefix: Prefix,
    techniques: Sequence[Sequence[str]],
    items: Mapping[str, float],
    reasons: Mapping[str, str],
    mean: float,
) -> str:
    """What an optimizer is told of a rated window."""
    lines = [
        f"This was exchange {prefix.exchange} of the session. Techniques used: "
        + "; then ".join(", ".join(chosen) for chosen in techniques),
        f"A judge rated what followed {mean:.1f} of {CTRS.high}:",
    ]
    for item, value in items.items():
        lines.append(f"- {item.replace('_', ' ')} {value:g}: {reasons[item] or 'no reason given'}")
    return "\n".join(lines)


def programs(prompts: str, profile: Profile) -> tuple[MagnetCounselor, Client, Judge]:
    """Counselor, client and CTRS judge of a study.

    Raises:
        UsageError: a prompt is not as locked.
    """
    return (
        MagnetCounselor(prompts, profile),
        Client(prompts, profile),
        Judge(prompts, profile, [CTRS.name]),
    )
