"""The generation systems' roles in the tables: whose result it is, and what it is compared with."""

from collections.abc import Iterable

MAIN = "magnet"
BASELINES = ("psych8k", "cactus")
ABLATIONS = ("magnet-c", "magnet-t", "magnet-c-t")
TUNED = "tuned-magnet"
TUNED_BASELINES = ("tuned-psych8k", "tuned-cactus")

_NAMES = {
    "magnet": "MAGneT",
    "magnet-c": "MAGneT-C",
    "magnet-t": "MAGneT-T",
    "magnet-c-t": "MAGneT-C-T",
    "psych8k": "Psych8k",
    "cactus": "CACTUS",
    "tuned-magnet": "fine-tuned MAGneT",
    "tuned-psych8k": "fine-tuned Psych8k",
    "tuned-cactus": "fine-tuned CACTUS",
}
_ORDER = (*BASELINES, *ABLATIONS, MAIN, *TUNED_BASELINES, TUNED)
#: Every method that this project knows.
KNOWN = frozenset(_ORDER)
_AT = "@"


def arm(method: str, run: str) -> str:
    """The name of one of several arms of a method, by its run's label."""
    return f"{method}{_AT}{run}"


def label(method: str) -> str:
    """A method's name in tables, an arm's with its run; those of other sources keep their own.

    >>> label("magnet-c"), label("magnet@selector"), label("mine")
    ('MAGneT-C', 'MAGneT (selector)', 'mine')
    """
    name, at, run = method.partition(_AT)
    return f"{_NAMES.get(name, name)} ({run})" if at else _NAMES.get(name, name)


def ordered(methods: Iterable[str]) -> list[str]:
    """Baselines, ablations, MAGneT, then the fine-tuned counselors, as the paper has its rows.

    Others follow, and arms of one method among themselves, as they come.
    """
    places = {method: place for place, method in enumerate(_ORDER)}
    return sorted(dict.fromkeys(methods), key=lambda m: places.get(m.partition(_AT)[0], 99))
