"""The LMs of an optimization, all of them behind one memo."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import dspy
from dspy.lm15 import Request, Response

from magnet.core.rng import Draw
from magnet.lm import BudgetReached, LMSpec, Meter, make_lm, resolve
from magnet.lm.http import Engine
from magnet.lm.memo import Memo, MemoEngine
from magnet.study.prepare import resolve_models
from magnet.study.spec import Study
from optimize.scoreboard import halt_for


class _Writer(MemoEngine):
    """Asks for instructions: asking a second time should give different ones."""

    async def complete(self, request: Request) -> Response:
        """The answer.

        Raises:
            Halt: the budget is spent; optimizers take an Exception for a bad proposal.
        """
        try:
            return await super().complete(request)
        except BudgetReached as error:
            raise halt_for(error.code, str(error)) from None


@dataclass(frozen=True)
class Models:
    """LMs and their resolved specs by role.

    The judge is the first of the study's; ``optimizer`` writes instructions.
    """

    specs: dict[str, LMSpec]
    lms: dict[str, dspy.LM]


def connect(study: Study, roles: Sequence[str], meter: Meter, memo: Memo) -> Models:
    """Finds the servers of the roles, of the judge and of the optimizer.

    Raises:
        UsageError: one is out of reach.
    """
    remembering = partial(MemoEngine, memo=memo)

    def fresh(key: str, number: int) -> int:
        return Draw((study.seed, "optimizer", key, number)).seed

    def anew(engine: Engine) -> MemoEngine:
        return _Writer(engine, memo, fresh)

    specs, lms = resolve_models(study, roles, meter, remembering)
    name, judge = next(iter(study.judge_specs().items()))
    specs["judge"] = resolve(judge, study.judge_table(name))
    specs["optimizer"] = resolve(study.spec("optimizer"), f"lm.{study.table_of('optimizer')}")
    lms["judge"] = make_lm(specs["judge"], "judge", meter, remembering)
    lms["optimizer"] = make_lm(specs["optimizer"], "optimizer", meter, anew)
    return Models(specs, lms)
