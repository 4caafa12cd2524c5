"""``magnet export``: a run's training pairs as a folder that ``datasets`` reads."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from eval.defects import Defects
from magnet.core.errors import UsageError, missing_extra
from magnet.core.journal import read_provenance, read_sessions
from magnet.core.seeds import SPLITS, Split
from magnet.core.session import Session
from magnet.dataset.card import card
from magnet.dataset.card_tables import Source
from magnet.dataset.near_duplicates import NearReport, find_near, to_csv
from magnet.dataset.pairs import PairSet, read_pairs
from magnet.dataset.rows import Columns, Format, Row, columns_of, row_of
from prompts_frozen import load_prompts

#: Says of a folder that it is an export, and which files are in it.
MANIFEST = "export.json"
NEAR = "near_duplicates.csv"
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        pairs: the pairs.
        near: the near-duplicates across splits.
        files: split -> file, of the splits that have rows.
    """

    folder: Path
    pairs: PairSet
    near: NearReport
    files: Mapping[Split, str]


def export(
    run: Path,
    format_: Format,
    out: Path,
    method: str | None = None,
    prompts: str = "ours",
    split_file: Path | None = None,
    license_: str | None = None,
) -> Exported:
    """Writes a run's pairs with their dataset card; all of it, or nothing.

    Args:
        run: the run directory.
        format_: of the rows.
        out: the folder; an existing export in it is replaced.
        method: whose sessions; all of them for None.
        prompts: the prompt set that is rendered into the rows.
        split_file: says which client is in which split.
        license_: of the sessions, where the run does not know it.

    Raises:
        UsageError: see read_pairs; the folder holds something else; a package is missing; the
            licence is known already.
    """
    if format_ == "parquet" and find_spec("pyarrow") is None:
        raise missing_extra("export", "--format parquet needs pyarrow")
    out = out.resolve()
    _check_target(out)
    load_prompts(prompts)
    provenance = read_provenance(run)
    known = provenance["seeds"].get("license")
    if known and license_:
        raise UsageError(
            f"--license {license_}: {run} already records its seeds' licence, {known}, which its "
            "sessions carry",
            "Omit --license.",
        )
    pairs = read_pairs(run, method, split_file=split_file)
    suffix = "parquet" if format_ == "parquet" else "jsonl"
    files = {s: f"data/{s}.{suffix}" for s in SPLITS if pairs.sessions[s]}
    near = find_near(pairs)
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / "data").mkdir(parents=True)
        for split, name in files.items():
            rows = [row_of(pair, format_, prompts, license_) for pair in pairs.of(split)]
            _write_rows(temporary / name, rows, columns_of(format_))
        defects = _second_look(run, pairs, temporary / "sessions" if format_ == "authors" else None)
        source = Source(
            run.resolve().name,
            provenance,
            pairs,
            defects,
            near,
            format_,
            prompts,
            license_,
            files,
        )
        (temporary / "README.md").write_text(card(source), encoding="utf-8")
        (temporary / NEAR).write_text(to_csv(near), encoding="utf-8")
        settings = {"format": format_, "method": method, "prompts": Path(prompts).name}
        _write_manifest(temporary, settings)
        _put(temporary, out)
    except OSError as error:
        raise UsageError(
            f"cannot write {out}: {error.strerror}", "Free space, or --out DIR"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(out, pairs, near, files)


def _check_target(out: Path) -> None:
    """Refuses a folder that holds anything but an untouched export."""
    if out.is_file():
        raise UsageError(f"{out} is a file", "Name a folder: --out DIR")
    there = {str(p.relative_to(out)) for p in out.rglob("*") if not p.is_dir()}
    if not there:
        return
    remedy = "Name another folder: --out DIR"
    try:
        listed: dict[str, str] = orjson.loads((out / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{out} is not empty and is not an export", remedy) from None
    if foreign := sorted(there - listed.keys() - {MANIFEST}):
        raise UsageError(f"{out} holds {foreign[0]}, which is not part of the export", remedy)
    for name in sorted(there & listed.keys()):
        if _sha256(out / name) != listed[name]:
            raise UsageError(f"{out / name} has been changed since it was exported", remedy)


def _write_rows(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return
    import pyarrow
    from pyarrow import parquet

    def type_of(kind: str | tuple[str, ...]) -> Any:
        if isinstance(kind, str):
            return getattr(pyarrow, kind)()
        return pyarrow.list_(pyarrow.struct([(key, pyarrow.string()) for key in kind]))

    schema = pyarrow.schema([(name, type_of(kind)) for name, kind in columns.items()])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)


def _second_look(run: Path, pairs: PairSet, folder: Path | None) -> Defects:
    """Counts the defects of the pairs' sessions; writes them to the folder, as the authors do."""
    used, defects = {pair.session for pair in pairs.pairs}, Defects()
    if folder is not None:
        folder.mkdir()
    for session in read_sessions(run):
        if session.id in used:
            defects.add(session)
            if folder is not None:
                number = int(session.id.removeprefix("session_"))
                data = orjson.dumps(_released(session), option=_PRETTY)
                (folder / f"session_{number}.json").write_bytes(data)
    return defects


def _released(session: Session) -> dict[str, Any]:
    entry, plan = session.seed.entry, session.plan
    return {
        "AI_client": entry.get("AI_client"),
        "AI_counselor": entry.get("AI_counselor"),
        "cbt_technique": str(plan.technique) if plan else None,
        "cbt_plan": plan.plan if plan else None,
        "dialogue": [message.model_dump() for message in session.history],
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_manifest(folder: Path, settings: Mapping[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    whole = {"made by": "magnet export", **settings, "files": hashes}
    (folder / MANIFEST).write_bytes(orjson.dumps(whole, option=_PRETTY))


def _put(temporary: Path, out: Path) -> None:
    """Moves the finished folder to its place; an existing export is removed only then."""
    old = out.with_name(f".{out.name}.old")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    temporary.rename(out)
    shutil.rmtree(old, ignore_errors=True)
