"""Prompt sets: a folder of prompt files and the lock with the sha256 of each."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from magnet.core.errors import UsageError
from magnet.core.upstream import data_folder
from prompts_frozen import authors
from prompts_frozen.prompt import Prompt
from signatures import AGENTS

LOCK = "lock.json"


def folder_of(name: str) -> Path:
    """The folder of a prompt set, by the name of one that ships or by path.

    Raises:
        UsageError: there is no such set.
    """
    shipped = Path(str(files("prompts_frozen"))) / name
    for folder in (shipped, Path(name)):
        if (folder / LOCK).is_file() or (folder.is_dir() and any(folder.glob("*.txt"))):
            return folder
    raise UsageError(
        f"prompts: there is no prompt set {name!r}",
        "'ours' ships; a folder of your own is named by its path (copy prompts_frozen/ours, "
        "edit it, run: magnet prompts lock FOLDER).",
    )


def lock(folder: Path) -> dict[str, str]:
    """Writes the folder's lock from its prompt files, on purpose; returns name -> sha256."""
    hashes = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.txt"))
    }
    for path in sorted(folder.glob("*.txt")):  # a prompt that cannot be used is never locked
        _check(Prompt.parse(path.stem, path.read_bytes()))
    (folder / LOCK).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    return hashes


def _check(prompt: Prompt) -> None:
    if prompt.name not in AGENTS:
        raise UsageError(
            f"prompt {prompt.name!r} belongs to no agent", f"The agents are: {', '.join(AGENTS)}."
        )
    signature = AGENTS[prompt.name].signature
    inputs = set(signature.input_fields)
    if unknown := sorted(prompt.placeholders - inputs):
        raise UsageError(
            f"prompt {prompt.name!r} has the placeholder {{{unknown[0]}}}, which "
            f"{signature.__name__} does not have",
            f"It may use: {', '.join(sorted(inputs))}.",
        )


@cache
def load_prompts(name: str = "ours") -> Mapping[str, Prompt]:
    """A prompt set by role, each checked against the lock and its agent's signature.

    Args:
        name: ``ours``, ``authors`` (imported by the user), or the path of a folder with prompt
            files and their lock.

    Raises:
        UsageError: a prompt differs from its lock, is missing, or names an input that its
            signature does not have.
    """
    if name == authors.NAME:
        return _load_authors()
    folder = folder_of(name)
    where = "" if name == "ours" else f" {name}"
    relock = f"If the change is meant, run: magnet prompts lock{where}"
    try:
        locked = dict(json.loads((folder / LOCK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        locked = {}
    if not locked:
        raise UsageError(f"prompt set {name!r} has no readable {LOCK}", relock) from None
    prompts: dict[str, Prompt] = {}
    for role in AGENTS:
        path = folder / f"{role}.txt"
        if not path.is_file():
            raise UsageError(f"prompt {role!r} of set {name!r} is missing: {path}", relock)
        prompt = Prompt.parse(role, path.read_bytes())
        if prompt.sha256 != locked.get(role):
            raise UsageError(
                f"prompt {role!r} differs from its lock: {path} has sha256 "
                f"{prompt.sha256[:12]}..., {LOCK} says {str(locked.get(role, 'nothing'))[:12]}...",
                relock,
            )
        _check(prompt)
        prompts[role] = prompt
    return prompts


def _load_authors() -> Mapping[str, Prompt]:
    folder, locked = data_folder() / "prompts" / authors.NAME, authors.hashes()
    prompts = {}
    paths = {agent: f"prompts/{stem}.txt" for agent, stem in authors.FILES.items()}
    for agent, path in (paths | authors.JUDGE_FILES).items():
        get = "Import them: magnet prompts import"
        if not (folder / path).is_file():
            raise UsageError("the authors' prompts are not installed", get)
        prompt = Prompt.parse_released(
            agent, (folder / path).read_bytes(), authors.rename_for(agent)
        )
        if prompt.sha256 != locked[path]:
            raise UsageError(f"prompt {agent!r} differs from its lock: {folder / path}", get)
        _check(prompt)
        prompts[agent] = prompt
    return prompts
