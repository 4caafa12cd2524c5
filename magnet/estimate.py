"""What a run would ask for, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magnet.lm.usage import cost
from magnet.seeds import GenerationSeed
from magnet.study import Study
from prompts_frozen import Prompt
from signatures import AGENTS

#: Characters a token holds, roughly, in English text.
CHARS = 4
#: What an answer is taken for where the study sets no limit, in tokens.
UNLIMITED = 512


@dataclass
class RoleEstimate:
    """Calls and tokens of one role; output at its limit, so tokens are upper estimates."""

    role: str
    calls: int
    input_tokens: int
    output_tokens: int
    money: float | None
    currency: str


def estimate(
    study: Study, seeds: Sequence[GenerationSeed], prompts: Mapping[str, Prompt]
) -> list[RoleEstimate]:
    """Calls and tokens by role, if no session ends early and nothing is asked twice.

    Replies are taken at their token limit, tokens as four characters: a prompt grows with the
    history, which holds two such replies a turn.
    """
    limit = {role: study.spec(role).max_tokens or UNLIMITED for role in AGENTS}
    turns = study.exchanges
    said = limit["response"] + limit["client"]
    opening = sum(len(s.greeting) + len(s.opening) for s in seeds) // CHARS
    # history before turn t holds t - 1 exchanges; the client also reads the new reply
    history = opening * turns + len(seeds) * said * turns * (turns - 1) // 2
    case = sum(len(s.client_information) + len(s.reason_counseling) for s in seeds) // CHARS
    form = sum(len(s.intake_form) + len(s.attitude_instruction) for s in seeds) // CHARS
    drafts = (
        sum(limit[r] for r in ("reflection", "questioning", "solutions"))
        + limit["normalizing"]
        + limit["psychoeducation"]
    )
    rows = []
    for role in AGENTS:
        prompt = prompts[role]
        fixed = (len(prompt.system or "") + len(prompt.user)) // CHARS
        calls = len(seeds) * (1 if role == "planner" else turns)
        extra = {
            "planner": case + opening,
            "technique": history + calls * limit["planner"],
            "response": calls * drafts,
            "client": history + form * turns + calls * limit["response"],
        }.get(role, history + case * turns)
        inputs, outputs = (calls * fixed + extra), calls * limit[role]
        price = study.spec(role).price
        money = cost(price, inputs, outputs) if price else None
        methods = len(study.methods)
        rows.append(
            RoleEstimate(
                role,
                calls * methods,
                inputs * methods,
                outputs * methods,
                None if money is None else money * methods,
                price.currency if price else "",
            )
        )
    return rows
