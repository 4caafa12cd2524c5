"""Asynchronous code from synchronous callers, on one background event loop; and the reverse.

DSPy's optimizers and scripts call modules synchronously; the engines are asynchronous. The
caller's DSPy context travels along (asyncio copies the calling thread's context variables).
"""

import asyncio
import atexit
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="magnet-sync", daemon=True).start()
    atexit.register(_close, loop)
    return loop


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Closes what lives on the loop, the HTTP session above all, before the interpreter ends."""
    closing = asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop)
    with contextlib.suppress(TimeoutError):
        closing.result(2)
    loop.call_soon_threadsafe(loop.stop)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end from a thread that is not the background loop's."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


async def in_thread(function: Callable[..., T], **inputs: Any) -> T:
    """Runs synchronous code in its own thread, in the caller's context.

    Not ``asyncio.to_thread``: a run's executor works in the loop's own thread, and the
    interpreter would wait at its end for a pool's threads, however long their calls take.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(set_: Callable[[Any], None], value: Any) -> None:
        if not future.done():  # nobody waits any more for one that was cancelled
            set_(value)

    def work() -> None:
        try:
            done = partial(settle, future.set_result, context.run(partial(function, **inputs)))
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            done = partial(settle, future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done)

    threading.Thread(target=work, name="magnet-module", daemon=True).start()
    return await future
