"""How large the report of a whole study is, and how long it takes to write and to open.

Makes sessions of 20 exchanges for every seed and method, with made-up words and scores, writes
their report, and opens it in Chromium. By the page's clock: until the sessions are listed, and
until all is loaded; by ours: from starting the browser until it has drawn the page and left.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import orjson  # noqa: E402

from benchmarks.generation import many_seeds  # noqa: E402
from eval.report.page import PAGE, write_report  # noqa: E402
from magnet.core.seeds import GenerationSeed, load_seeds  # noqa: E402
from magnet.core.session import AgentCall, Exchange, Session  # noqa: E402
from signatures import RECORDS, SPECIALISTS, CBTPlan, CBTTechnique, Technique  # noqa: E402
from tests import fake_run  # noqa: E402
from tests.browser import CHROMIUM, FLAGS, dom  # noqa: E402

METHODS = ["magnet", "magnet-c", "magnet-t", "magnet-c-t", "psych8k", "cactus", "tuned-magnet"]


def words(draw: random.Random, count: int, known: list[str]) -> str:
    return " ".join(draw.choices(known, k=count)).capitalize() + "."


def played(
    number: int, method: str, seed: GenerationSeed, draw: random.Random, known: list[str]
) -> Session:
    agents = method.startswith("magnet")
    calls = [AgentCall(role=r, input_tokens=900, output_tokens=60) for r in SPECIALISTS]
    exchanges = [
        Exchange(
            candidates={r: words(draw, 45, known) for r in SPECIALISTS} if agents else {},
            techniques=draw.sample(list(Technique), 2) if agents else [],
            reply=words(draw, 55, known),
            client_reply=words(draw, 35, known),
            calls=calls,
        )
        for _ in range(20)
    ]
    plan = CBTPlan(technique=draw.choice(list(CBTTechnique)), plan=words(draw, 150, known))
    session_id = f"session_{number:04d}"
    return Session(
        id=session_id, method=method, seed=seed, plan=plan if agents else None, exchanges=exchanges
    )


def make_run(folder: Path, seeds: int) -> Path:
    draw, run = random.Random(0), folder / "run"
    (run / "sessions").mkdir(parents=True)
    text = (HERE / "magnet" / "core" / "seeds.json").read_text(encoding="utf-8")
    known = sorted(set(re.findall(r"[a-z]{2,}", text)))  # a vocabulary, so that it packs like text
    file = load_seeds(many_seeds(folder, seeds))
    scores = {}
    number = 0
    for seed in file.seeds:
        for method in METHODS:
            number += 1
            session = played(number, method, seed, draw, known)
            path = run / "sessions" / f"{session.id}.json"
            path.write_bytes(orjson.dumps(session.to_json()))
            for question in RECORDS.values():
                for score in fake_run.made_up(session, "gpt-4o-mini", question):
                    scores[score.dialogue, score.scale, score.item] = score
    fake_run.write(run, list(scores.values()))
    study = {"name": "bench", "methods": METHODS, "sessions": seeds}
    provenance = {"study": study, "models": {}, "seeds": {"entries": seeds}}
    (run / "provenance.json").write_bytes(orjson.dumps(provenance))
    return run


def opened(page: Path, fragment: str) -> dict[str, float]:
    probe = page.with_name("probe.html")
    script = (
        "addEventListener('load', () => {"
        "document.documentElement.dataset.loaded = Math.round(performance.now()); });"
    )
    # the page's own script alone may run: the probe goes without its policy
    with page.open("rb") as source, probe.open("wb") as target:
        for shown_line in source:
            if b"Content-Security-Policy" not in shown_line:
                target.write(
                    shown_line.replace(b"</head>", f"<script>{script}</script></head>".encode())
                )
    flags = [flag for flag in FLAGS if "virtual-time" not in flag]  # the clock is to be real
    address = f"{probe.as_uri()}#{fragment}"
    line = [str(CHROMIUM), *flags, "--dump-dom", address]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    listed, loaded = (re.search(rf'data-{n}="(\d+)"', shown) for n in ("ready", "loaded"))
    assert listed is not None
    assert loaded is not None
    started = time.perf_counter()
    line[-2] = f"--screenshot={page.with_name('screenshot.png')}"
    subprocess.run(line, capture_output=True, check=True)
    return {
        "listed_s": int(listed[1]) / 1000,
        "loaded_s": int(loaded[1]) / 1000,
        "browser_start_to_picture_s": round(time.perf_counter() - started, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=450)
    parser.add_argument("--keep", type=Path, help="Leave the run and its report here.")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp())
    try:
        run = make_run(folder, args.seeds)
        started = time.perf_counter()
        page = write_report([run]) / PAGE
        print(
            json.dumps(
                {
                    "sessions": args.seeds * len(METHODS),
                    "write_s": round(time.perf_counter() - started, 1),
                    "page_mb": round(page.stat().st_size / 1e6, 1),
                }
            ),
            flush=True,
        )
        if CHROMIUM is None:
            print("no chromium: the page was not opened")
            return
        last = f"session=session_{args.seeds * len(METHODS):04d}"
        for fragment in ("results", "sessions", last):
            print(json.dumps({"opened": fragment, **opened(page, fragment)}), flush=True)
        assert "Exchange 20" in dom(page, last)
    finally:
        if args.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
