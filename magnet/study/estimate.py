"""What a run would ask for, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dspy
from rich.console import Console

from magnet.console.progress import money_text
from magnet.console.tables import print_line, print_table
from magnet.core.seeds import GenerationSeed
from magnet.lm.usage import cost
from magnet.study.prepare import Prepared, role_of
from magnet.study.spec import Study
from programs import Agent, Client, Judge
from signatures import QUESTIONS, ROLES

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


def _shown(predictor: dspy.Predict) -> tuple[int, frozenset[str]]:
    """Characters of a predictor's prompt without its inputs, and the inputs it shows."""
    if isinstance(predictor, Agent):
        prompt = predictor.frozen.prompt
        return len(prompt.system or "") + len(prompt.user), prompt.placeholders
    return len(predictor.signature.instructions), frozenset(predictor.signature.input_fields)


def _input_tokens(
    study: Study, seeds: Sequence[GenerationSeed], agent: dspy.Predict, exchanges: int
) -> int:
    """Tokens of all a predictor's prompts, over all seeds and exchanges."""
    text, inputs = _shown(agent)
    reply = _limit(study, "response")
    said = reply + _limit(study, "client")
    total = 0
    for seed in seeds:
        # Before exchange t the history holds t - 1 exchanges; the client also reads the new reply.
        opening = (len(seed.greeting) + len(seed.opening)) // CHARS
        history = opening * exchanges + said * exchanges * (exchanges - 1) // 2
        whole = study.behaviour.client_sees == "seed"
        sizes = {
            "client_information": len(seed.client_information) // CHARS * exchanges,
            "reason": len(seed.reason_counseling) // CHARS * exchanges,
            "first_utterance": len(seed.opening) // CHARS * exchanges,
            "intake_form": len(str(seed.entry) if whole else seed.intake_form) // CHARS * exchanges,
            "attitude": len(seed.attitude_instruction) // CHARS * exchanges,
            "history": history
            + (reply * exchanges if getattr(agent, "name", "") == "client" else 0),
            "plan": _limit(study, "planner") * exchanges,
            "techniques": 10 * exchanges,
        }
        total += text // CHARS * exchanges
        for name in inputs:
            known = name if name in ROLES else "response"
            total += sizes[name] if name in sizes else _limit(study, known) * exchanges
    return total


def _judging(study: Study, seeds: Sequence[GenerationSeed], methods: int) -> RoleEstimate:
    """The judges' calls; a form before the session is asked once per client."""
    row, limit = RoleEstimate("judge"), _limit(study, "judge")
    said = (_limit(study, "response") + _limit(study, "client")) * study.exchanges
    clients = len({seed.client_id for seed in seeds})
    form = sum(len(seed.intake_form) for seed in seeds) // CHARS // len(seeds)
    for name, agent in Judge(study.prompts, study.behaviour, study.scales).agents.items():
        before, whole = QUESTIONS[name].when == "before", QUESTIONS[name].scale.form
        asked = clients if before else len(seeds) * methods
        asked *= len(study.judge_specs()) * (1 if whole else study.judge_repeats)
        prompt = agent.frozen.prompt
        shown = (len(prompt.system or "") + len(prompt.user)) // CHARS
        shown += (0 if before else said) + (form if whole else 0)
        row.calls += asked
        row.input_tokens += asked * shown
        row.output_tokens += asked * limit
    return row


def estimate(
    study: Study,
    seeds: Sequence[GenerationSeed],
    counselors: Mapping[str, dspy.Module],
    client: Client,
) -> list[RoleEstimate]:
    """Calls and tokens by role, if no session ends early and nothing is asked twice.

    Answers are taken at their token limit, tokens as four characters; a predictor that is no
    agent is taken to ask once an exchange.
    """
    rows: dict[str, RoleEstimate] = {}
    for counselor in counselors.values():
        for name, agent in [*counselor.named_predictors(), *client.named_predictors()]:
            role = role_of(name, agent)
            exchanges = 1 if role == "planner" else study.exchanges
            row = rows.setdefault(role, RoleEstimate(role))
            row.calls += len(seeds) * exchanges
            row.input_tokens += _input_tokens(study, seeds, agent, exchanges)
            row.output_tokens += len(seeds) * exchanges * _limit(study, role)
    if "judge" in study.stages:
        rows["judge"] = _judging(study, seeds, len(counselors))
    for row in rows.values():
        if price := study.spec(row.role).price:
            row.money = cost(price, row.input_tokens, row.output_tokens)
            row.currency = price.currency
    return list(rows.values())


def print_estimate(prepared: Prepared, console: Console) -> None:
    """Prints calls and tokens by role, and money where the study gives prices."""
    rows = estimate(prepared.study, prepared.seeds, prepared.counselors, prepared.client)
    money: dict[str, float] = {}
    for row in rows:
        if row.money is not None:
            money[row.currency] = money.get(row.currency, 0.0) + row.money
    lines = [
        [
            r.role,
            f"{r.calls:,}",
            f"{r.input_tokens:,}",
            f"{r.output_tokens:,}",
            "" if r.money is None else money_text({r.currency: r.money}),
        ]
        for r in rows
    ]
    sums = [sum(getattr(r, n) for r in rows) for n in ("calls", "input_tokens", "output_tokens")]
    lines.append(["total", *(f"{s:,}" for s in sums), money_text(money)])
    study = prepared.study
    print_line(
        console,
        f"{study.name}: {prepared.sessions} sessions of {study.exchanges} exchanges. "
        "Replies at their token limit, 4 characters a token, no retries.",
    )
    columns = ["role", "calls", "input tokens", "output tokens", "money"]
    print_table(console, columns, lines)
