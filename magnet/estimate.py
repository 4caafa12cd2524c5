"""What a run would ask for, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magnet.lm.usage import cost
from magnet.seeds import GenerationSeed
from magnet.study import Study
from programs import Agent, Client, Counselor, Judge

#: Characters a token holds, roughly, in English text.
CHARS = 4
#: What an answer is taken for where the study leaves the limit to the server, in tokens.
UNLIMITED = 512


@dataclass
class RoleEstimate:
    """Calls and tokens of one role; answers at their limit, so tokens are upper estimates."""

    role: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    money: float | None = None
    currency: str = ""


def _limit(study: Study, role: str) -> int:
    return study.spec(role).max_tokens or UNLIMITED


def _input_tokens(study: Study, seeds: Sequence[GenerationSeed], agent: Agent, turns: int) -> int:
    """Tokens of all an agent's prompts, over all seeds and turns."""
    prompt = agent.frozen.prompt
    reply = _limit(study, "response")
    said = reply + _limit(study, "client")
    total = 0
    for seed in seeds:
        # Before turn t the history holds t - 1 exchanges; the client also reads the new reply.
        opening = (len(seed.greeting) + len(seed.opening)) // CHARS
        history = opening * turns + said * turns * (turns - 1) // 2
        whole = agent.fidelity.client_sees == "seed"
        sizes = {
            "client_information": len(seed.client_information) // CHARS * turns,
            "reason": len(seed.reason_counseling) // CHARS * turns,
            "first_utterance": len(seed.opening) // CHARS * turns,
            "intake_form": len(str(seed.entry) if whole else seed.intake_form) // CHARS * turns,
            "attitude": len(seed.attitude_instruction) // CHARS * turns,
            "history": history + (reply * turns if agent.name == "client" else 0),
            "plan": _limit(study, "planner") * turns,
            "techniques": 10 * turns,
        }
        total += (len(prompt.system or "") + len(prompt.user)) // CHARS * turns
        for name in prompt.placeholders:
            total += sizes[name] if name in sizes else _limit(study, name) * turns
    return total


def _judging(study: Study, seeds: Sequence[GenerationSeed], methods: int) -> RoleEstimate:
    """The judges' calls; PANAS before is asked once a client, all else about every session."""
    row, limit = RoleEstimate("judge"), _limit(study, "judge")
    said = (_limit(study, "response") + _limit(study, "client")) * study.exchanges
    clients = len({seed.client_id for seed in seeds})
    form = sum(len(seed.intake_form) for seed in seeds) // CHARS // len(seeds)
    for scale in study.scales:
        for agent in Judge(study.prompts, study.faithful, (scale,)).predictors():
            before, panas = agent.name == "panas-before", scale == "panas"
            asked = clients if before else len(seeds) * methods
            asked *= len(study.judge_specs()) * (1 if panas else study.judge_repeats)
            prompt = agent.frozen.prompt
            shown = (len(prompt.system or "") + len(prompt.user)) // CHARS
            shown += (0 if before else said) + (form if panas else 0)
            row.calls += asked
            row.input_tokens += asked * shown
            row.output_tokens += asked * limit
    return row


def estimate(
    study: Study,
    seeds: Sequence[GenerationSeed],
    counselors: Mapping[str, Counselor],
    client: Client,
) -> list[RoleEstimate]:
    """Calls and tokens by role, if no session ends early and nothing is asked twice.

    Answers are taken at their token limit, tokens as four characters.
    """
    rows: dict[str, RoleEstimate] = {}
    for counselor in counselors.values():
        for agent in [*counselor.predictors(), *client.predictors()]:
            turns = 1 if agent.name == "planner" else study.exchanges
            row = rows.setdefault(agent.role, RoleEstimate(agent.role))
            row.calls += len(seeds) * turns
            row.input_tokens += _input_tokens(study, seeds, agent, turns)
            row.output_tokens += len(seeds) * turns * _limit(study, agent.role)
    if "judge" in study.stages:
        rows["judge"] = _judging(study, seeds, len(counselors))
    for row in rows.values():
        if price := study.spec(row.role).price:
            row.money = cost(price, row.input_tokens, row.output_tokens)
            row.currency = price.currency
    return list(rows.values())
