"""A study made ready: files read and checked, programs built, models found."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from magnet.errors import UsageError
from magnet.journal import check_free
from magnet.lm import ROLES, LMSpec, Meter, make_lm, resolve
from magnet.lm.http import Asker, Engine
from magnet.seeds import GenerationSeed, SeedFile, load_seeds
from magnet.study import Study, load_study
from optimize.artefact import Artefact
from optimize.artefact import load as load_artefact
from programs import METHODS, Agent, Client, Counselor

# Bytes of a session file without its turns, and of a turn.
_SESSION_BYTES = 12_000
_TURN_BYTES = 8_000


def make_programs(
    study: Study, artefacts: Sequence[Artefact] = ()
) -> tuple[dict[str, Counselor], Client]:
    """The program of each of the study's methods, and the client's.

    Args:
        study: the study.
        artefacts: tuned agents that take the place of frozen ones.

    Raises:
        UsageError: a prompt is not as locked, or no program has a tuned agent.
    """
    counselors = {m: METHODS[m](study.prompts, study.faithful) for m in study.methods}
    client = Client(study.prompts, study.faithful)
    for artefact in artefacts:
        tuned = artefact.apply(agents_of(counselors, client))
        judges = any(name.startswith(("ctrs-", "wai-")) for name in artefact.agents)
        if not tuned and not judges:
            raise UsageError(
                f"the methods {', '.join(study.methods)} have no agent {artefact.agents[0]!r}, "
                "which the artefact tunes",
                "It belongs to the method magnet: --set \"methods=['magnet']\"",
            )
    return counselors, client


def agents_of(counselors: Mapping[str, Counselor], client: Client) -> list[Agent]:
    """All agents of all programs."""
    programs: list[Counselor | Client] = [*counselors.values(), client]
    return [agent for program in programs for agent in program.predictors()]


def roles_of(counselors: Mapping[str, Counselor], client: Client) -> list[str]:
    """The roles that programs use."""
    used = {agent.role for agent in agents_of(counselors, client)}
    return [role for role in ROLES if role in used]


@dataclass
class Prepared:
    """A study whose files are read and checked, and its programs.

    Attributes:
        study: the study.
        file: its seed file.
        seeds: those it plays.
        counselors: program of each method.
        client: the client's program.
        artefacts: the tuned agents among them.
    """

    study: Study
    file: SeedFile
    seeds: Sequence[GenerationSeed]
    counselors: Mapping[str, Counselor]
    client: Client
    artefacts: Sequence[Artefact] = ()

    @property
    def roles(self) -> list[str]:
        """The roles in use."""
        return roles_of(self.counselors, self.client)

    @property
    def sessions(self) -> int:
        """How many sessions it plays."""
        return len(self.seeds) * len(self.counselors)

    @property
    def embedded(self) -> bool:
        """Whether any role uses the embedded LM."""
        return any(self.study.spec(role).url is None for role in self.roles)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what comes out."""
        agents = agents_of(self.counselors, self.client)
        hashes = {agent.name: agent.prompt_sha256 for agent in agents}
        return self.study.identity(self.file.sha256, hashes, self.roles)


def prepare(source: str, settings: Sequence[str]) -> Prepared:
    """Reads and checks study, seeds and prompts.

    Raises:
        UsageError: something is wrong with them.
    """
    study = load_study(source, settings)
    file = load_seeds(study.seeds)
    artefacts = [load_artefact(source) for source in study.tuned]
    programs = make_programs(study, artefacts)
    seeds = file.take(study.sessions, study.split)
    return Prepared(study, file, seeds, *programs, artefacts)


def check_disk(path: Path, sessions: int, exchanges: int) -> None:
    """Refuses a run that would fill the disk.

    Raises:
        UsageError: less is free than the sessions will take.
    """
    needed = sessions * (_SESSION_BYTES + _TURN_BYTES * exchanges) + 50_000_000
    check_free(path, needed, "the run")


def resolve_models(
    study: Study,
    roles: Sequence[str],
    meter: Meter,
    wrap: Callable[[Engine], Asker] = lambda engine: engine,
) -> tuple[dict[str, LMSpec], dict[str, dspy.LM]]:
    """Each role's model, checked against its server; equal specs are asked once.

    Args:
        study: the study.
        roles: in use.
        meter: counts their calls.
        wrap: see make_lm.

    Raises:
        UsageError: a server is out of reach.
    """
    specs: dict[str, LMSpec] = {}
    for spec, table, users in study.models(roles):
        specs |= dict.fromkeys(users, resolve(spec, table))
    return specs, {role: make_lm(spec, role, meter, wrap) for role, spec in specs.items()}


def assign(program: dspy.Module, lms: Mapping[str, dspy.LM]) -> dspy.Module:
    """Gives every agent of a program the LM of its role."""
    for predictor in program.predictors():
        if isinstance(predictor, Agent):
            predictor.lm = lms[predictor.role]
    return program


def quiet() -> None:
    """Keeps DSPy from holding on to every call and from a warning a truncated reply."""
    dspy.configure(disable_history=True, trace=None, warn_on_type_mismatch=False)
    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)
