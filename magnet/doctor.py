"""``magnet doctor STUDY``: every check of a run at once, at no cost."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import dspy

from magnet.core.errors import UsageError
from magnet.core.seeds import load_seeds
from magnet.lm import LMSpec, resolve
from magnet.stages import after
from magnet.study.prepare import check_disk, make_programs, roles_of
from magnet.study.spec import Study, load_study
from programs import Client
from prompts_frozen import load_prompts

Check = tuple[bool, str]


def _try(check: Callable[[], str]) -> Check:
    try:
        return True, check()
    except UsageError as error:
        return False, str(error)


def _model(spec: LMSpec, table: str, roles: Sequence[str]) -> str:
    found = resolve(spec, table)
    return f"{found.model} at {spec.url or 'embedded'} ({spec.wire}) for {', '.join(roles)}"


def _judges(study: Study) -> Iterator[Check]:
    """Each judge separately: two may share a model but differ in how it is asked."""
    for name, spec in study.judge_specs().items():
        who = "judge" if name == "judge" else f"judge {name}"
        passed, text = _try(partial(_model, spec, study.judge_table(name), [who]))
        yield passed, text if passed else f"{who}: {text}"  # the table may be of all judges


def _programs(study: Study) -> tuple[dict[str, dspy.Module], Client] | str:
    """The study's programs, or why they cannot be created."""
    try:
        return make_programs(study)
    except UsageError as error:
        return str(error)


def examine(source: str, settings: Sequence[str], out: Path) -> Iterator[Check]:
    """Each check's outcome: whether it passed, and what was found or how to fix it.

    Args:
        source: a study.
        settings: ``key=value`` over it.
        out: where its run would go.
    """
    try:
        study = load_study(source, settings)
    except UsageError as error:
        yield False, str(error)
        return
    yield True, f"study {study.name}: {', '.join(study.methods)}"
    sessions = 0

    def seeds() -> str:
        nonlocal sessions
        file = load_seeds(study.seeds)
        sessions = len(file.take(study.sessions, study.split)) * len(study.methods)
        return f"seeds {file.name}: {len(file.seeds)} entries, {file.clients} clients"

    yield _try(seeds)
    prompts = _try(lambda: f"prompts {study.prompts}: {len(load_prompts(study.prompts))} locked")
    yield prompts
    usable = study if prompts[0] else study.model_copy(update={"prompts": "ours"})
    programs = _programs(usable)
    if isinstance(programs, str):
        yield False, programs
    else:
        for model in study.models(roles_of(*programs)):
            yield _try(partial(_model, *model))
    if "judge" in study.stages:
        yield from _judges(study)

    def disk() -> str:
        check_disk(out, sessions, study.exchanges)
        return f"disk: enough for {sessions} sessions"

    if sessions:  # how many is not known where the seeds are not
        yield _try(disk)
    for stage in after(study):
        yield _try(partial(stage.check, study))
