"""Frozen prompts: the included sets, their lock, and the adapter that renders them."""

from prompts_frozen.adapter import FrozenAdapter
from prompts_frozen.prompt import Prompt
from prompts_frozen.sets import load_prompts, lock

__all__ = ["FrozenAdapter", "Prompt", "load_prompts", "lock"]
