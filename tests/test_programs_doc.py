"""Every snippet of docs/programs.md runs as it stands, one after the other."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from magnet.core.journal import read_sessions
from tests.fake_server import FakeServer
from tests.running import ROOT, blocks, command, in_chat_format, run

PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
BLOCKS = [b.strip("\n") + "\n" for b in blocks(PAGE) if b.strip()]
COMMAND = re.compile(r"(?:cp|magnet|python -m) ")


def parts() -> tuple[list[str], list[str], list[str], list[str]]:
    """Python, module files, studies, command lines."""
    python, modules, studies, lines = [], [], [], []
    for block in BLOCKS:
        for piece in re.split(r"\n\n(?=python -m|cp |counselor = MagnetCounselor\(\"my)", block):
            if COMMAND.match(piece):
                lines.append(piece)
            elif piece.startswith("# "):
                modules.append(piece)
            elif piece.startswith("methods ="):
                studies.append(piece)
            else:
                python.append(piece)
    return python, modules, studies, lines


@pytest.fixture
def server(serve: Callable[..., FakeServer]) -> FakeServer:
    return serve(reply=in_chat_format)


def test_the_snippets_run_in_their_order(server: FakeServer, tmp_path: Path) -> None:
    python, _, _, lines = parts()
    assert len(python) == 9
    assert "cp -r prompts_frozen/ours my-prompts" in lines[0]
    shutil.copytree(ROOT / "prompts_frozen" / "ours", tmp_path / "my-prompts")
    code = "".join(python).replace("http://localhost:8000", server.url)
    assert "connect(temperature" in code
    code = code.replace("connect(temperature", f"connect(url={server.url!r}, temperature", 1)
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Technique: ")
    assert "answers=1" in done.stdout
    assert "WARNING" not in done.stderr.replace("WARNING dspy.clients.model_metadata", "")


def test_the_method_of_ones_own_runs_as_documented(server: FakeServer, tmp_path: Path) -> None:
    _, (module,), (study,), lines = parts()
    name = module.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(module)
    (tmp_path / "mine.toml").write_text(study.replace("http://localhost:8000", server.url))
    assert lines[-1].strip() == "python -m magnet.reproduce mine.toml"
    done = run(*command("mine.toml", "--out", "run"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    played = {session.method: session for session in read_sessions(tmp_path / "run")}
    assert set(played) == {"magnet", "TwoVoices", "Plain"}
    assert set(played["TwoVoices"].usage) == {"reflection", "questioning", "client"}
    assert set(played["Plain"].usage) == {"response", "client"}
