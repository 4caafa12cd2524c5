"""WAI: the Working Alliance Inventory in its short observer-rated form, twelve items.

Horvath, A. O., & Greenberg, L. S. (1989). Development and validation of the Working Alliance
Inventory. Journal of Counseling Psychology, 36(2), 223-233.
https://doi.org/10.1037/0022-0167.36.2.223

Tracey, T. J., & Kokotovic, A. M. (1989). Factor structure of the Working Alliance Inventory.
Psychological Assessment, 1(3), 207-210. https://doi.org/10.1037/1040-3590.1.3.207

Items go from 1 to 7. Items 4 and 10 speak of disagreement and count as 8 - x, as in MAGneT
(https://arxiv.org/abs/2509.04183). Only the items' numbers stand here, none of their wording.
"""

from signatures.scales.scale import Scale


def _names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"wai{number}" for number in numbers)


WAI = Scale(
    name="wai",
    items=_names(*range(1, 13)),
    low=1,
    high=7,
    subscales={
        "task": _names(1, 2, 8, 12),
        "goal": _names(4, 6, 10, 11),
        "bond": _names(3, 5, 7, 9),
    },
    instructions=("Rate one side of the working alliance, 1 (not at all) to 7 (throughout).",),
    reversed=frozenset(_names(4, 10)),
)
