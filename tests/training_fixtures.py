"""What the tests of training share: the embedded LM's tokenizer, the released sessions."""

from pathlib import Path
from typing import Any

import pytest

from magnet.training.base import find_base, open_tokenizer
from tests.running import ROOT, magnet

UPSTREAM = ROOT.parent / "shared/upstream/arxiv2025-MAGneT"
RELEASED = UPSTREAM / "dataset/magnet-generated-data.zip"
needs_sessions = pytest.mark.skipif(
    not RELEASED.is_file(), reason="the released sessions are not beside this checkout"
)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return open_tokenizer(find_base("embedded"))


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released sessions as a run; the agent that is tuned on them sees the history alone."""
    out = tmp_path_factory.mktemp("sessions") / "run"
    done = magnet("adopt", RELEASED, "--out", out, "--method", "psych8k")
    assert done.returncode == 0, done.stderr
    return out
