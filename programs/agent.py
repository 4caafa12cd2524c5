"""An agent: a signature, its frozen prompt, and the patience to ask again."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Coroutine
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError, is_retryable_lm_error

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.core.session import AgentCall
from magnet.lm import Call
from magnet.lm.foreign import is_foreign
from magnet.lm.sync import run_sync
from programs.calls import callers_log
from programs.optimized import OptimizedAdapter
from programs.profile import PAPER, Profile
from programs.state import digest_of
from prompts_frozen import FrozenAdapter, Prompt, load_prompts
from signatures import AGENTS, SPECIALISTS, reading


class AgentError(Exception):
    """An agent gave up: what it asked for did not come, or never will.

    Attributes:
        role: the agent.
        code: the last reason, as in ``AgentCall.retries`` or DSPy's error code.
        retries: how often it asked again, by reason.
        raw: the last reply, where it was one that cannot be read.
    """

    def __init__(
        self, role: str, code: str, detail: str, retries: dict[str, int], raw: str | None = None
    ) -> None:
        tried = f" after {sum(retries.values())} retries" if retries else ""
        super().__init__(f"{role}: {code}{tried}: {detail}")
        self.role, self.code, self.retries, self.raw = role, code, retries, raw


class Agent(dspy.Predict):
    """One agent of the pipeline, by role.

    It sends its frozen prompt byte for byte. Once an optimizer has given it demos or other
    instructions it is *optimized*, and DSPy's JSON format renders it (see OptimizedAdapter).

    A reply that cannot be read is asked again with a fresh seed; a fault of server or network
    is asked again with the same one, after a pause, so that faults change no text.

    Args:
        name: an agent of ``signatures.AGENTS``.
        prompt: its frozen prompt; that of the set ``ours`` unless given.
        profile: how its answers are read.
        tries: how many replies may be unreadable before it gives up.
        faults: how many faults of server and network it bears for one answer.
        pause: seconds before the first repetition after a fault; doubled each time, at most 30.
    """

    def __init__(
        self,
        name: str,
        prompt: Prompt | None = None,
        *,
        profile: Profile = PAPER,
        tries: int = 5,
        faults: int = 7,
        pause: float = 0.5,
    ) -> None:
        self.record = AGENTS[name]
        super().__init__(self.record.signature)
        self.name, self.role = name, self.record.role
        self.profile = profile
        self.tries, self.faults, self.pause = tries, faults, pause
        #: Further options of every request, such as ``logprobs``.
        self.asks: dict[str, Any] = {}
        self.prompt = prompt or load_prompts()[name]
        self._asked_again = tries
        self.left_out: frozenset[str] = frozenset()
        self._fit(self.left_out)

    def leave_out(self, specialists: Collection[str]) -> None:
        """Goes on without these specialists, or with those that are back.

        Their drafts leave its prompt, their techniques what it may choose from: an answer less
        them counts, and is asked for again where nothing of it remains.

        Args:
            specialists: by role; those its prompt and answer do not concern change nothing.

        Raises:
            UsageError: its prompt does not hold together without them.
        """
        if (gone := frozenset(specialists)) != self.left_out:
            self._fit(gone)

    def _fit(self, gone: frozenset[str]) -> None:
        """Makes signature and adapters for what is shown and chosen from."""
        prompt = self.prompt.cut(*gone)
        hidden = [name for name in self.record.signature.input_fields if name in gone]
        techniques = frozenset(SPECIALISTS[role] for role in gone)
        typed, choosing = self.profile.answers == "typed", self.role == "technique"
        # The scripts neither constrain nor ask again; where a choice may be void there is no other.
        bears = typed or self.role == "judge" or (choosing and gone)
        self.tries = self._asked_again if bears else 1
        answer = self.record.answer
        frozen = answer.reader(self.profile.answers, self.profile.clean_up)
        optimized = answer.read
        if choosing and gone:
            frozen, optimized = (
                reading.less_techniques(read, techniques) for read in (frozen, optimized)
            )
        if gone != self.left_out:
            signature: Any = self.record.signature
            for name in hidden:
                signature = signature.delete(name)
            self.signature: Any = signature.with_instructions(self.signature.instructions)
        schema = answer.schema(techniques) if typed and answer.schema else None
        self.frozen = FrozenAdapter(prompt, frozen, schema)
        self.own_format = OptimizedAdapter(optimized, answer.optimized(techniques), self.name)
        self.left_out = gone

    def loosen(self) -> "Agent":
        """Gives it its frozen prompt's instructions in DSPy's format: where optimization starts."""
        self.signature = self.signature.with_instructions(self.frozen.prompt.instructions)
        return self

    @property
    def optimized(self) -> bool:
        """Whether an optimizer has changed it."""
        return bool(self.demos) or self.signature.instructions != self.record.signature.instructions

    @property
    def prompt_sha256(self) -> str:
        """Hash of what it sends beside its inputs: of its frozen prompt or optimized state."""
        return digest_of(self) if self.optimized else self.frozen.prompt.sha256

    async def aforward(self, draw: Draw | None = None, **inputs: Any) -> dspy.Prediction:
        """Asks until an answer is read.

        Args:
            draw: where the seeds of the tries come from; without it the server chooses.
            **inputs: the signature's inputs.

        Returns:
            The signature's outputs, and ``call``, the AgentCall.

        Raises:
            AgentError: too many tries, or a fault that repeating does not mend.
        """
        if lacking := self.frozen.prompt.placeholders - inputs.keys():
            raise UsageError(
                f"agent {self.name!r}: its prompt shows {{{min(lacking)}}}, which it is not given",
                "Planner and selector are left out as the program is made: "
                "MagnetCounselor(planner=False), MagnetCounselor(technique=False).",
            )
        adapter = self.own_format if self.optimized else self.frozen
        if self.optimized:  # shown what its frozen prompt shows: a profile may hide an input
            shown = self.frozen.prompt.placeholders
            inputs = {name: value for name, value in inputs.items() if name in shown}
        log: list[Call] = []
        outer = callers_log()  # of a module that has this agent inside: is told once, at the end
        unheard = {} if outer is None else {"usage_tracker": outer.tracker}
        retries: Counter[str] = Counter()
        raw: str | None = None
        while True:
            seed = draw.at(self.role, retries["malformed"]).seed if draw else None
            try:
                with dspy.context(adapter=adapter, call_log=log, **unheard):
                    config = self.asks | (
                        self._anew(retries["malformed"]) if seed is None else {"seed": seed}
                    )
                    answer = await super().aforward(config=config, **inputs)
                break
            except AdapterParseError as error:
                reason = str(error.__cause__ or error.message).splitlines()[0]
                code, detail = "malformed", f"{reason}: {error.lm_response[:200]!r}"
                final, raw = retries[code] + 1 >= self.tries, error.lm_response
            except LMError as error:
                code, detail = error.code, error.message.split("\n\n")[0]
                faults = retries.total() - retries["malformed"]
                final = not is_retryable_lm_error(error) or faults >= self.faults
                if not final:
                    wait = error.retry_after or self.pause * 2**faults * random.uniform(0.8, 1.2)
                    await asyncio.sleep(min(wait, 30))
            if final:
                raise AgentError(self.role, code, detail, dict(+retries), raw) from None
            retries[code] += 1
        known = bool(log) and all(c.input_tokens is not None for c in log)
        answer.call = AgentCall(
            role=self.role,
            model=log[-1].model if log else None,
            seed=seed,
            retries=dict(+retries),
            input_tokens=sum(c.input_tokens or 0 for c in log) if known else None,
            output_tokens=sum(c.output_tokens or 0 for c in log) if known else None,
            finish=log[-1].finish if log else None,
        )
        if outer is not None:
            outer.calls.append(answer.call)
        return answer

    def _anew(self, tries: int) -> dict[str, Any]:
        """What keeps DSPy's cache from giving an unreadable reply again, where no seed does."""
        foreign = tries and is_foreign(self.lm or dspy.settings.lm)
        return {"rollout_id": tries} if foreign else {}

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))


async def together(*asked: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs agents side by side; the first to fail stops the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in asked]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
