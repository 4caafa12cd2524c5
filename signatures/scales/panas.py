"""PANAS: the Positive and Negative Affect Schedule, and its shift over a session.

Watson, D., Clark, L. A., & Tellegen, A. (1988). Development and validation of brief measures of
positive and negative affect: The PANAS scales. Journal of Personality and Social Psychology,
54(6), 1063-1070. https://doi.org/10.1037/0022-3514.54.6.1063

Twenty feelings from 1 to 5. A judge rates the client of an intake form once (``panas_before``),
and again after each session (``panas_after``); the shift is after minus before.
"""

from signatures.scales.scale import Scale

POSITIVE = (
    *("Interested", "Excited", "Strong", "Enthusiastic", "Proud"),
    *("Alert", "Inspired", "Determined", "Attentive", "Active"),
)
NEGATIVE = (
    *("Distressed", "Upset", "Guilty", "Scared", "Hostile"),
    *("Irritable", "Ashamed", "Nervous", "Jittery", "Afraid"),
)

PANAS = Scale(
    name="panas",
    items=(*POSITIVE, *NEGATIVE),
    low=1,
    high=5,
    subscales={"positive": POSITIVE, "negative": NEGATIVE},
    instructions=(
        "Rate how strongly a person feels twenty feelings, 1 to 5, from the intake form alone.",
        "Rate how strongly a person feels twenty feelings, 1 to 5, once the session is over.",
    ),
    form=True,
)
