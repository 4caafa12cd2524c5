"""Pages in a real Chromium, without a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: apt-get install chromium"
)
#: Nothing but the file is reachable: every host name resolves to nowhere.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=10000",
)


def dom(page: Path, fragment: str = "", *flags: str) -> str:
    """The page's DOM once its scripts have run."""
    assert CHROMIUM is not None
    address = page.resolve().as_uri() + (f"#{fragment}" if fragment else "")
    line = [CHROMIUM, *FLAGS, *flags, "--dump-dom", address]
    done = subprocess.run(line, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout
