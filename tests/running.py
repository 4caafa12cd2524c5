"""What the tests share: commands as subprocesses, agents on a fake server."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from magnet.core.seeds import GenerationSeed, load_seeds
from magnet.core.session import Session
from magnet.lm import LMSpec, Meter, make_lm, resolve
from magnet.study.prepare import assign
from programs import Agent, Client, MagnetCounselor
from signatures import AGENTS, CBTPlan, CBTTechnique, Technique
from tests.fake_server import FakeServer

ROOT = Path(__file__).resolve().parent.parent
ANSI = re.compile("\x1b\\[")
#: What decides whether a run directory may go on, in small.
IDENTITY = {"seed": 1, "models": {"client": {"temperature": 0.7}}, "prompts": {"client": "a"}}
PLAN = CBTPlan(technique=CBTTechnique.REALITY_TESTING, plan="1. Look at it together.")

# The waits after a fault (half a second and up) in a hundredth of the time; all else is as it is.
HASTY = """
from programs import Agent
Agent.__init__.__kwdefaults__["pause"] /= 100
from magnet.reproduce import main
main()
"""


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command, with this checkout first and no git commit.

    The commit stands in every session file, and somebody may commit while the tests run.
    """
    plain = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return plain | {"PYTHONPATH": str(ROOT), "GIT_DIR": os.devnull, "COLUMNS": "120"} | extra


@contextmanager
def under_way(
    server: FakeServer,
    out: Path,
    calls: int,
    within: float = 60,
    hasty: bool = False,
    **settings: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own that has sent so many calls, or is so many seconds old."""
    line = command(*reproduce_args(server, out, **settings), code=HASTY if hasty else None)
    goal, late = server.count + calls, time.monotonic() + within
    pipe = subprocess.PIPE
    process = subprocess.Popen(line, env=environment(), stdout=pipe, stderr=pipe, text=True)
    try:
        while process.poll() is None and server.count < goal and time.monotonic() < late:
            time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.communicate()


def command(*args: object, code: str | None = None, module: str = "magnet.reproduce") -> list[str]:
    """The command line of a module, or of code, in this interpreter."""
    head = ["-c", code] if code else ["-m", module]
    return [sys.executable, *head, *map(str, args)]


def reproduce_args(server: FakeServer | str, out: Path, **settings: Any) -> list[str]:
    """Arguments of a small run of the demo study; ``lm__default__timeout=1`` sets a nested key."""
    url = server if isinstance(server, str) else server.url
    usual = {"lm__default__url": url, "sessions": 2, "exchanges": 2, "stages": ["generate"]}
    given = usual | settings
    pairs = (f"{key.replace('__', '.')}={toml(value)}" for key, value in given.items())
    return ["demo", "--out", str(out), *(part for pair in pairs for part in ("--set", pair))]


def toml(value: Any) -> str:
    """A TOML value; dicts become inline tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return f"'{value}'" if isinstance(value, str | Path) else str(value).lower()


def run(*line: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line to its end."""
    return subprocess.run(
        line, capture_output=True, text=True, env=environment(**env), cwd=cwd or ROOT, timeout=300
    )


def reproduce(
    server: FakeServer | str, out: Path, hasty: bool = False, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """A small run of the demo study in a process of its own."""
    code = HASTY if hasty else None
    return run(*command(*reproduce_args(server, out, **settings), code=code))


def magnet(*args: object) -> subprocess.CompletedProcess[str]:
    """``magnet VERB ...`` in a process of its own."""
    return run(*command(*args, module="magnet.cli"))


def session_files(out: Path) -> dict[str, bytes]:
    """The published sessions of a run directory, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted((out / "sessions").iterdir())}


def question(body: dict[str, Any]) -> tuple[str, int | None]:
    """What makes two requests the same one: prompt and seed."""
    return str(body.get("messages") or body.get("prompt")), body.get("seed")


def inputs_for(role: str, text: str = "as given") -> dict[str, Any]:
    """An input for each of the role's fields."""
    typed = {"plan": PLAN, "techniques": [Technique.REFLECTION, Technique.SOLUTIONS]}
    return {name: typed.get(name, f"{name} {text}") for name in AGENTS[role].signature.input_fields}


def agent_on(
    server: FakeServer, role: str, meter: Meter | None = None, pause: float = 0.001, **spec: Any
) -> Agent:
    """A role's agent whose calls go to the server."""
    agent = Agent(role, pause=pause)
    resolved = resolve(LMSpec(url=server.url, **spec))
    agent.lm = make_lm(resolved, role, meter or Meter())
    return agent


def programs_on(
    server: FakeServer, meter: Meter | None = None, **spec: Any
) -> tuple[MagnetCounselor, Client]:
    """Counselor and client whose calls go to the server."""
    resolved = resolve(LMSpec(url=server.url, **spec))
    lms = {role: make_lm(resolved, role, meter or Meter()) for role in AGENTS}
    counselor, client = assign(MagnetCounselor(), lms), assign(Client(), lms)
    return counselor, client


def seeds(count: int) -> list[GenerationSeed]:
    """The first seeds that ship."""
    return list(load_seeds().seeds[:count])


def empty_session(number: int = 1) -> Session:
    """A session before its first exchange."""
    return Session(id=f"session_{number:04d}", seed=seeds(number)[-1])


def in_chat_format(body: dict[str, Any], prompt: str) -> str | None:
    """A reply to DSPy's chat format; None for other prompts."""
    _, found, asked = prompt.rpartition("Respond with the corresponding output fields")
    if not found:
        return None
    words = hashlib.sha256(f"{prompt}{body.get('seed')}".encode()).hexdigest()[:12]
    fields = re.findall(r"\[\[ ## (\w+) ## \]\]", asked)
    return "\n\n".join(f"[[ ## {name} ## ]]\nWe {name} {words}." for name in fields)


def blocks(text: str) -> list[str]:
    """The indented code blocks of a page."""
    return [re.sub(r"(?m)^    ", "", b) for b in re.findall(r"(?:(?:^    .*)?\n)+", text, re.M)]
