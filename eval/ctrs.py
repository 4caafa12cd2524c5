"""CTRS: the Cognitive Therapy Rating Scale, six of its eleven items.

Young, J. E., & Beck, A. T. (1980). Cognitive Therapy Scale: Rating manual. Unpublished
manuscript, University of Pennsylvania. On the scale's measurement: Vallis, T. M., Shaw, B. F., &
Dobson, K. S. (1986). The Cognitive Therapy Scale: Psychometric properties. Journal of Consulting
and Clinical Psychology, 54(3), 381-385. https://doi.org/10.1037/0022-006X.54.3.381

The choice of items, and their two groups, are those of MAGneT (https://arxiv.org/abs/2509.04183),
after CACTUS (https://arxiv.org/abs/2407.03103). Items go from 0 to 6.
"""

from collections.abc import Iterable

from eval.scale import Scale, Value
from eval.scores import Score
from signatures import CTRS_ITEMS

GENERAL, CBT = CTRS_ITEMS[:3], CTRS_ITEMS[3:]

CTRS = Scale(
    name="ctrs",
    items=(*GENERAL, *CBT),
    low=0,
    high=6,
    subscales={"general": GENERAL, "cbt": CBT},
)


def subscales(scores: Iterable[Score]) -> list[Value]:
    """``general`` and ``cbt`` of each session and judge."""
    return CTRS.subscale_values(scores)


def items(scores: Iterable[Score]) -> list[Value]:
    """The six items of each session and judge."""
    return CTRS.item_values(scores)
