"""The paper's tables by number: which measures and which methods each holds.

The numbers are the paper's; what stands under each is inferred, since its tables are not in our
source. See the note that every report carries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eval import methods
from eval.ctrs import CTRS
from eval.wai import WAI

_ATTITUDES = ("positive", "neutral", "negative")


@dataclass(frozen=True)
class Measure:
    """A column of values: what is compared between methods.

    Attributes:
        label: in tables.
        attitude: of the sessions it is taken over; all of them for None.
        lower: whether less is better.
    """

    label: str
    scale: str
    name: str
    attitude: str | None = None
    lower: bool = False


@dataclass(frozen=True)
class Layout:
    """Which methods and measures a table has.

    Attributes:
        number: the paper's.
        methods: its rows, where the runs have them.
        against: methods of which the best, measure by measure, is the reference of the others.
        others: whether methods that this project does not know belong to it.
        wide: measures as rows and methods as columns.
    """

    number: int
    name: str
    title: str
    measures: tuple[Measure, ...]
    methods: tuple[str, ...]
    against: tuple[str, ...]
    others: bool = False
    wide: bool = False


def subscale_measures() -> dict[str, tuple[Measure, ...]]:
    """The subscales of CTRS and WAI."""
    ctrs = (("General", "general"), ("CBT-specific", "cbt"))
    wai = (("Task", "task"), ("Goal", "goal"), ("Bond", "bond"))
    return {
        "ctrs": tuple(Measure(f"CTRS {label}", "ctrs", name) for label, name in ctrs),
        "wai": tuple(Measure(f"WAI {label}", "wai", name) for label, name in wai),
    }


def item_measures() -> dict[str, tuple[Measure, ...]]:
    """The items of CTRS and WAI."""
    ctrs = tuple(Measure(i.replace("_", " ").capitalize(), "ctrs", i) for i in CTRS.items)
    wai = tuple(
        Measure(f"Item {i.removeprefix('wai')}{' (reversed)' * (i in WAI.reversed)}", "wai", i)
        for i in WAI.items
    )
    return {"ctrs": ctrs, "wai": wai}


def shift_measures() -> tuple[Measure, ...]:
    """The PANAS shifts, attitude by attitude."""
    return tuple(
        Measure(f"{attitude.capitalize()} clients, {affect} affect", "panas", affect, attitude, low)
        for attitude in _ATTITUDES
        for affect, low in (("positive", False), ("negative", True))
    )


def layouts() -> list[Layout]:
    """All tables, by number."""
    sub, item = subscale_measures(), item_measures()
    both = (*methods.BASELINES, methods.MAIN)
    tuned = (*methods.TUNED_BASELINES, methods.TUNED)
    first, main = methods.BASELINES, (methods.MAIN,)
    ablated = (methods.MAIN, *methods.ABLATIONS)
    whole, items = (*sub["ctrs"], *sub["wai"]), (*item["ctrs"], *item["wai"])
    last = methods.TUNED_BASELINES
    return [
        Layout(2, "ctrs", "CTRS by method", sub["ctrs"], both, first, True),
        Layout(3, "wai", "WAI by method", sub["wai"], both, first, True),
        Layout(4, "tuned", "Tuned counselors: CTRS and WAI", whole, tuned, last),
        Layout(5, "ablations", "Ablations: CTRS and WAI", whole, ablated, main),
        Layout(8, "ctrs-items", "CTRS by item", item["ctrs"], both, first, True, True),
        Layout(9, "wai-items", "WAI by item", item["wai"], both, first, True, True),
        Layout(10, "tuned-items", "Tuned counselors: by item", items, tuned, last, wide=True),
        Layout(11, "panas", "PANAS shift by attitude", shift_measures(), both, first, True),
    ]


def members(layout: Layout, present: Sequence[str]) -> list[str]:
    """The methods of a table among those that are there."""
    known = {m for one in layouts() for m in one.methods}
    return [m for m in present if m in layout.methods or (layout.others and m not in known)]
