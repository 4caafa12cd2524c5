"""What a study says about optimization: its table ``[optimize]``."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from magnet.lm.usage import Budget

Optimizer = Literal["gepa", "miprov2", "random-search", "simba"]


class OptimizeSpec(BaseModel):
    """How an agent is optimized.

    Attributes:
        agent: the agent to optimize, by its name in ``signatures.AGENTS``; ``judge`` stands for all
             CTRS and WAI items that the ratings name.
        optimizer: DSPy's GEPA, MIPROv2, BootstrapFewShotWithRandomSearch or SIMBA.
        options: the optimizer's own, under the names of its constructor and of ``compile``.
        horizon: exchanges that are played and judged after a prefix.
        split: clients in training, validation and test, as proportions.
        train: most training prefixes; all of them unless set.
        validation: likewise.
        test: likewise.
        metric_calls: most windows the search may score, repeats not counted.
        budget: limits on LM calls, tokens or money, including the final comparison.
        workers: windows played at once; 16 unless set, 4 with the embedded LM.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: str = "technique"
    optimizer: Optimizer = "gepa"
    options: dict[str, Any] = {}
    horizon: PositiveInt = 1
    split: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 1, 1)
    train: PositiveInt | None = None
    validation: PositiveInt | None = None
    test: PositiveInt | None = None
    metric_calls: PositiveInt = Field(default=200)
    budget: Budget = Budget()
    workers: PositiveInt | None = None
