"""Study: the typed spec of a run, from TOML and ``--set``."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from magnet.core.errors import UsageError, first_of, nearest
from magnet.lm.spec import CONNECTION, LMSpec, Price, spec_for
from magnet.lm.usage import Budget
from magnet.study.optimize import OptimizeSpec
from programs import METHODS, PROFILES, Profile
from programs.own import is_own, look_in, name_of, source_sha256
from signatures import PARENTS, ROLES, SCALES, SPECIALISTS

#: Keys that change where or how fast a run goes, not what comes out: a run directory may be
#: continued with others.
NOT_IDENTITY = (
    *("name", "workers", "budget", "stages", "scales", "repeats", "judges", "expected"),
    "finetune",
    *("optimized", "optimize"),  # what is optimized counts by its content
)
_NOT_IDENTITY_LM = ("url", "key_env", "price", "timeout")

_TABLES: dict[str, Iterable[str]] = {
    r"budget": Budget.model_fields,
    r"switches": Profile.model_fields,
    r"finetune": ("recipe", "model", "clients", "set", "merge"),
    r"optimize": OptimizeSpec.model_fields,
    r"optimize\.budget": Budget.model_fields,
    r"lm": ("default", *ROLES),
    r"(lm|judges)\.[^.]+": LMSpec.model_fields,
    r"(lm|judges)\.[^.]+\.price": Price.model_fields,
}


#: Keys that had another name.
_RENAMED = {"fidelity": "profile", "tuned": "optimized"}


def _known_keys(path: str) -> Iterable[str] | None:
    """The keys a table of a study may have; None where any will do."""
    if not path:
        return Study.model_fields
    return next((keys for form, keys in _TABLES.items() if re.fullmatch(form, path)), None)


class Finetune(BaseModel):
    """The stage ``finetune``.

    Attributes:
        recipe: one that ships, or a YAML file's path.
        model: the base model; the recipe's unless set.
        clients: whose sessions to learn from: the ``train`` split's, or ``all`` clients'.
        set: keys of the recipe that differ from it.
        merge: keep merged models too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "recommended"
    model: str | None = None
    clients: Literal["train", "all"] = "train"
    set: dict[str, Any] = {}
    merge: bool = False


