"""The generation systems' parts in the tables: whose result it is, and whom it is held against."""

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
    "tuned-magnet": "tuned MAGneT",
    "tuned-psych8k": "tuned Psych8k",
    "tuned-cactus": "tuned CACTUS",
}
_ORDER = (*BASELINES, MAIN, *ABLATIONS, *TUNED_BASELINES, TUNED)


def label(method: str) -> str:
    """A method's name in tables; those of other sources keep their own."""
    return _NAMES.get(method, method)


def ordered(methods: set[str]) -> list[str]:
    """Baselines, MAGneT, ablations, tuned counselors, then others by name."""
    known = [method for method in _ORDER if method in methods]
    return known + sorted(methods.difference(_ORDER))
