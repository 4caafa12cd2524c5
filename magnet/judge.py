"""The stage ``judge``: a panel rates the sessions as they are published, or afterwards."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from eval.dialogues import Dialogue
from eval.judging import Judging, Panelist
from eval.scores import Score
from magnet.generate import FATAL
from magnet.lm import Meter, make_lm, resolve
from magnet.progress import Display
from magnet.study import Study
from programs import AgentError, Judge


def make_panel(study: Study, meter: Meter) -> list[Panelist]:
    """The study's judges, each checked against its server.

    Raises:
        UsageError: a server is out of reach, or a prompt is not as locked.
    """
    panel = []
    for name, spec in study.judge_specs().items():
        resolved = resolve(spec, study.judge_table(name))
        program = Judge(study.prompts, study.faithful, tuple(study.scales))
        program.set_lm(make_lm(resolved, "judge", meter))
        panel.append(Panelist(name, program, resolved))
    return panel


class JudgeStage:
    """Feeds dialogues to the panel, as fast as it takes them.

    Args:
        judging: asks the questions.
        display: what a person sees.
        workers: dialogues under way at once.
    """

    def __init__(self, judging: Judging, display: Display, workers: int) -> None:
        self.judging, self.display, self.workers = judging, display, workers
        self.judging.done = self._done
        self.queue: asyncio.Queue[Dialogue | None] = asyncio.Queue(maxsize=workers)
        self.answers = self.missing = 0
        self.retries: Counter[str] = Counter()
        self.left: dict[str, str] = {}
        self.stopped = ""

    def _done(self, scores: Sequence[Score], retries: Mapping[str, int]) -> None:
        self.answers += 1
        self.missing += sum(score.value is None for score in scores)
        self.retries.update(retries)
        self.display.judged(self.answers)

    async def submit(self, dialogue: Dialogue) -> None:
        """Hands over a dialogue; waits while the panel is busy."""
        if not self.stopped:
            await self.queue.put(dialogue)

    async def run(self) -> None:
        """Judges what is handed over until ``finish``."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while (dialogue := await self.queue.get()) is not None:
            if self.stopped:
                continue
            try:
                await self.judging.judge(dialogue)
            except AgentError as error:
                self.left[dialogue.id] = str(error)
                if error.code in FATAL or error.code == "budget":
                    self.stopped = str(error)
                else:
                    self.display.note(f"{dialogue.id} not wholly judged: {error}")
        await self.queue.put(None)  # for the next worker

    async def finish(self, rest: Iterable[Dialogue]) -> None:
        """Hands over what was not judged before, then lets the workers end."""
        for dialogue in rest:
            await self.submit(dialogue)
        await self.queue.put(None)
