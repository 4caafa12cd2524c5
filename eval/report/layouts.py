"""The paper's result tables by number: which methods and measures each holds, as captioned.

MAGneT, https://arxiv.org/abs/2509.04183: tables 3, 4, 5 and 8 give means, 9, 10 and 11 the means
and standard deviations of 3, 4 and 5. Table 2 is ``eval.report.lexicon``'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from eval.report import methods
from signatures import SCALES, Scale
from signatures.scales import CTRS, PANAS, WAI

_ATTITUDES = ("positive", "neutral", "negative")
#: A mean nearer to zero than this share of its scale's range is no base for a percentage, and two
#: means nearer to each other than it count as about the same. This project's choice.
NEAR = 0.05


@dataclass(frozen=True)
class Measure:
    """A column of values: what is compared between methods.

    Attributes:
        label: in full.
        short: as the head of a column.
        group: the heads it stands under.
        near: what counts as near zero, in its unit.
        attitude: of the sessions it is taken over; all of them for None.
        lower: whether less is better.
    """

    label: str
    short: str
    group: str
    scale: str
    name: str
    near: float
    attitude: str | None = None
    lower: bool = False


def _near(scale: Scale) -> float:
    return NEAR * (scale.high - scale.low)


def _ctrs(name: str, label: str, short: str = "") -> Measure:
    return Measure(f"CTRS {label}", short or label, "CTRS", "ctrs", name, _near(CTRS))


def _wai(name: str) -> Measure:
    return Measure(f"WAI {name.capitalize()}", name.capitalize(), "WAI", "wai", name, _near(WAI))


def item_measures() -> tuple[Measure, ...]:
    """The six items of CTRS."""
    return tuple(_ctrs(item, item.replace("_", " "), item[0].upper()) for item in CTRS.items)


def subscale_measures() -> dict[str, tuple[Measure, ...]]:
    """The subscales of every scale that is about sessions, by scale."""
    paper = {
        "ctrs": (_ctrs("general", "General"), _ctrs("cbt", "CBT-specific")),
        "wai": tuple(map(_wai, ("goal", "task", "bond"))),
    }
    return paper | {scale.name: _own(scale, scale.subscales) for scale in own_scales()}


def own_scales() -> list[Scale]:
    """Scales that the paper does not use, forms excepted."""
    return [s for s in SCALES.values() if s not in (CTRS, WAI, PANAS) and not s.form]


def _own(scale: Scale, names: Iterable[str]) -> tuple[Measure, ...]:
    head = scale.name.upper()
    labels = {name: name.replace("_", " ") for name in names}
    return tuple(
        Measure(f"{head} {label}", label, head, scale.name, name, _near(scale))
        for name, label in labels.items()
    )


def shift_measures() -> tuple[Measure, ...]:
    """The PANAS shifts, attitude by attitude."""
    return tuple(
        Measure(
            f"PANAS {affect} affect, {attitude} clients",
            "P" if affect == "positive" else "N",
            f"PANAS {attitude}",
            "panas",
            affect,
            _near(PANAS),
            attitude,
            lower,
        )
        for attitude in _ATTITUDES
        for affect, lower in (("positive", False), ("negative", True))
    )


#: The columns of tables 3, 4, 5, 8 and 9 to 11.
MEASURES = (*item_measures(), *shift_measures(), *subscale_measures()["wai"])


@dataclass(frozen=True)
class Layout:
    """Which methods and measures a table has.

    Attributes:
        number: the paper's; None for this project's own.
        spread: the number of the same table with standard deviations; None where it has none.
        methods: its rows, where the runs have them.
        main: the row that the others are compared with.
        measures: its columns.
        others: whether methods that this project does not know are further rows.
    """

    number: int | None
    spread: int | None
    name: str
    title: str
    methods: tuple[str, ...]
    main: str
    measures: tuple[Measure, ...] = MEASURES
    others: bool = False


SESSIONS = (*methods.BASELINES, methods.MAIN)
FINE_TUNED = (*methods.TUNED_BASELINES, methods.TUNED)
ABLATED = (*methods.ABLATIONS, methods.MAIN)


def layouts(qwen: bool = False) -> list[Layout]:
    """The tables of one comparison.

    Args:
        qwen: whether it was played on the paper's second backbone: table 8 in the place of 3.
    """
    rows = SESSIONS, methods.MAIN
    first = Layout(3, 9, "methods", "Methods: CTRS, PANAS, WAI", *rows, others=True)
    if qwen:
        title = "Methods on the Qwen backbone: CTRS, PANAS, WAI"
        first = Layout(8, None, "qwen", title, *rows, others=True)
    tuned = "Fine-tuned counselors (Llama-Psych8k, -CACTUS, -MAGneT): CTRS, PANAS, WAI"
    return [
        first,
        Layout(4, 10, "tuned", tuned, FINE_TUNED, methods.TUNED),
        Layout(5, 11, "ablations", "Ablations: CTRS, PANAS, WAI", ABLATED, methods.MAIN),
        *map(_of_scale, own_scales()),
    ]


def _of_scale(scale: Scale) -> Layout:
    """All methods on a scale that the paper does not use: its subscales, then its items."""
    measures = (*_own(scale, scale.subscales), *_own(scale, scale.items))
    every, title = tuple(methods.KNOWN), f"Methods: {scale.name.upper()}"
    return Layout(None, None, f"scale-{scale.name}", title, every, methods.MAIN, measures, True)


def members(layout: Layout, present: Iterable[str]) -> list[str]:
    """The methods of a table among those that are there, the main one last."""
    rows = [m for m in present if m in layout.methods or (layout.others and m not in methods.KNOWN)]
    return sorted(rows, key=lambda method: method == layout.main)
