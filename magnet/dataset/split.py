"""Which split of the data a client belongs to: training, validation or test."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.core.seeds import SPLIT, SPLITS, GenerationSeed, Split, load_seeds, split_by_client

SEED_FILE = "the seed file"


def seeds_of(run: Path, provenance: Mapping[str, Any]) -> tuple[Sequence[GenerationSeed], str]:
    """A run's seeds in their order, and where the order is from.

    The seed file is asked first, so that no client changes its split while sessions are still
    being played; where it is gone or another one, the finished sessions give the order.
    """
    try:
        file = load_seeds(provenance["study"]["seeds"])
        if file.sha256 == provenance["seeds"]["sha256"]:
            study = provenance["study"]
            whole = study.get("split", "all") == "all"  # a part keeps its place in the whole
            return file.take(study.get("sessions") if whole else None), SEED_FILE
    except (UsageError, KeyError):
        pass
    return [session.seed for session in read_sessions(run)], "the finished sessions"


def split_clients(
    seeds: Sequence[GenerationSeed], sizes: tuple[int, int, int] = SPLIT
) -> dict[str, Split]:
    """Client -> split, as ``magnet.core.seeds.split_by_client`` assigns them."""
    parts = zip(SPLITS, split_by_client(seeds, sizes), strict=True)
    return {seed.client_id: split for split, part in parts for seed in part}


def read_split(path: Path, seeds: Sequence[GenerationSeed]) -> dict[str, Split]:
    """Client -> split, from a CSV file with the columns ``split`` and ``client_id`` or ``seed_id``.

    Lines of clients that the run does not have are ignored.

    Args:
        path: the file.
        seeds: the run's.

    Raises:
        UsageError: unreadable, another column, an unknown split, a client in two splits, or none
            of the run's clients.
    """
    client_of = {seed.seed_id: seed.client_id for seed in seeds}
    client_of |= {seed.client_id: seed.client_id for seed in seeds}
    parts: dict[str, Split] = {}
    for where, name, split in _rows(path):
        if split not in SPLITS:
            raise UsageError(f"{where}: unknown split {split!r}", f"Use {', '.join(SPLITS)}.")
        client = client_of.get(name)
        if client is None:
            continue
        if parts.setdefault(client, split) != split:
            raise UsageError(
                f"{where}: client {client} is in two splits, {parts[client]} and {split}",
                "All sessions of a client belong to one split; correct the file.",
            )
    if not parts:
        raise UsageError(
            f"{path} names none of the run's clients",
            f"The run has, for example, client_id {seeds[0].client_id}." if seeds else "",
        )
    return parts


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, client or seed, and split of each line."""
    use = "The header is client_id,split or seed_id,split."
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            if unknown := sorted(set(header) - {"client_id", "seed_id", "split"}):
                raise UsageError(f"{path}: unknown column {unknown[0]!r}", use)
            if sorted(header) not in (["client_id", "split"], ["seed_id", "split"]):
                raise UsageError(f"{path}: the columns are {', '.join(header) or 'missing'}", use)
            at = header.index("split")
            for line in filter(None, lines):
                where = f"{path}, line {lines.line_num}"
                if len(line) != 2:
                    raise UsageError(f"{where}: {len(line)} fields, not 2", use)
                yield where, line[1 - at].strip(), line[at].strip()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not CSV in UTF-8: {error}", use) from None
