"""What an export holds, on the terminal."""

from functools import partial

from rich.console import Console

from magnet.console.tables import print_line, print_table
from magnet.dataset.export import NEAR, Exported


def print_export(done: Exported, console: Console) -> None:
    """Prints rows, sessions and clients by split, what was left out, and where it all is."""
    say = partial(print_line, console)
    pairs = done.pairs
    lines = [
        [s, f"{len(pairs.of(s)):,}", str(pairs.sessions[s]), str(pairs.clients[s])]
        for s in done.files
    ]
    print_table(console, ["split", "rows", "sessions", "clients"], lines)
    say(f"Clients were parted {pairs.rule}.")
    for what, counts in (("Sessions", pairs.left_out), ("Replies", pairs.skipped)):
        for reason, number in counts.items():
            say(f"{what} left out, {reason}: {number}")
    if done.near.found:
        say(f"Near-duplicates across splits: {len(done.near.found)}, in {done.folder / NEAR}")
    say(f"Dataset and card: {done.folder / 'README.md'}")
