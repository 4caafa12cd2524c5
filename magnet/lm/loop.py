"""The event loop of a run: many small calls, so what surrounds a call has to be small."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import uvloop

T = TypeVar("T")
P = ParamSpec("P")


class _Inline(ThreadPoolExecutor):
    """Runs what it is given at once, in the caller's thread.

    DSPy 3.4 sends two pieces of each call to a worker thread (building the request, pricing
    the answer), and each hand-over takes time that adds up.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it belongs to the future's owner
            future.set_exception(error)
        return future


_DISK = ThreadPoolExecutor(max_workers=4, thread_name_prefix="magnet-disk")


async def on_disk(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs something that waits for the disk in a real thread."""
    return await asyncio.wrap_future(_DISK.submit(function, *args, **kwargs))


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on uvloop, without threads around each call."""
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not walk it again and again
    gc.set_threshold(20_000, 50, 100)

    async def start() -> T:
        asyncio.get_running_loop().set_default_executor(_Inline())
        return await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(start())
