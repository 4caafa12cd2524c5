"""What the pipeline itself costs: many sessions against an instant server on loopback.

Prints CPU time a call (ours alone: the server is another process) and peak memory, for a small
and a large number of sessions in one run, so that growth would show.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent

CHILD = """
import json, resource, sys, time
from pathlib import Path
from rich.console import Console
from magnet.stages.run import run
from magnet.study.prepare import prepare, quiet
url, seeds, out, sessions, exchanges = sys.argv[1:]
quiet()
prepared = prepare("demo", [f"lm.default.url={url!r}", f"seeds={seeds!r}", "name='bench'",
    f"sessions={sessions}", f"exchanges={exchanges}", "workers=64", "lm.default.max_tokens=512",
    "stages=['generate']"])
cpu, wall = time.process_time(), time.perf_counter()
outcome, meter = run(prepared, Path(out), Console(quiet=True))
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
calls = meter.total().calls
print(json.dumps({"sessions": outcome.finished, "calls": calls,
    "cpu_ms_per_call": round(1000 * cpu / calls, 3), "calls_per_s": round(calls / wall, 1),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def many_seeds(folder: Path, count: int) -> Path:
    """A seed file of ``count`` entries: the included seeds, with numbered clients."""
    ours = json.loads((HERE / "magnet" / "core" / "seeds.json").read_text(encoding="utf-8"))
    entries = []
    for number in range(count):
        entry = json.loads(json.dumps(ours[number % len(ours)]))
        entry["AI_client"]["intake_form"] += f"\nFile number {number // len(ours)}"
        entries.append(entry)
    path = folder / "seeds.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=128)
    parser.add_argument("--exchanges", type=int, default=20)
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_server"], cwd=HERE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            seeds = many_seeds(Path(folder), args.sessions)
            rows = []
            for sessions in (max(args.sessions // 2, 1), args.sessions):
                started = time.perf_counter()
                child = subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        CHILD,
                        url,
                        str(seeds),
                        str(Path(folder) / str(sessions)),
                        str(sessions),
                        str(args.exchanges),
                    ],
                    capture_output=True,
                    text=True,
                    check=True,
                    env=os.environ | {"PYTHONPATH": str(HERE)},
                )
                row = json.loads(child.stdout.strip().splitlines()[-1])
                row["seconds"] = round(time.perf_counter() - started, 1)
                rows.append(row)
                print(json.dumps(row), flush=True)
            growth = rows[1]["peak_mb"] / rows[0]["peak_mb"]
            print(json.dumps({"memory_ratio": round(growth, 2)}))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
