"""What an optimization would ask for, before anything is sent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from magnet.console.tables import print_line, print_table
from magnet.core.journal import read_sessions
from magnet.core.seeds import GenerationSeed, Split, load_seeds
from magnet.study.spec import Study
from optimize.prefixes import Prefix, splits, usable
from optimize.ratings import Rated, read_ratings
from optimize.rollout import calls_of


@dataclass(frozen=True)
class _Moment:
    """A prefix that is still to be played."""

    id: str
    seed: GenerationSeed


def print_search(study: Study, run: Path | None, ratings: Path | None, console: Console) -> None:
    """Prints the LM calls of an optimization, split by split, as upper bounds without repetitions.

    Args:
        study: with its table ``[optimize]``.
        run: the sessions it learns from; None where the study still has to play them.
        ratings: people's, for a judge.
        console: where to.

    Raises:
        UsageError: there are too few sessions.
    """
    spec = study.optimize
    items: Sequence[Prefix | Rated | _Moment]
    if run is None:
        seeds = load_seeds(study.seeds).take(study.sessions, study.split)
        exchanges = range(1, study.exchanges + 1)
        items = [
            _Moment(f"{seed.seed_id}/{exchange}", seed) for seed in seeds for exchange in exchanges
        ]
    elif ratings is None:
        items = usable(read_sessions(run))
    else:
        items = read_ratings(ratings, read_sessions(run), spec.agent)
    calls = {"judge": 1} if ratings else calls_of(spec.agent, spec.horizon, study.judge_repeats)
    sizes = {split: len(group) for split, group in splits(items, spec, study.seed).items()}
    for text in (*_told(study, sizes, calls), ""):
        print_line(console, text)
    print_table(console, ["split", "examples", "calls"], _rows(study, sizes, sum(calls.values())))


def _rows(study: Study, sizes: Mapping[Split, int], each: int) -> list[list[str]]:
    start = sizes["train"] + sizes["validation"]
    arms, most = _arms(study, sizes), max(0, study.optimize.metric_calls - start)
    named = [
        ("the start, on training and validation examples", start),
        ("the search, at most", most),
        ("the arms, on test examples", arms),
        ("together, at most", start + most + arms),
    ]
    return [[name, f"{number:,}", f"{number * each:,}"] for name, number in named]


def _arms(study: Study, sizes: Mapping[Split, int]) -> int:
    return (5 if study.optimize.agent == "technique" else 3) * sizes["test"]


def _told(study: Study, sizes: Mapping[Split, int], calls: Mapping[str, int]) -> Iterator[str]:
    each, by_role = sum(calls.values()), ", ".join(f"{role} {n}" for role, n in calls.items())
    yield (
        f"Setup {study.optimize.agent}: {each} calls an example ({by_role}); instructions are "
        "written on top, about one call for each candidate. Known answers cost nothing."
    )
    if (bound := study.optimize.budget.calls) is not None:
        kept = _arms(study, sizes) * each
        yield f"The budget of {bound:,} calls ends the search; {kept:,} are kept for the arms."
