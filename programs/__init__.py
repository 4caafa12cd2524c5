"""Agents composed: the generation systems and the client."""

from collections.abc import Callable
from functools import partial

from programs.agent import Agent, AgentError
from programs.baselines import CactusCounselor, SingleCounselor
from programs.client import Client
from programs.counselor import Counselor, Moment
from programs.judge import Judge
from programs.magnet_counselor import MagnetCounselor
from programs.profile import PAPER, PROFILES, RELEASED, Profile

#: Generation systems by the name a study's ``methods`` uses; called with prompts and profile.
METHODS: dict[str, Callable[[str, Profile], Counselor]] = {
    "magnet": MagnetCounselor,
    "magnet-c": partial(MagnetCounselor, planner=False),
    "magnet-t": partial(MagnetCounselor, technique=False),
    "magnet-c-t": partial(MagnetCounselor, planner=False, technique=False),
    "psych8k": partial(SingleCounselor, "psych8k"),
    "cactus": CactusCounselor,
    "tuned-magnet": partial(SingleCounselor, "tuned-magnet"),
    "tuned-cactus": partial(SingleCounselor, "tuned-cactus"),
    "tuned-psych8k": partial(SingleCounselor, "tuned-psych8k"),
}

__all__ = [
    "METHODS",
    "PAPER",
    "PROFILES",
    "RELEASED",
    "Agent",
    "AgentError",
    "CactusCounselor",
    "Client",
    "Counselor",
    "Judge",
    "MagnetCounselor",
    "Moment",
    "Profile",
    "SingleCounselor",
]
