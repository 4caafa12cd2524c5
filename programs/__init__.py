"""Agents composed: the counselor and the client."""

from programs.agent import Agent, AgentError
from programs.client import Client
from programs.magnet_counselor import MagnetCounselor

#: Generation systems by the name a study's ``methods`` uses.
METHODS = {"magnet": MagnetCounselor}

__all__ = ["METHODS", "Agent", "AgentError", "Client", "MagnetCounselor"]
