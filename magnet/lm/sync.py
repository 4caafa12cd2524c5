"""Asynchronous code from synchronous callers, on one background event loop.

DSPy's optimisers and scripts call modules synchronously; the engines are asynchronous. The
caller's DSPy context travels along (asyncio copies the calling thread's context variables).
"""

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Coroutine
from functools import cache
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
