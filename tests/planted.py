"""A world with a known rule: explore early, solve late. Its LM follows instructions to the letter.

The selector takes what its instructions name for the moment, the reply says what was chosen, and
the judge rewards what suits the moment; its reasons tell the rule. Where the judge is ``random``
nothing that the selector does matters.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from magnet.core.journal import RunDirectory
from magnet.core.seeds import GenerationSeed, load_seeds
from magnet.core.session import Exchange, Session
from signatures import SPECIALISTS, Technique
from tests.running import IDENTITY, PLAN

RULE = {"early": Technique.QUESTIONING, "late": Technique.SOLUTIONS}
#: Without a rule for the moment the selector takes this one, which never suits.
USUAL = Technique.NORMALIZATION
#: What the LM that writes instructions thinks of when nobody tells it anything.
IDEAS = (
    "Choose well. early: Reflection. late: Normalization.",
    "Choose well. early: Questioning. late: Providing solutions.",
    "Choose well. early: Psycho-education. late: Questioning.",
    "Choose well. Be kind.",
)
_RULES = re.compile(r"(early|late): (" + "|".join(t.value for t in Technique) + ")")


def stage_at(exchange: int) -> str:
    """Early or late, by the exchange that comes next."""
    return "early" if exchange <= 2 else "late"


def rules(text: str) -> dict[str, str]:
    """What a text says is to be done early and late; the last word counts."""
    return dict(_RULES.findall(text))


def planted(
    judge: str = "rule", ask: Callable[[dict[str, Any]], None] = lambda body: None
) -> Callable[[dict[str, Any], str], str]:
    """The reply function of a FakeServer."""

    def reply(body: dict[str, Any], prompt: str) -> str:
        ask(body)
        system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        fields = schema.get("properties", {})
        digest = hashlib.sha256(f"{prompt}|{body.get('seed')}".encode()).digest()
        if "techniques" in fields:
            exchange = len(re.findall(r"Counselor:", user))
            named = rules(demos(body)) | rules(system)  # instructions go before examples
            return json.dumps({"techniques": [named.get(stage_at(exchange), USUAL.value)]})
        if "score" in fields:
            return json.dumps(rate(user, digest) if judge == "rule" else chance(digest))
        if "new_instruction" in fields:
            lessons = sorted(rules(user).items())
            told = " ".join(f"{when}: {what}." for when, what in lessons)
            idea = f"Choose well. {told}" if told else IDEAS[digest[0] % len(IDEAS)]
            return json.dumps({"new_instruction": idea})
        if wanted := re.findall(r"`\[\[ ## (\w+) ## \]\]`", user):
            names = [name for name in dict.fromkeys(wanted) if name != "completed"]
            idea = IDEAS[digest[0] % len(IDEAS)]
            return "".join(f"[[ ## {name} ## ]]\n{idea}\n\n" for name in names)
        if "Techniques to use:" in user:
            chosen = user.rpartition("Techniques to use:")[2].split("\n")[0]
            return f"Let us use {chosen.strip()} now."
        exchange = len(re.findall(r"Counselor:", user)) - 1  # the greeting is none
        return words(exchange, re.findall(r"File (\d+)", user))

    return reply


def words(exchange: int, who: Sequence[object]) -> str:
    """What a client says after an exchange."""
    return f"This is moment {exchange} for me{''.join(f', number {name}' for name in who)}."


def demos(body: dict[str, Any]) -> str:
    """The rules that demonstrations show, one for each moment."""
    told, messages = "", body["messages"]
    for asked, answered in zip(messages[1:-1:2], messages[2:-1:2], strict=False):
        exchange = len(re.findall(r"Counselor:", asked["content"]))
        chosen = json.loads(answered["content"])["techniques"]
        told += f" {stage_at(exchange)}: {chosen[0]}."
    return told


def rate(conversation: str, digest: bytes) -> dict[str, Any]:
    """The judge's answer: does the reply use what suits the moment, and nothing else?"""
    before, _, _ = conversation.partition("Counselor:")  # what the client said last
    said = re.search(r"moment (\d+)", before)
    stage = stage_at(int(said[1]) + 1 if said else 1)
    used = re.findall(r"Let us use (.*?) now\.", conversation)
    right = RULE[stage].value
    score = 5 if used[:1] == [right] else 3 if used and right in used[0] else 1
    reason = "Well chosen." if score == 5 else f"The counselor missed this: {stage}: {right}."
    return {"score": score + digest[2] % 2, "reason": reason}


def chance(digest: bytes) -> dict[str, Any]:
    """A judge that throws dice."""
    return {"score": digest[1] % 7, "reason": "For no reason."}


def people(count: int) -> list[GenerationSeed]:
    """So many clients of one attitude each."""
    found = []
    for number in range(count):
        entry = json.loads(json.dumps(load_seeds().seeds[number % 12].entry))
        entry["AI_client"]["intake_form"] += f"\nFile {number}"
        found.append(GenerationSeed.from_entry(entry))
    return found


def sessions(clients: int, exchanges: int = 4) -> list[Session]:
    """Sessions of this world, whose selector always took the usual technique."""
    found = []
    for number, seed in enumerate(people(clients), 1):
        session = Session(id=f"session_{number:04d}", seed=seed, plan=PLAN)
        for exchange in range(1, exchanges + 1):
            session.exchanges.append(
                Exchange(
                    candidates={role: f"A draft of {role}." for role in SPECIALISTS},
                    techniques=[USUAL],
                    reply=f"Let us use {USUAL.value} now.",
                    client_reply=words(exchange, [number - 1]),
                    calls=[],
                )
            )
        found.append(session)
    return found


def run_of(out: Path, clients: int, exchanges: int = 4) -> Path:
    """A run directory that holds them."""
    directory = RunDirectory(out)
    directory.open('methods = ["magnet"]\n', {"identity": IDENTITY})
    for session in sessions(clients, exchanges):
        directory.publish(session)
    directory.close()
    return out
