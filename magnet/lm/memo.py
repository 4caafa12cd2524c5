"""Answers kept by content: a question that was answered once is never paid for again.

Optimizers evaluate the same candidate on the same example again and again, and a killed run asks
from its start. Both find their answers here.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dspy.lm15 import Message, Request, Response
from dspy.lm15 import Usage as Tokens

from magnet.core.errors import UsageError
from magnet.core.files import Appender, cut_torn, read_lines
from magnet.lm.http import Engine, call_of, log_call
from magnet.lm.spec import Price
from magnet.lm.usage import Call, Meter, Usage
from magnet.lm.wire import encode


class Memo:
    """Answered requests of one folder: a line each, in ``memo.jsonl``.

    Args:
        path: the file; None keeps the answers in memory alone.

    Raises:
        UsageError: a line before the last is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.answers: dict[str, dict[str, Any]] = {}
        self.hits = 0
        self._file = Appender(path) if path is not None else None
        if path is not None:
            for answer in read_lines(path, lambda record: {record["key"]: record}, _damaged):
                self.answers |= answer
            cut_torn(path)

    def add(self, key: str, answer: dict[str, Any]) -> None:
        """Keeps an answer; it is with the operating system before this returns."""
        self.answers[key] = answer
        if self._file is not None:
            self._file.add({"key": key} | answer)

    def count_into(self, meter: Meter) -> None:
        """Counts all answers that are kept into a meter, as the calls they once were."""
        for record in self.answers.values():
            call = Call(**record["call"])
            meter.roles.setdefault(call.role, Usage()).calls += 1
            meter.finish(call, Price(**record["price"]) if record["price"] else None)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def _damaged(place: str, error: Exception) -> UsageError:
    return UsageError(f"{place}: damaged", "Delete the line to have the question asked again.")


class MemoEngine:
    """An engine that asks another one only what the memo does not hold.

    Two callers who ask the same at the same time share one call.

    Args:
        engine: the one that asks.
        memo: the answers.
        fresh: gives the seed of the n-th asking of one and the same question, for callers that
            want another answer each time; None repeats the answer.
    """

    def __init__(
        self, engine: Engine, memo: Memo, fresh: Callable[[str, int], int] | None = None
    ) -> None:
        self.engine, self.memo, self.fresh, self.spec = engine, memo, fresh, engine.spec
        settings = engine.spec.model_dump_json(exclude={"url", "key_env", "price", "timeout"})
        self._settings = settings.encode()
        self._asked: dict[str, int] = {}
        self._flying: dict[str, asyncio.Future[Response]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "MemoEngine":
        return self  # a program's copies share its models

    def _key(self, request: Request) -> str:
        spec = self.spec
        body = encode(request, spec.wire, spec.template, spec.structured, spec.more_sampling())
        return hashlib.sha256(self._settings + b"\x1f" + body).hexdigest()

    async def complete(self, request: Request) -> Response:
        """The answer, from the memo or from the engine.

        Raises:
            lm15.LM15Error, BudgetReached: as the engine; a fault is not kept.
        """
        key = self._key(request)
        if self.fresh is not None:
            number = self._asked[key] = self._asked.get(key, -1) + 1
            seeded = replace(request.config, seed=self.fresh(key, number))
            request = replace(request, config=seeded)
            key = self._key(request)
        if (known := self.memo.answers.get(key)) is not None:
            self.memo.hits += 1
            return self._known(known)
        if (flying := self._flying.get(key)) is not None:
            self.memo.hits += 1
            return await asyncio.shield(flying)
        future = self._flying[key] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        try:
            response = await self._ask(key, request)
            future.set_result(response)
            return response
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
            raise
        finally:
            del self._flying[key]

    async def _ask(self, key: str, request: Request) -> Response:
        response = await self.engine.complete(request)
        price = self.spec.price
        answer = {
            "text": response.text or "",
            "call": asdict(call_of(self.engine.role, response, 0.0)),
            "price": price.model_dump() if price else None,
        }
        self.memo.add(key, answer)
        return response

    def _known(self, answer: dict[str, Any]) -> Response:
        """A kept answer as the server gave it; the caller's log of calls holds it too."""
        call = Call(**answer["call"])
        log_call(call)
        return Response(
            id=None,
            model=call.model,
            message=Message.assistant(answer["text"]),
            finish_reason="length" if call.finish == "length" else "stop",
            usage=Tokens(input_tokens=call.input_tokens, output_tokens=call.output_tokens),
        )


def _seen(future: "asyncio.Future[Response]") -> None:
    """Marks an error as seen: the caller who asked raises it, the future is for the others."""
    if not future.cancelled():
        future.exception()
