"""Seeds: what a session starts from, in the file format of the authors' dataset."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from magnet.core.errors import UsageError, first_of
from magnet.core.upstream import ARCHIVE, data_folder, read_source

OURS = "ours"
AUTHORS = "authors"
#: The authors' 450 seeds, by the start of their hash.
AUTHORS_SHA256 = "7085e3bf"
_AUTHORS_PATH = "dataset/data.json"
#: Clients in the paper's training, validation and test splits (appendix E).
SPLIT = (90, 10, 50)
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class _Client(BaseModel):
    intake_form: _Text
    attitude: Literal["positive", "neutral", "negative"]
    attitude_instruction: _Text


class _CBT(BaseModel):
    client_information: _Text
    reason_counseling: _Text
    init_history_counselor: _Text
    init_history_client: _Text


class _Counselor(BaseModel):
    CBT: _CBT


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow")  # ground_truth_CBT, Response, ... are carried along

    AI_client: _Client
    AI_counselor: _Counselor


_ENTRY: TypeAdapter[_Entry] = TypeAdapter(_Entry)


@dataclass(frozen=True)
class GenerationSeed:
    """One client with one attitude, and how the session opens.

    Attributes:
        seed_id: ``client_id`` and attitude; the same in every file that holds this entry.
        client_id: hash of the intake form. Names will not do: two clients may share one.
        intake_form: the client's background, as the client agent sees it.
        attitude: positive, neutral or negative.
        attitude_instruction: how that attitude shows.
        client_information: what the counselor is told of the client.
        reason_counseling: why the client seeks counselling.
        greeting: the counselor's first message.
        opening: the client's first message.
        entry: the file's entry as it stands, unknown fields included.
    """

    seed_id: str
    client_id: str
    intake_form: str
    attitude: str
    attitude_instruction: str
    client_information: str
    reason_counseling: str
    greeting: str
    opening: str
    entry: dict[str, Any]

    @classmethod
    def from_entry(cls, entry: Any) -> "GenerationSeed":
        """A seed from one entry of a file.

        Raises:
            pydantic.ValidationError: a field is missing or wrong.
        """
        checked = _ENTRY.validate_python(entry)
        client, cbt = checked.AI_client, checked.AI_counselor.CBT
        client_id = hashlib.sha256(client.intake_form.encode()).hexdigest()[:10]
        return cls(
            seed_id=f"{client_id}-{client.attitude}",
            client_id=client_id,
            intake_form=client.intake_form,
            attitude=client.attitude,
            attitude_instruction=client.attitude_instruction,
            client_information=cbt.client_information,
            reason_counseling=cbt.reason_counseling,
            greeting=cbt.init_history_counselor,
            opening=cbt.init_history_client,
            entry=entry,
        )

    @classmethod
    def from_record(cls, entry: dict[str, Any], seed_id: str, client_id: str) -> "GenerationSeed":
        """A seed as a session file has it; what its entry lacks is empty."""
        client = entry.get("AI_client") or {}
        cbt = (entry.get("AI_counselor") or {}).get("CBT") or {}
        return cls(
            seed_id=seed_id,
            client_id=client_id,
            intake_form=client.get("intake_form") or "",
            attitude=client.get("attitude") or "",
            attitude_instruction=client.get("attitude_instruction") or "",
            client_information=cbt.get("client_information") or "",
            reason_counseling=cbt.get("reason_counseling") or "",
            greeting=cbt.get("init_history_counselor") or "",
            opening=cbt.get("init_history_client") or "",
            entry=entry,
        )


@dataclass(frozen=True)
class SeedFile:
    """A file of seeds.

    Attributes:
        name: ``ours`` or the path.
        seeds: its entries, in the file's order.
        sha256: of the file's bytes.
        license: the licence where it is known.
    """

    name: str
    seeds: Sequence[GenerationSeed]
    sha256: str
    license: str | None

    def take(self, count: int | None, split: str = "all") -> Sequence[GenerationSeed]:
        """The first ``count`` seeds of a split of the file; all of them for None.

        Args:
            count: how many.
            split: ``all``, or ``train``, ``validation``, ``test`` as split_by_client splits it.

        Raises:
            UsageError: there are fewer, or none.
        """
        seeds, where = self.seeds, ""
        if split != "all":
            splits: dict[str, list[GenerationSeed]] = dict(
                zip(SPLITS, split_by_client(self.seeds), strict=True)
            )
            seeds, where = splits[split], f" in its {split} split"
        if not seeds:
            raise UsageError(
                f"{self.name} holds no seeds{where}", "A file of more clients has some."
            )
        if count is not None and count > len(seeds):
            raise UsageError(
                f"sessions is {count}, but {self.name} holds {len(seeds)} seeds{where}",
                f"--set sessions={len(seeds)}",
            )
        return seeds[:count]

    @cached_property
    def clients(self) -> int:
        """The number of different clients."""
        return len({seed.client_id for seed in self.seeds})


#: Licences of files that are known by their hash.
_LICENSES = {AUTHORS_SHA256: "GPL-2.0 (CACTUS)"}


def _authors_file() -> Path:
    return data_folder() / "seeds" / "authors.json"


def import_seeds(source: str = ARCHIVE) -> Path:
    """Installs the authors' seeds in the user's data folder; a study names them ``authors``.

    Args:
        source: a checkout of their repository, a zip of it, or the URL of one; or the file.
            Their public archive unless given.

    Raises:
        UsageError: the file is missing or is another one.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.suffix == ".json":
        data = path.read_bytes()
    else:
        found = read_source(source, [_AUTHORS_PATH])
        if _AUTHORS_PATH not in found:
            raise UsageError(f"import: {source} holds no {_AUTHORS_PATH}")
        data = found[_AUTHORS_PATH]
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(AUTHORS_SHA256):
        raise UsageError(
            f"import: the seeds have sha256 {digest[:12]}..., the authors' 450 have "
            f"{AUTHORS_SHA256}...: it is another file",
            "A file of your own needs no import: --set \"seeds='PATH'\"",
        )
    target = _authors_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def split_by_client(
    seeds: Sequence[GenerationSeed], sizes: tuple[int, int, int] = SPLIT
) -> tuple[list[GenerationSeed], list[GenerationSeed], list[GenerationSeed]]:
    """Training, validation and test seeds, no client in two of them.

    Clients are taken in the order of their first entry. The paper's file has 150; with another
    number the splits keep the proportion of ``sizes``.
    """
    order = list(dict.fromkeys(seed.client_id for seed in seeds))
    whole = sum(sizes)
    first = round(len(order) * sizes[0] / whole)
    second = round(len(order) * (sizes[0] + sizes[1]) / whole)
    number = {c: (i >= first) + (i >= second) for i, c in enumerate(order)}
    splits: tuple[list[GenerationSeed], ...] = ([], [], [])
    for seed in seeds:
        splits[number[seed.client_id]].append(seed)
    return splits[0], splits[1], splits[2]


