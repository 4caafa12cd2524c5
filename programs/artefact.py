"""The artefact of a search: an agent's instructions and demos as JSON, with where they come from.

No pickle: loading runs no code, and refuses what was optimized for another signature.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from magnet.core.errors import UsageError, first_of
from magnet.core.files import write_atomically
from programs import Agent
from programs.state import apply_state, fields_of
from signatures import AGENTS

FORMAT = 1


class State(BaseModel):
    """One agent as it was optimized.

    Attributes:
        agent: its name.
        signature: its fields with their types, as ``fields_of`` gives them.
        instructions: what it is told.
        demos: examples it is shown, fields by name.
    """

    model_config = ConfigDict(extra="forbid")

    agent: str
    signature: dict[str, Any]
    instructions: str
    demos: list[dict[str, Any]]


class Artefact(BaseModel):
    """What a search leaves behind.

    Attributes:
        magnet_artefact: version of the format.
        states: the optimized agents.
        verdict: what the comparison on held-out clients says: ``gain``, ``loss``, ``not shown``
            or ``not measured``.
        finding: the same in a sentence.
        provenance: study, models, data, optimizer and its options, versions.
    """

    model_config = ConfigDict(extra="forbid")

    magnet_artefact: int = FORMAT
    states: list[State]
    verdict: str
    finding: str
    provenance: dict[str, Any]

    @property
    def agents(self) -> list[str]:
        """Names of the optimized agents."""
        return [state.agent for state in self.states]

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's provenance says of it."""
        keys = ("packages", "commit", "models", "sessions")
        told = {key: self.provenance[key] for key in keys if key in self.provenance}
        return {"agents": self.agents, "verdict": self.verdict, "finding": self.finding, **told}

    def apply(self, agents: Sequence[Agent]) -> list[str]:
        """Optimizes those of the agents that it holds a state for; returns their names."""
        states, optimized = {state.agent: state for state in self.states}, []
        for agent in agents:
            if (state := states.get(agent.name)) is not None:
                apply_state(agent, state.model_dump())
                optimized.append(agent.name)
        return optimized


def state_for(name: str, state: Mapping[str, Any]) -> State:
    """The artefact's record of an agent's state."""
    return State(
        agent=name,
        signature=fields_of(name),
        instructions=state["instructions"],
        demos=json.loads(json.dumps(state["demos"], default=str)),
    )


def file_name(agent: str) -> str:
    """The artefact's file in its folder."""
    return "selector.json" if agent.startswith("technique") else f"{agent}.json"


def save(folder: Path, agent: str, artefact: Artefact) -> Path:
    """Writes the artefact; it is there whole or not at all."""
    path = folder / file_name(agent)
    write_atomically(path, artefact.model_dump_json(indent=2).encode() + b"\n")
    return path


def load(source: str | Path) -> Artefact:
    """Reads an artefact.

    Args:
        source: its file, or the folder a search wrote.

    Raises:
        UsageError: there is none, it is damaged, or an agent's signature has changed since.
    """
    path = _find(Path(source))
    try:
        artefact = Artefact.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"artefact: cannot read {path}: {error.strerror}", _MAKE) from None
    except ValidationError as error:
        field, wrong = first_of(error)
        raise UsageError(
            f"artefact: {path} is none of this project: {field or 'the file'}: {wrong}", _MAKE
        ) from None
    if artefact.magnet_artefact != FORMAT:
        raise UsageError(
            f"artefact: {path} has format {artefact.magnet_artefact}, this version reads {FORMAT}",
            _MAKE,
        )
    for state in artefact.states:
        _check(path, state)
    return artefact


_MAKE = "Make one: python -m optimize.selector STUDY.toml --out DIR"


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [p for p in sorted(path.glob("*.json")) if b'"magnet_artefact"' in p.read_bytes()[:200]]
    if len(found) != 1:
        raise UsageError(f"artefact: {path} holds {len(found) or 'no'} artefacts", _MAKE)
    return found[0]


def _check(path: Path, state: State) -> None:
    if state.agent not in AGENTS:
        raise UsageError(
            f"artefact: {path} optimizes {state.agent!r}, which is no agent",
            f"The agents are: {', '.join(AGENTS)}.",
        )
    ours = fields_of(state.agent)
    for side in ("inputs", "outputs"):
        theirs = state.signature.get(side, {})
        changed = [f for f in {**theirs, **ours[side]} if theirs.get(f) != ours[side].get(f)]
        if changed:
            raise UsageError(
                f"artefact: {path} was optimized for another signature of {state.agent!r}: its "
                f"{side} differ in {', '.join(changed)}",
                "Optimize the agent again with this version: python -m optimize.selector ...",
            )
    try:
        apply_state(Agent(state.agent), state.model_dump())
    except ValidationError as error:
        _, wrong = first_of(error)
        raise UsageError(
            f"artefact: {path}: a demo of {state.agent!r} is damaged: {wrong}", _MAKE
        ) from None
