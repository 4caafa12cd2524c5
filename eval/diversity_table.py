"""Diversity on the terminal."""

import sys
from collections.abc import Mapping
from typing import Any

import orjson
from rich.console import Console

from eval.diversity_report import SPEAKERS
from magnet.console.tables import print_line, print_table


def _cell(value: Any) -> str:
    """A count, a share to four decimals, or a mean above its interval."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return f"{value['mean']:.4f}\n[{value['low']:.4f}, {value['high']:.4f}]"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _print_methods(console: Console, methods: Mapping[str, Any]) -> None:
    """A row a method and figure, a column a speaker."""
    rows = []
    for method, samples in methods.items():
        rows.append([method, "", "", ""])
        rows += [
            [f"  {name}", *(_cell(samples[speaker][name]) for speaker in SPEAKERS)]
            for name in samples["all"]
        ]
    print_table(console, ["", *SPEAKERS], rows)


def print_diversity(result: Mapping[str, Any], as_json: bool) -> None:
    """Prints what ``eval.diversity_report.diversity`` returned, as tables or as JSON."""
    if as_json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    console = Console()
    blocks = result.get("methods") or {result["method"]: result}
    counts = {method: block["sessions"] for method, block in blocks.items()}
    _print_methods(console, {f"{m}, {counts[m]} sessions": block for m, block in blocks.items()})
    if len(set(counts.values())) > 1:
        equal = result["equal_sessions"]
        print_line(
            console,
            f"\nAt {equal['sessions']} sessions each, drawn {equal['repeats']} times: "
            "mean, 2.5th and 97.5th percentile",
        )
        _print_methods(console, equal["methods"])
    print_line(
        console,
        f"\nTokenizer {result['tokenizer']}, V = {result['vocabulary']:,}; "
        f"profile {result['profile']}",
    )
    if result["tokenizer"] == "words":
        print_line(
            console,
            "V is the number of distinct words of this source. The paper's tokenizer is llama3:\n"
            "pip install 'magnet-sessions[eval]'",
        )
