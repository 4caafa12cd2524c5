"""The numbers and names of a dataset card, as Markdown tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from eval.defects import Defects
from magnet.core.seeds import SPLITS, Split
from magnet.dataset.near_duplicates import KINDS, NearReport
from magnet.dataset.pairs import PairSet, tuned_agent
from magnet.dataset.rows import Format
from prompts_frozen import load_prompts


@dataclass(frozen=True)
class Source:
    """Everything that a card describes.

    Attributes:
        name: of the run.
        provenance: the run's.
        pairs: its pairs.
        defects: counted in the sessions that give them.
        near: likewise, across splits.
        format_: of the rows.
        prompts: the prompt set in the rows.
        license_: given by the user, where the run records none.
        files: split -> file, of the splits that have rows.
    """

    name: str
    provenance: Mapping[str, Any]
    pairs: PairSet
    defects: Defects
    near: NearReport
    format_: Format
    prompts: str
    license_: str | None
    files: Mapping[Split, str]

    @property
    def terms(self) -> str | None:
        """The licence of the data; None if unknown."""
        return self.provenance["seeds"].get("license") or self.license_

    @property
    def adopted(self) -> bool:
        """Whether the sessions come from elsewhere."""
        return "adopted" in self.provenance["identity"]

    @property
    def seeds(self) -> str:
        """The file of seeds, or of the sessions adopted, without its folder."""
        return Path(str(self.provenance["seeds"]["source"])).name


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def share(part: int, whole: int) -> str:
    """``3 of 12 (25.0%)``."""
    return f"{part:,} of {whole:,}" + (f" ({part / whole:.1%})" if whole else "")


def listed(counts: Mapping[str, int]) -> str:
    """Reasons with their numbers."""
    return "; ".join(f"{number} {reason}" for reason, number in counts.items()) or "none"


def splits(source: Source) -> str:
    """Rows, sessions and clients by split."""
    pairs = source.pairs
    rows = [
        (split, f"{len(pairs.of(split)):,}", pairs.sessions[split], pairs.clients[split])
        for split in source.files
    ]
    return table(("split", "rows", "sessions", "clients"), rows)


def groups(source: Source) -> str:
    """Sessions and rows by split, method and attitude."""
    rows = Counter((p.split, p.method, p.seed.attitude) for p in source.pairs.pairs)
    whole = {p.session: (p.split, p.method, p.seed.attitude) for p in source.pairs.pairs}
    sessions = Counter(whole.values())
    order = sorted(rows, key=lambda group: (SPLITS.index(group[0]), *group[1:]))
    lines = [
        (split, method, attitude or "not known", sessions[group], f"{rows[group]:,}")
        for group in order
        for split, method, attitude in [group]
    ]
    return table(("split", "method", "attitude", "sessions", "rows"), lines)


def origin(source: Source) -> str:
    """Seeds, study and version."""
    known, seeds = source.provenance, source.provenance["seeds"]
    ours = ("prompt set of the rows", Path(source.prompts).name)
    if source.adopted:
        sha256 = known.get("adopted", {}).get("sha256")
        rows = [("adopted from", source.seeds), ("sha256 of the source", sha256), ours]
    else:
        rows = [
            ("seeds", source.seeds),
            ("sha256 of the seeds", seeds["sha256"]),
            ("licence of the seeds", seeds["license"]),
            ours,
            ("prompt set of the sessions", Path(known["prompts"]["set"]).name),
            ("profile", known["study"]["profile"]),
            ("most exchanges per session", known["study"]["exchanges"]),
            ("seed of the run", known["study"]["seed"]),
            ("version", known["packages"].get("magnet-sessions")),
            ("commit", known["commit"]),
        ]
    lines = [(what, "not known" if value in (None, "") else value) for what, value in rows]
    return table(("what", "value"), lines)


def models(source: Source) -> str:
    """Model and sampling settings of each role that wrote in the sessions."""
    used = {role for pair in source.pairs.pairs for role in pair.lineage["models"] or ()}
    specs = {r: s for r, s in source.provenance.get("models", {}).items() if r in used}
    if not specs:
        return "Models and sampling settings are unknown."
    rows = [
        (
            role,
            spec.get("model", "not known"),
            spec["temperature"],
            spec["max_tokens"] or "the server's",
            spec.get("top_p", "the server's"),
            spec["wire"],
        )
        for role, spec in specs.items()
    ]
    return table(("role", "model", "temperature", "token limit", "top_p", "wire"), rows)


def prompts(source: Source) -> str:
    """Hashes of the prompts in the rows and of those that the sessions were played with."""
    agents = sorted({tuned_agent(pair.method) for pair in source.pairs.pairs})
    known = load_prompts(source.prompts)
    rows = [("rows", agent, known[agent].sha256) for agent in agents]
    played = source.provenance["prompts"].get("sha256") or {}
    rows += [("sessions", agent, sha256) for agent, sha256 in played.items()]
    return table(("in", "prompt", "sha256"), rows)


def defects(found: Defects) -> str:
    """What is wrong, and how often."""
    lengths = sorted(found.lengths.elements())
    rows = [
        ("messages per session", f"{lengths[0]} to {lengths[-1]}, median {median(lengths):g}"),
        ("sessions ended by the client", share(found.ended, found.sessions)),
    ]
    for speaker, turns, repeats, labels in (
        ("client", found.client_turns, found.client_repeats, found.client_labels),
        ("counselor", found.replies, found.reply_repeats, found.reply_labels),
    ):
        repeated = f"{speaker} turns that repeat an earlier one word for word"
        rows.append((repeated, share(repeats, turns)))
        rows.append((f"{speaker} turns that are empty or only a label", share(labels, turns)))
    rows += [
        (f"answers of {role} cut off by the token limit", share(found.cut[role], answers))
        for role, answers in sorted(found.answers.items())
    ]
    if found.plans and not found.answers["planner"]:
        rows.append(("plans cut off by the token limit", "not recorded"))
    return table(("what", "how many"), rows)


def near(report: NearReport) -> str:
    """Held-out texts similar to one in an earlier split."""
    rows = [
        (kind, split, other, share(report.count(kind, split, other), report.compared[kind, split]))
        for kind in KINDS
        for at, split in enumerate(SPLITS)
        for other in SPLITS[:at]
        if report.compared[kind, split] and report.compared[kind, other]
    ]
    if not rows:
        return "There is nothing to compare: only one split has rows."
    return table(("what", "of", "like one in", "how many"), rows)