def load_seeds(source: str | Path = OURS) -> SeedFile:
    """Loads a file of seeds, or the twelve that ship (``ours``).

    The format is that of the authors' ``dataset/data.json``: a JSON list of entries with
    ``AI_client`` and ``AI_counselor.CBT``.

    Raises:
        UsageError: no such file, not JSON, or a field that is missing or wrong: the first one,
            by file, entry and field.
    """
    ours = str(source) == OURS and not Path(OURS).exists()
    path = Path(str(files("magnet.core"))) / "seeds.json" if ours else Path(source)
    if str(source) == AUTHORS and not path.exists():
        path = _authors_file()
        if not path.is_file():
            raise UsageError(
                "seeds: the authors' seeds are not installed", "Import them: magnet seeds import"
            )
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"seeds: cannot read {path}: {error.strerror}",
            "'ours' names the twelve seeds that ship, 'authors' the imported ones; any other value "
            "is the path of a file.",
        ) from None
    try:
        entries = orjson.loads(raw)
    except ValueError as error:
        raise UsageError(f"seeds: {path} is not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"seeds: {path} is not a JSON list of entries")
    seeds: dict[str, GenerationSeed] = {}
    for number, entry in enumerate(entries, 1):
        try:
            seed = GenerationSeed.from_entry(entry)
        except ValidationError as error:
            field, wrong = first_of(error)
            raise UsageError(
                f"seeds: {path}, entry {number}: {field or 'the entry'}: {wrong}",
                "docs/seeds.md describes the format.",
            ) from None
        if seed.seed_id in seeds:
            raise UsageError(
                f"seeds: {path}, entry {number}: AI_client: this client with this attitude "
                f"({seed.attitude}) stands in the file twice",
                "Remove one of the two: sessions are told apart by client and attitude.",
            )
        seeds[seed.seed_id] = seed
    sha256 = hashlib.sha256(raw).hexdigest()
    known = "Apache-2.0 (this project)" if ours else _LICENSES.get(sha256[:8])
    return SeedFile(str(source), list(seeds.values()), sha256, known)
