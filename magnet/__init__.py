"""MAGneT: multi-agent generation of synthetic counselling sessions (arXiv 2509.04183).

The public names load on first use, so that ``import magnet`` stays quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "GenerationSeed": "magnet.core.seeds",
    "load_seeds": "magnet.core.seeds",
    "Message": "magnet.core.session",
    "Session": "magnet.core.session",
    "Exchange": "magnet.core.session",
    "role_play": "programs.play",
    "connect": "magnet.lm",
    "Study": "magnet.study.spec",
    **dict.fromkeys(("Agent", "AgentError", "Client", "Counselor", "Judge"), "programs"),
    **dict.fromkeys(("MagnetCounselor", "Moment"), "programs"),
    "Prompt": "prompts_frozen",
    "load_prompts": "prompts_frozen",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'magnet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