class Study(BaseModel):
    """What a run does.

    Attributes:
        name: names the run directory.
        methods: generation systems, each played on the same seeds; ``module:attribute`` is one
            of the user's own.
        seeds: a seed file's path, or ``ours``.
        sessions: how many of its seeds, from the first; all of them unless set.
        split: which clients of the seed file are played: ``all``, or the paper's training,
            validation or test split; ``sessions`` counts within it.
        exchanges: turns a session has at most after greeting and opening (paper: 20).
        seed: of the run; all sampling derives from it.
        stages: what to do, of ``generate``, ``judge``, ``finetune``, ``report``.
        scales: what judges rate.
        repeats: how often a judge is asked each question; the profile's number unless set.
        expected: record the judges' probability-weighted scores too, where servers give
            log-probabilities.
        judges: tables of LMSpec's keys by judge's name, over ``[lm.judge]``; one judge unless set.
        prompts: the prompt set.
        profile: ``paper`` follows the paper's text, ``released`` the authors' scripts.
        switches: single switches of ``programs.profile.Profile`` that differ from it.
        leave_out: specialists that MAGneT's methods do without, by role.
        optimized: artefacts of ``optimize.selector``, by path: agents that take the place of the
            frozen ones.
        optimize: how ``optimize.selector`` optimizes an agent on this study.
        workers: sessions played at once; 64 unless set, 4 with the embedded LM.
        budget: upper bounds over all invocations of the run.
        finetune: how the stage of that name trains.
        lm: tables of LMSpec's keys: ``default`` and one a role.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="study", pattern=r"^[A-Za-z0-9._-]+$")
    methods: list[str] = Field(default=["magnet"], min_length=1)
    seeds: str = "ours"
    sessions: PositiveInt | None = None
    split: Literal["all", "train", "validation", "test"] = "all"
    exchanges: PositiveInt = 20
    seed: int = 0
    stages: list[Literal["generate", "judge", "finetune", "report"]] = ["generate"]
    scales: list[str] = list(SCALES)
    repeats: PositiveInt | None = None
    judges: dict[str, dict[str, Any]] = {}
    expected: bool = False
    prompts: str = "ours"
    profile: Literal["paper", "released"] = "paper"
    switches: dict[str, Any] = {}
    leave_out: list[str] = []
    optimized: list[str] = []
    optimize: OptimizeSpec = OptimizeSpec()
    workers: PositiveInt | None = None
    budget: Budget = Budget()
    finetune: Finetune = Finetune()
    lm: dict[str, dict[str, Any]] = {}

    @field_validator("scales")
    @classmethod
    def _known_scales(cls, scales: list[str]) -> list[str]:
        for scale in scales:
            if scale not in SCALES:
                raise ValueError(f"there is no scale {scale!r}{nearest(scale, SCALES)}")
        return scales

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, methods: list[str]) -> list[str]:
        for method in methods:
            if not (method in METHODS or is_own(method)):
                form = "; one of your own is written module:attribute" if ":" in method else ""
                raise ValueError(f"there is no method {method!r}{form or nearest(method, METHODS)}")
            if is_own(method) and name_of(method) in METHODS:
                raise ValueError(
                    f"{method!r} bears the name of a method that ships; choose another"
                )
        if len({name_of(method) for method in methods}) != len(methods):
            raise ValueError("a method is named twice")
        return methods

    @field_validator("leave_out")
    @classmethod
    def _known_specialists(cls, roles: list[str]) -> list[str]:
        for role in roles:
            if role not in SPECIALISTS:
                raise ValueError(f"there is no specialist {role!r}{nearest(role, SPECIALISTS)}")
        if len(set(roles)) == len(SPECIALISTS):
            raise ValueError("all five specialists are left out; keep one")
        return [role for role in SPECIALISTS if role in roles]

    @model_validator(mode="after")
    def _known_switches(self) -> "Study":
        _ = self.behaviour  # raises where a switch has a wrong value
        return self

    @cached_property
    def behaviour(self) -> Profile:
        """The profile with the study's own switches."""
        return Profile.model_validate(PROFILES[self.profile].model_dump() | self.switches)

    @property
    def own_methods(self) -> list[str]:
        """Those of its methods that are the user's own."""
        return [method for method in self.methods if is_own(method)]

    def spec(self, role: str) -> LMSpec:
        """A role's model."""
        return spec_for(role, self.lm, self._usual(role))

    def _usual(self, role: str) -> dict[str, Any]:
        if role == "judge":
            return self.behaviour.judge_lm()
        if role == "optimizer":  # instructions are long, and the next should not be as the last
            return {"temperature": 1.0, "max_tokens": 2048}
        return self.behaviour.technique_lm() if role == "technique" else {}

    def judge_specs(self) -> dict[str, LMSpec]:
        """The judges' models by judge's name."""
        if not self.judges:
            return {"judge": self.spec("judge")}
        shared = self.lm.get("judge", {})
        return {
            name: spec_for(
                "judge", dict(self.lm) | {"judge": _over(shared, own)}, self._usual("judge")
            )
            for name, own in self.judges.items()
        }

    def judge_table(self, name: str) -> str:
        """The table a judge's URL comes from."""
        own = "url" in self.judges.get(name, {})
        return f"judges.{name}" if own else f"lm.{self.table_of('judge')}"

    @property
    def judge_repeats(self) -> int:
        """How often a judge is asked each question."""
        return self.repeats or self.behaviour.judge_repeats

    def table_of(self, role: str) -> str:
        """The ``[lm.*]`` table a role's URL comes from."""
        for name in (role, PARENTS.get(role, role)):
            if "url" in self.lm.get(name, {}):
                return name
        return "default"

    def models(self, roles: Iterable[str]) -> list[tuple[LMSpec, str, list[str]]]:
        """The different models of some roles: spec, the table its URL comes from, its roles."""
        groups: dict[str, tuple[LMSpec, str, list[str]]] = {}
        for role in roles:
            spec = self.spec(role)
            group = groups.setdefault(spec.model_dump_json(), (spec, self.table_of(role), []))
            group[2].append(role)
        return list(groups.values())

    def identity(
        self, seeds_sha256: str, prompt_hashes: dict[str, str], roles: Iterable[str]
    ) -> dict[str, Any]:
        """All that decides what comes out: the same identity, the same run directory.

        Args:
            seeds_sha256: hash of the seed file.
            prompt_hashes: of the prompts in use, by agent.
            roles: in use.
        """
        data = self.model_dump(mode="json", exclude=set(NOT_IDENTITY) | {"lm", "seeds", "prompts"})
        if self.split == "all":  # as the runs of before there was a choice
            del data["split"]
        if not self.leave_out:
            del data["leave_out"]
        models = {
            role: self.spec(role).model_dump(mode="json", exclude=set(_NOT_IDENTITY_LM))
            for role in roles
        }
        if self.own_methods:  # their code decides too
            data["sources"] = {method: source_sha256(method) for method in self.own_methods}
        return data | {
            "switches": self._switches(),
            "seeds": seeds_sha256,
            "prompts": prompt_hashes,
            "models": models,
        }

    def _switches(self) -> dict[str, Any]:
        """The switches as the identity has them."""
        switches = self.behaviour.model_dump()
        chosen = self.profile != "paper" or "ablations_see_history" in self.switches
        if not chosen and set(self.methods) <= set(METHODS) - {"magnet-t", "magnet-c-t"}:
            # Under "paper" it was once off: runs it does not touch keep their identity.
            switches["ablations_see_history"] = False
        return switches


