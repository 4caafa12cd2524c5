import importlib
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from magnet.core.journal import RunDirectory
from magnet.core.session import Session
from magnet.study.prepare import quiet
from programs.play import role_play
from tests.fake_server import FakeServer, serving
from tests.running import IDENTITY, empty_session, programs_on

# A slow machine is no failure, and a search that starts from the same place repeats.
settings.register_profile(
    "magnet",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("magnet")


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    quiet()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell's background jobs ignore Ctrl-C and hand that on to the runs under test
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _forget_servers() -> None:
    # What a server supports is remembered by URL, and a port may come back as another server's.
    importlib.import_module("magnet.lm.connect")._support.cache_clear()


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    """Starts fake servers: ``serve(models=("a", "b"))``."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(FakeServer(**options)))


@pytest.fixture
def server(serve: Callable[..., FakeServer]) -> FakeServer:
    return serve()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run directory that is not there yet."""
    return tmp_path / "run"


@pytest.fixture
def run_dir(out: Path) -> Iterator[RunDirectory]:
    """An open run directory."""
    directory = RunDirectory(out)
    directory.open("seed = 1", {"identity": IDENTITY})
    yield directory
    directory.close()


@pytest.fixture
async def played(server: FakeServer, run_dir: RunDirectory) -> tuple[Path, Session]:
    """The journal of three exchanges, and their session."""
    session = empty_session()
    journal, _ = run_dir.resume(session)

    async def keep(session: Session) -> None:
        journal.append(session)

    await role_play(*programs_on(server), session.seed, 3, session=session, on_exchange=keep)
    return journal.path, session
