"""A study made ready: files read and checked, programs built, models found."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from magnet.core.errors import UsageError
from magnet.core.files import check_free
from magnet.core.seeds import GenerationSeed, SeedFile, load_seeds
from magnet.lm import LMSpec, Meter, make_lm, resolve
from magnet.lm.http import Asker, Engine
from magnet.study.spec import Study, load_study
from programs import METHODS, Agent, Client, MagnetCounselor
from programs.artefact import Artefact
from programs.artefact import load as load_artefact
from programs.own import make_own, name_of
from signatures import QUESTIONS, ROLES

#: Faults of server and network that are borne for one answer, as an agent bears them.
FAULTS = 7

# Bytes of a session file without its exchanges, and of an exchange.
_SESSION_BYTES = 12_000
_EXCHANGE_BYTES = 8_000


def make_programs(
    study: Study, artefacts: Sequence[Artefact] = ()
) -> tuple[dict[str, dspy.Module], Client]:
    """The program of each of the study's methods by its name, and the client's.

    Args:
        study: the study.
        artefacts: optimized agents that take the place of frozen ones.

    Raises:
        UsageError: a prompt is not as locked, a method of one's own does not load, or no
            program has an optimized agent or the specialists that are left out.
    """
    counselors = {name_of(method): make_counselor(method, study) for method in study.methods}
    client = Client(study.prompts, study.behaviour)
    if study.leave_out:
        _leave_out(study, counselors)
    for artefact in artefacts:
        optimized = artefact.apply(agents_of(counselors, client))
        judges = any(name in QUESTIONS for name in artefact.agents)
        if not optimized and not judges:
            raise UsageError(
                f"the methods {', '.join(study.methods)} have no agent {artefact.agents[0]!r}, "
                "which the artefact optimizes",
                "It belongs to the method magnet: --set \"methods=['magnet']\"",
            )
    return counselors, client


def make_counselor(method: str, study: Study) -> dspy.Module:
    """The program of one of a study's methods.

    Raises:
        UsageError: a prompt is not as locked, or a method of one's own does not load.
    """
    if method in METHODS:
        return METHODS[method](study.prompts, study.behaviour)
    return make_own(method, study.prompts, study.behaviour)


def _leave_out(study: Study, counselors: Mapping[str, dspy.Module]) -> None:
    having = [c for c in counselors.values() if isinstance(c, MagnetCounselor)]
    if not having:
        raise UsageError(
            f"leave_out: the methods {', '.join(study.methods)} have no specialists",
            "They belong to MAGneT's methods: magnet, magnet-c, magnet-t, magnet-c-t.",
        )
    for counselor in having:
        counselor.leave_out(*study.leave_out)


def agents_of(counselors: Mapping[str, dspy.Module], client: Client) -> list[Agent]:
    """All agents of all programs."""
    predictors = [p for program in (*counselors.values(), client) for p in program.predictors()]
    return [predictor for predictor in predictors if isinstance(predictor, Agent)]


def role_of(name: str, predictor: dspy.Predict) -> str:
    """The role whose model a predictor uses.

    Args:
        name: its place in its program. A predictor that is no agent has the role its attribute
            is named after, ``response`` where it is named after none.
        predictor: the predictor.
    """
    if isinstance(predictor, Agent):
        return str(predictor.role)
    return next((part for part in re.split(r"\W+", name) if part in ROLES), "response")


def roles_of(counselors: Mapping[str, dspy.Module], client: Client) -> list[str]:
    """The roles that programs use."""
    programs = (*counselors.values(), client)
    used = {role_of(*named) for program in programs for named in program.named_predictors()}
    if any(not type(p).__module__.startswith("programs.") for p in counselors.values()):
        used.add("response")  # a module of the user's own may ask the LM of its context
    return [role for role in ROLES if role in used]


def prompt_hashes(counselors: Mapping[str, dspy.Module], client: Client) -> dict[str, str]:
    """Hash of each agent's prompt by agent, and by method too where methods differ in it."""
    hashes: dict[str, str] = {}
    for method, program in {**counselors, "client": client}.items():
        for agent in program.predictors():
            if isinstance(agent, Agent):
                digest = agent.prompt_sha256
                if hashes.setdefault(agent.name, digest) != digest:
                    hashes[f"{method}.{agent.name}"] = digest
    return hashes


@dataclass
class Prepared:
    """A study whose files are read and checked, and its programs.

    Attributes:
        study: the study.
        file: its seed file.
        seeds: those it plays.
        counselors: program of each method.
        client: the client's program.
        artefacts: the optimized agents among them.
    """

    study: Study
    file: SeedFile
    seeds: Sequence[GenerationSeed]
    counselors: Mapping[str, dspy.Module]
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
        hashes = prompt_hashes(self.counselors, self.client)
        return self.study.identity(self.file.sha256, hashes, self.roles)


def prepare(source: str, settings: Sequence[str]) -> Prepared:
    """Reads and checks study, seeds and prompts.

    Raises:
        UsageError: something is wrong with them.
    """
    study = load_study(source, settings)
    file = load_seeds(study.seeds)
    artefacts = [load_artefact(source) for source in study.optimized]
    programs = make_programs(study, artefacts)
    seeds = file.take(study.sessions, study.split)
    return Prepared(study, file, seeds, *programs, artefacts)


def check_disk(path: Path, sessions: int, exchanges: int) -> None:
    """Refuses a run that would fill the disk.

    Raises:
        UsageError: less is free than the sessions will take.
    """
    needed = sessions * (_SESSION_BYTES + _EXCHANGE_BYTES * exchanges) + 50_000_000
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
    """Gives every predictor of a program the LM of its role.

    One that is no agent keeps an LM of its own; it does not ask again after a fault, so that
    DSPy has to.
    """
    for name, predictor in program.named_predictors():
        lm = lms[role_of(name, predictor)]
        if isinstance(predictor, Agent):
            predictor.lm = lm
        elif predictor.lm is None:
            predictor.lm = patient(lm)
    return program


def patient(lm: dspy.LM) -> dspy.LM:
    """The LM for modules that do not ask again themselves: DSPy bears what an agent would."""
    return lm.copy(num_retries=FAULTS)


def quiet() -> None:
    """Keeps DSPy from holding on to every call and from a warning a truncated reply."""
    dspy.configure(disable_history=True, trace=None, warn_on_type_mismatch=False)
    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)