def _over(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A judge's table over that of all judges; a URL of its own brings its own connection."""
    if "url" in own:
        shared = {k: v for k, v in shared.items() if k not in CONNECTION}
    return shared | own


def digest(identity: dict[str, Any]) -> str:
    """Hex sha256 of an identity."""
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _check_keys(data: dict[str, Any], where: str, path: str = "") -> None:
    known = _known_keys(path)
    for key, value in data.items():
        inner = f"{path}.{key}" if path else key
        if inner in _RENAMED:
            raise UsageError(
                f"{where}: the key {inner!r} is now called {_RENAMED[inner]!r}", "Rename it."
            )
        if known is not None and key not in known:
            raise UsageError(f"{where}: unknown key {inner!r}{nearest(key, known)}")
        if _known_keys(inner) is not None or inner == "judges":
            if not isinstance(value, dict):
                raise UsageError(f"{where}: {inner} is a table, not {value!r}")
            _check_keys(value, where, inner)


def presets() -> list[str]:
    """Names of the studies that ship."""
    return sorted(
        p.name.removesuffix(".toml") for p in files("studies").iterdir() if p.name.endswith(".toml")
    )


def _read(source: str) -> tuple[dict[str, Any], Path]:
    path = Path(source)
    if not path.exists() and source in presets():
        path = Path(str(files("studies"))) / f"{source}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), path
    except OSError as error:
        raise UsageError(
            f"study: cannot read {source}: {error.strerror}",
            f"Give the path of a TOML file, or one that ships: {', '.join(presets())}.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"study: {source} is not TOML: {error}") from None


def apply_setting(data: dict[str, Any], setting: str) -> None:
    """Sets a key from ``key=value``, the value in TOML; dots lead into tables.

    Raises:
        UsageError: it is not of that form.
    """
    key, equals, value = setting.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UsageError(
            f"--set {setting!r} is not KEY=VALUE", 'Example: --set "lm.default.temperature=0.5"'
        )
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        raise UsageError(
            f"--set {key}: {value.strip()!r} is not a TOML value",
            f"Text needs quotes of its own: --set \"{key}='{value.strip()}'\"",
        ) from None
    *tables, last = key.split(".")
    for name in tables:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise UsageError(f"--set {key}: {name} is not a table")
    data[last] = parsed


def _checked(build: Callable[[], Any], study: Study, table: str) -> None:
    try:
        build()
    except ValidationError as error:
        field, wrong = first_of(error, table)
        raise UsageError(f"study {study.name}: {field}: {wrong}") from None


def load_study(source: str = "demo", settings: Sequence[str] = ()) -> Study:
    """A study from a TOML file or a preset's name, with ``key=value`` settings over it.

    Raises:
        UsageError: unreadable, an unknown key (with the nearest known one), a wrong value.
    """
    data, path = _read(source)
    data.setdefault("name", path.stem)
    _check_keys(data, str(source))
    seeds = data.get("seeds", "ours")
    if isinstance(seeds, str) and seeds != "ours" and (path.parent / seeds).is_file():
        data["seeds"] = str(path.parent / seeds)  # beside the study; --set counts from here
    for setting in settings:
        apply_setting(data, setting)
        _check_keys(data, "--set")
    try:
        study = Study.model_validate(data)
        if study.own_methods:
            look_in([path.parent, Path.cwd()])
        for role in ("default", *ROLES):
            _checked(partial(study.spec, role), study, f"lm.{role}")
        _checked(study.judge_specs, study, "judges")
    except ValidationError as error:
        field, wrong = first_of(error)
        raise UsageError(f"study {source}: {field}: {wrong}") from None
    return study
