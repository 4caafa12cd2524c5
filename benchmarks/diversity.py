"""What ``magnet diversity`` costs for many sessions, in a separate process.

Replicates the sessions of a source to two sizes and prints wall time, CPU time and peak memory
of the command, and their ratios, so that growth beyond the number of sessions would show.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def replicate(source: Path, count: int, folder: Path) -> Path:
    """A JSONL file of ``count`` sessions, those of the source over and over."""
    from eval.dialogues import load_dialogues

    chats = [
        json.dumps({"history": [message.model_dump() for message in dialogue.messages]})
        for dialogue in load_dialogues(source)
    ]
    path = folder / f"{count}.jsonl"
    lines = (chats[number % len(chats)] + "\n" for number in range(count))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def measure(path: Path, options: list[str]) -> dict[str, float]:
    """Seconds and peak memory of one command."""
    line = [sys.executable, "-m", "magnet.cli", "diversity", str(path), "--json", *options]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        line,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(HERE)},
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(done.stdout)
    return {
        "sessions": found["sessions"],
        "tokens": found["all"]["tokens"],
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        # Of the largest child so far: the sizes are measured from small to large.
        "peak_mb": after.ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="run, folder or zip of sessions")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("options", nargs="*", help="of the command, after --")
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as folder:
        sizes = (max(args.sessions // 4, 1), args.sessions)
        rows = []
        for size in sizes:
            rows.append(measure(replicate(args.source, size, Path(folder)), args.options))
            print(json.dumps(rows[-1]), flush=True)
    small, large = rows
    ratios = {f"{k}_ratio": round(large[k] / small[k], 2) for k in small if k != "tokens"}
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
