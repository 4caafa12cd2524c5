"""The prompt set ``authors``: the paper's prompts, verbatim, imported by the user.

None of their text ships, only the names and hashes of their files (``authors.json``).
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from magnet.core.errors import UsageError
from magnet.core.upstream import ARCHIVE, data_folder, read_source

NAME = "authors"

#: Agent -> their file.
FILES = {
    "planner": "agent_cbt",
    "reflection": "agent_reflections",
    "questioning": "agent_questioning",
    "solutions": "agent_solutions",
    "normalizing": "agent_normalization",
    "psychoeducation": "agent_psychoed",
    "technique": "agent_technique",
    "technique-unplanned": "agent_technique-no-cbt",
    "response": "agent_dialogue_gen",
    "response-to-plan": "agent_dialogue_gen-no-tech",
    "response-free": "agent_dialogue_gen-no-cbt-no-tech",
    "cactus": "agent_cactus",
    "psych8k": "agent_psych8k",
    "tuned-magnet": "qlora-mascs-dialogue-gen",
    "tuned-cactus": "qlora-cactus-dialogue-gen",
    "tuned-psych8k": "qlora-psych8k-dialogue-gen",
    "client": "agent_client",
}
#: Judges' prompts -> their files, outside the folder of the agents'.
JUDGE_FILES = {
    "ctrs-understanding": "evaluation/CTRS/prompts/general_1_understanding.txt",
    "ctrs-interpersonal_effectiveness": (
        "evaluation/CTRS/prompts/general_2_interpersonal_effectiveness.txt"
    ),
    "ctrs-collaboration": "evaluation/CTRS/prompts/general_3_collaboration.txt",
    "ctrs-guided_discovery": "evaluation/CTRS/prompts/CBT_1_guided_discovery.txt",
    "ctrs-focus": "evaluation/CTRS/prompts/CBT_2_focus.txt",
    "ctrs-strategy": "evaluation/CTRS/prompts/CBT_3_strategy.txt",
    **{f"wai-wai{n}": f"evaluation/WAI/prompts/wai{n}.txt" for n in range(1, 13)},
    "panas-before": "evaluation/PANAS/prompts/panas_before.txt",
    "panas-after": "evaluation/PANAS/prompts/panas_after.txt",
}
#: Their placeholders -> our signatures' inputs.
RENAME = {
    "reason_counseling": "reason",
    "cbt_plan": "plan",
    "technique": "techniques",
    "reflection_utt": "reflection",
    "question_utt": "questioning",
    "solution_utt": "solutions",
    "normalize_utt": "normalizing",
    "psychoed_utt": "psychoeducation",
}


def rename_for(agent: str) -> dict[str, str]:
    """RENAME as it holds for one agent: the planner's history is the client's first words."""
    return RENAME | ({"history": "first_utterance"} if agent == "planner" else {})


@cache
def hashes() -> dict[str, str]:
    """Path in their repository -> sha256."""
    text = (Path(str(files("prompts_frozen"))) / "authors.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def import_prompts(source: str = ARCHIVE, say: Callable[[str], None] = lambda _: None) -> Path:
    """Installs the authors' prompts in the data folder, every one or none.

    Args:
        source: see read_source; their public archive unless given.
        say: told of what was installed.

    Returns:
        The folder.

    Raises:
        UsageError: a file is missing or is not the one the lock knows.
    """
    locked = hashes()
    found = read_source(source, locked)
    missing = sorted(set(locked) - set(found))
    if missing:
        raise UsageError(
            f"import: {source} lacks {len(missing)} of {len(locked)} prompts, "
            f"the first being {missing[0]}",
            "Give the top folder of the authors' repository.",
        )
    for path, data in found.items():
        if (digest := hashlib.sha256(data).hexdigest()) != locked[path]:
            raise UsageError(
                f"import: {path} has sha256 {digest[:12]}..., the lock says "
                f"{locked[path][:12]}...: this is a different version",
                "Use the repository as the paper's authors published it.",
            )
    folder = data_folder() / "prompts" / NAME
    for path, data in found.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    say(f"{len(found)} prompts (Apache-2.0, by the paper's authors) are in {folder}")
    return folder
