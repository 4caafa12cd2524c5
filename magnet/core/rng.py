"""Seeds for sampling, derived and never shared, so that the order of work changes nothing."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Draw:
    """A place in the tree of random draws: run seed, session, exchange, agent, try.

    Example:
        >>> Draw((42, "c0ffee-positive")).at(1).at("reflection", 0).seed
        203445017
    """

    path: tuple[str | int, ...]

    def at(self, *steps: str | int) -> "Draw":
        """The place below this one."""
        return Draw((*self.path, *steps))

    @property
    def seed(self) -> int:
        """A seed of 31 bits: llama.cpp and vLLM both take it."""
        digest = hashlib.sha256("\x1f".join(map(str, self.path)).encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1
