"""The study that evaluates tuned counselors on the clients they have not seen."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import tomli_w

from magnet.core.files import write_atomically
from magnet.dataset.split import SEED_FILE
from magnet.training.plan import Plan

#: What vLLM's --max-lora-rank may be.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
URL = "http://localhost:8000"
#: What the evaluation takes over from the study of the training sessions.
_SAME = ("exchanges", "seed", "profile", "switches", "scales", "repeats", "expected", "judges")


def served_name(plan: Plan, agent: str) -> str:
    """What an adapter is served as: its base's name in it, so that sessions say what played."""
    return f"{Path(plan.base).name}-{agent}"


def serve_command(plan: Plan, adapters: Mapping[str, Path]) -> str:
    """The command that serves base and adapters with vLLM, unmerged."""
    rank = next((r for r in _RANKS if r >= plan.recipe.r), plan.recipe.r)
    named = [f"{served_name(plan, a)}={folder.resolve()}" for a, folder in adapters.items()]
    words = ["vllm", "serve", plan.base, "--dtype", plan.recipe.serve]
    words += ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", *named]
    return shlex.join(words)


def write_evaluation(plan: Plan, path: Path, adapters: Mapping[str, Path]) -> bool:
    """Writes the study, and the test split's seeds beside it where no seed file gives them.

    Returns:
        Whether there is anybody to evaluate with: without an unseen client, no study.

    Args:
        plan: of one of the trainings; they share all that is used here.
        path: of the study.
        adapters: folder of each tuned agent's adapter.
    """
    seeds = _seeds(plan, path)
    if not seeds:
        return False
    study = plan.provenance.get("study") or {}
    lms = study.get("lm") or {}
    tables: dict[str, Any] = {"default": {"url": URL, "model": plan.base}}
    if plan.recipe.template:
        tables["default"] |= {"wire": "completions", "template": plan.recipe.template}
    if judge := lms.get("judge"):
        tables["judge"] = judge
    tables |= {agent: {"model": served_name(plan, agent)} for agent in adapters}
    data: dict[str, Any] = {"methods": list(adapters), "stages": ["generate", "judge", "report"]}
    data |= {key: study[key] for key in _SAME if study.get(key) is not None}
    data |= seeds | {"prompts": plan.prompts, "lm": tables}
    comment = (
        "# Tuned counselors with the clients of the test split, whom they have not seen, and the\n"
        "# untuned base as client. Serve base and adapters first:\n"
        f"#   {serve_command(plan, adapters)}\n"
        "# and name your judge in [lm.judge] (url, model, key_env): else the base judges.\n"
    )
    write_atomically(path, (comment + tomli_w.dumps(data)).encode())
    return True


def _seeds(plan: Plan, path: Path) -> dict[str, Any]:
    if plan.clients == "all":
        return {}
    known = plan.provenance.get("study") or {}
    if plan.pairs.order == SEED_FILE:
        source = str(known.get("seeds"))
        named = str(Path(source).resolve()) if Path(source).is_file() else source
        return {"seeds": named, "split": "test"}
    # The run's own order parted the clients: only its sessions know who was not seen.
    entries = {p.seed.seed_id: p.seed.entry for p in plan.pairs.of("test")}
    if not entries:
        return {}
    seeds = path.with_name("test_seeds.json")
    seeds.write_bytes(orjson.dumps(list(entries.values()), option=orjson.OPT_INDENT_2))
    return {"seeds": seeds.name}
