"""CTRS: the Cognitive Therapy Rating Scale, six of its eleven items.

Young, J. E., & Beck, A. T. (1980). Cognitive Therapy Scale: Rating manual. Unpublished
manuscript, University of Pennsylvania. On the scale's measurement: Vallis, T. M., Shaw, B. F., &
Dobson, K. S. (1986). The Cognitive Therapy Scale: Psychometric properties. Journal of Consulting
and Clinical Psychology, 54(3), 381-385. https://doi.org/10.1037/0022-006X.54.3.381

The choice of items, and their two groups, are those of MAGneT (https://arxiv.org/abs/2509.04183),
after CACTUS (https://arxiv.org/abs/2407.03103). Items go from 0 to 6.
"""

from signatures.scales.scale import Scale

GENERAL = ("understanding", "interpersonal_effectiveness", "collaboration")
CBT = ("guided_discovery", "focus", "strategy")

CTRS = Scale(
    name="ctrs",
    items=(*GENERAL, *CBT),
    low=0,
    high=6,
    subscales={"general": GENERAL, "cbt": CBT},
    instructions=("Rate one skill of the counselor, 0 (poor) to 6 (excellent).",),
)
