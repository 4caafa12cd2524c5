"""Pairs for training: counts, split, what is left out, and the prompt of inference."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.core.seeds import GenerationSeed, load_seeds
from magnet.core.session import Message
from magnet.dataset.pairs import SPLITS, Pair, messages_for, read_pairs, tuned_agent
from magnet.lm import LMSpec, Meter, make_lm, resolve
from magnet.stages.adopt import adopt
from magnet.study.prepare import assign
from magnet.training.plan import SIZES, Clients, Plan
from magnet.training.recipe import load_recipe
from magnet.training.tokens import TokenRow, TokenRows
from programs import METHODS, PAPER
from prompts_frozen import load_prompts
from prompts_frozen.authors import import_prompts
from tests.fake_run import play
from tests.fake_server import FakeServer
from tests.running import ROOT, seeds

RELEASED = ROOT.parent / "shared/upstream/arxiv2025-MAGneT/dataset/magnet-generated-data.zip"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients with three attitudes each, two methods, twenty exchanges."""
    out = tmp_path_factory.mktemp("pairs") / "run"
    return play(out, ("magnet", "psych8k"), sessions=12, exchanges=20, stages='["generate"]')


@pytest.fixture(scope="module")
def paper_sized(played: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as large as the paper's: 150 clients with three attitudes, session 1 to 450."""
    out = tmp_path_factory.mktemp("paper") / "run"
    (out / "sessions").mkdir(parents=True)
    whole = next(s for s in read_sessions(played) if s.method == "magnet")
    path = played / "sessions" / f"{whole.id}.json"
    session = json.loads(path.read_bytes())
    entries = []
    for number in range(450):
        entry = json.loads(json.dumps(seeds(3)[number % 3].entry))
        entry["AI_client"]["intake_form"] += f"\nFile {number // 3}"
        entries.append(entry)
        seed, name = GenerationSeed.from_entry(entry), f"session_{number + 1:04d}"
        ids = {"id": name, "seed_id": seed.seed_id, "client_id": seed.client_id, "example": entry}
        assert ids.keys() <= session.keys()
        (out / "sessions" / f"{name}.json").write_text(json.dumps(session | ids), encoding="utf-8")
    file = out.parent / "seeds.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    known = json.loads((played / "provenance.json").read_bytes())
    known["study"] |= {"seeds": str(file), "methods": ["magnet"], "sessions": None}
    known["seeds"]["sha256"] = load_seeds(file).sha256
    (out / "provenance.json").write_text(json.dumps(known), encoding="utf-8")
    return out


@pytest.fixture
def copied(played: Path, tmp_path: Path) -> Path:
    """The run, to be spoilt."""
    return Path(shutil.copytree(played, tmp_path / "copy"))


def test_a_whole_session_gives_twenty_pairs(played: Path) -> None:
    found = read_pairs(played, "magnet")
    assert len(found.pairs) == 12 * 20
    assert found.left_out == {}
    assert found.skipped == {}
    sessions = {session.id: session for session in read_sessions(played)}
    for pair in found.pairs:
        history, x = sessions[pair.session].history, 2 * pair.exchange
        assert pair.method == "magnet"
        assert pair.history == tuple(history[:x])
        assert history[x] == Message(role="counselor", message=pair.reply)
    assert {p.exchange for p in found.pairs} == set(range(1, 21))


def test_the_split_is_by_client_in_the_order_of_the_seeds(played: Path) -> None:
    found = read_pairs(played, "magnet", (2, 1, 1))
    order = list(dict.fromkeys(seed.client_id for seed in seeds(12)))
    clients = {s: list(dict.fromkeys(p.seed.client_id for p in found.of(s))) for s in SPLITS}
    assert clients == {"train": order[:2], "validation": order[2:3], "test": order[3:]}
    assert found.clients == {"train": 2, "validation": 1, "test": 1}
    assert found.sessions == {"train": 6, "validation": 3, "test": 3}
    assert found.order == "the seed file"
    assert found.rule == "2:1:1 in the order of the seed file"
    assert sum(len(found.of(s)) for s in SPLITS) == len(found.pairs)


@pytest.mark.parametrize(("clients", "sizes"), [("train", (270, 30, 150)), ("all", (450, 0, 0))])
def test_the_paper_s_numbers_of_sessions_pairs_and_steps(
    paper_sized: Path, clients: Clients, sizes: tuple[int, int, int]
) -> None:
    """5400 pairs from 270 sessions, 600 from 30; 3 epochs of 4 rows a step."""
    found = read_pairs(paper_sized, "magnet", SIZES[clients])
    assert tuple(found.sessions.values()) == sizes
    assert [len(found.of(split)) for split in SPLITS] == [20 * n for n in sizes]
    assert sum(found.clients.values()) == 150
    in_order = list(dict.fromkeys(pair.session for split in SPLITS for pair in found.of(split)))
    assert in_order == [f"session_{number:04d}" for number in range(1, 451)]
    exchanges = {split: Counter(pair.exchange for pair in found.of(split)) for split in SPLITS}
    for split, number in zip(SPLITS, sizes, strict=True):
        assert exchanges[split] == {exchange: number for exchange in range(1, 21) if number}
    recipe = load_recipe("paper")
    assert recipe.validation is None  # NLL is measured on all of them
    rows = TokenRows([TokenRow([0], 0)] * len(found.of("train")))
    plan = Plan(paper_sized, "magnet", "ours", recipe, "", found, rows, TokenRows(), {}, clients)
    assert plan.steps == 3 * len(rows.rows) // 4


def test_both_methods_of_a_client_are_in_one_part(played: Path) -> None:
    found = read_pairs(played)
    assert {p.method for p in found.pairs} == {"magnet", "psych8k"}
    parts: dict[str, set[str]] = {}
    for pair in found.pairs:
        parts.setdefault(pair.seed.client_id, set()).add(pair.split)
    assert {len(splits) for splits in parts.values()} == {1}


def test_a_client_keeps_its_part_while_sessions_are_missing(copied: Path) -> None:
    before = {p.session: p.split for p in read_pairs(copied, "magnet").pairs}
    for file in sorted((copied / "sessions").iterdir())[:6]:  # the first client, both methods
        file.unlink()
    after = {p.session: p.split for p in read_pairs(copied, "magnet").pairs}
    assert len(after) == 9
    assert after.items() <= before.items()


def test_without_its_seed_file_the_sessions_give_the_order(copied: Path) -> None:
    before = read_pairs(copied, "psych8k")
    path = copied / "provenance.json"
    whole = json.loads(path.read_bytes())
    whole["study"]["seeds"] = "gone.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    after = read_pairs(copied, "psych8k")
    assert before.rule == "90:10:50 in the order of the seed file"
    assert after.order == "the finished sessions"
    assert after.rule == "90:10:50 in the order of the finished sessions"
    assert after.pairs == before.pairs


def test_lineage_says_where_a_pair_is_from(played: Path) -> None:
    pair = read_pairs(played, "magnet").pairs[25]
    whole = json.loads((played / "provenance.json").read_bytes())
    assert pair.lineage["models"]["planner"] == "fake-model"
    other = read_pairs(played, "psych8k").pairs[0]  # the run's other roles did not play in it
    assert other.lineage["models"] == {"response": "fake-model", "client": "fake-model"}
    assert pair.lineage["seeds_sha256"] == whole["seeds"]["sha256"]
    assert pair.lineage["seeds_license"] == "Apache-2.0 (this project)"
    assert (pair.lineage["session"], pair.lineage["turn"]) == (pair.session, pair.exchange)
    assert (pair.lineage["seed"], pair.lineage["client"]) == (
        pair.seed.seed_id,
        pair.seed.client_id,
    )
    assert pair.lineage["prompts"] == "ours"
    assert len(pair.lineage["prompts_sha256"]) == 64


def test_unfinished_and_flagged_sessions_are_left_out_and_counted(copied: Path) -> None:
    journal = copied / "journal" / "session_0001.jsonl"
    (copied / "sessions" / "session_0001.json").unlink()
    ours = '{"session": {"method": "magnet"}, "unfinished": "timeout", "detail": "x"}\n'
    journal.write_text(ours, encoding="utf-8")
    (copied / "sessions" / "session_0002.json").unlink()  # psych8k's
    unsaid = copied / "journal" / "session_0002.jsonl"  # of an earlier version
    unsaid.write_text('{"unfinished": "server", "detail": "x"}\n', encoding="utf-8")
    flags = "session,reason\nsession_0003,off topic\nsession_0005,off topic\nsession_0004,\n"
    (copied / "flags.csv").write_text(flags, encoding="utf-8")
    found = read_pairs(copied, "magnet")
    unknown = {"unfinished, method unknown: server": 1}
    assert found.left_out == {"flagged: off topic": 2, "unfinished: timeout": 1} | unknown
    assert len({p.session for p in found.pairs}) == 9
    assert (
        read_pairs(copied, "psych8k").left_out
        == {
            "flagged: no reason given": 1,
        }
        | unknown
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("session,reason\nsession_9999,x\n", "session_9999"),
        ("id,why\nsession_0001,x\n", "session,reason"),
    ],
)
def test_flags_that_cannot_be_meant(copied: Path, text: str, complaint: str) -> None:
    (copied / "flags.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=complaint):
        read_pairs(copied, "magnet")


def test_a_split_file_decides(played: Path, tmp_path: Path) -> None:
    order = list(dict.fromkeys(seed.client_id for seed in seeds(12)))
    path = tmp_path / "split.csv"
    path.write_text(f"split,client_id\ntest,{order[0]}\ntrain,{order[1]}\ntrain,elsewhere\n")
    found = read_pairs(played, "magnet", split_file=path)
    assert found.clients == {"train": 1, "validation": 0, "test": 1}
    assert found.left_out == {"not in the split file": 6}
    assert found.order == "the file split.csv"
    assert found.rule == "as split.csv says"
    assert {p.seed.client_id for p in found.of("test")} == {order[0]}


FIRST = seeds(1)[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"client_id,split\n{FIRST.client_id},train\n{FIRST.client_id},test\n", FIRST.client_id),
        (
            f"seed_id,split\n{FIRST.client_id}-positive,train\n{FIRST.client_id}-neutral,test\n",
            f"client {FIRST.client_id} is in two splits, train and test",
        ),
        ("client_id,split,note\n", "unknown column 'note'"),
        ("client_id,seed_id,split\n", "columns are"),
        ("client_id\n", "columns are client_id"),
        ("", "columns are missing"),
        (f"client_id,split\n{FIRST.client_id},dev\n", "line 2: unknown split 'dev'"),
        (f"client_id,split\n{FIRST.client_id}\n", "line 2: 1 fields"),
        ("client_id,split\nnobody,train\n", "names no client of the run"),
    ],
)
def test_split_files_that_will_not_do(
    played: Path, tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=complaint):
        read_pairs(played, "magnet", split_file=path)


def test_what_is_no_source_of_pairs(played: Path, copied: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run directory"):
        read_pairs(tmp_path / "nowhere", "magnet")
    with pytest.raises(UsageError, match=r"magnet \(12\), psych8k \(12\)"):
        read_pairs(played, "cactus")
    with pytest.raises(UsageError, match="cannot read"):
        read_pairs(played, "magnet", split_file=tmp_path / "none.csv")
    everything = [f"{file.stem},x" for file in (copied / "sessions").iterdir()]
    (copied / "flags.csv").write_text("\n".join(["session,reason", *everything]) + "\n")
    with pytest.raises(UsageError, match="no training pair is left: 12 flagged: x"):
        read_pairs(copied, "magnet")
    shutil.rmtree(copied / "sessions")
    (copied / "sessions").mkdir()
    (copied / "flags.csv").unlink()
    with pytest.raises(UsageError, match="holds no finished session"):
        read_pairs(copied, "magnet")


def test_adopted_chats_without_a_client_serve_the_agent_that_sees_history_alone(
    tmp_path: Path,
) -> None:
    said = ("Hello.", "I am tired.", "Since when?", "For weeks.", " ", "Well.", "I see.")
    roles = ("assistant", "user")
    chat = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    source = tmp_path / "chats.jsonl"
    source.write_text(json.dumps({"messages": chat}) + "\n", encoding="utf-8")
    adopt(source, tmp_path / "p", "psych8k")
    found = read_pairs(tmp_path / "p", "psych8k")
    assert [(p.exchange, p.reply) for p in found.pairs] == [(1, "Since when?"), (3, "I see.")]
    assert found.skipped == {"empty reply": 1}
    assert found.pairs[0].lineage["adopted"] == "line 1"
    assert found.pairs[0].lineage["models"] is None
    adopt(source, tmp_path / "m", "mine")
    with pytest.raises(UsageError, match="1 no client information"):
        read_pairs(tmp_path / "m", "mine")


@pytest.mark.skipif(not RELEASED.is_file(), reason="the released sessions are not here")
def test_the_released_sessions_give_twenty_pairs_each(tmp_path: Path) -> None:
    adopt(RELEASED, tmp_path / "run")
    found = read_pairs(tmp_path / "run", "magnet-generated-data")
    assert len(found.pairs) == 60 * 20
    assert found.clients == {"train": 12, "validation": 1, "test": 7}
    per_session: dict[str, list[int]] = {}
    for pair in found.pairs:
        per_session.setdefault(pair.session, []).append(pair.exchange)
        assert len(pair.history) == 2 * pair.exchange
        assert pair.history[-1].role == "client"
    assert all(exchanges == list(range(1, 21)) for exchanges in per_session.values())


def sent(server: FakeServer, agent: str, pair: Pair, prompts: str = "ours") -> Any:
    """What the tuned counselor sends at this moment, over HTTP."""
    counselor = METHODS[agent](prompts, PAPER)
    lm = make_lm(resolve(LMSpec(url=server.url, wire="chat")), agent, Meter())
    assign(counselor, {agent: lm})(seed=pair.seed, history=pair.history)
    return server.requests[-1]["messages"]


@pytest.mark.parametrize("method", ["magnet", "magnet-c-t", "cactus", "psych8k", "theirs"])
@pytest.mark.parametrize(
    "words",
    [
        "I am tired.",
        "What is {history} and {client_information}, {{reason}}? {0}",
        'Two\nlines, a "quote", a \\ and \u2028 between. ',
    ],
)
def test_the_prompt_at_training_is_the_prompt_at_inference(
    serve: Callable[..., FakeServer], method: str, words: str
) -> None:
    said = [("counselor", "Hello."), ("client", words), ("counselor", "{reason}"), ("client", "")]
    history = tuple(Message(role=role, message=text) for role, text in said)
    pair = Pair("train", method, "session_0001", 2, history, "What {history}?\n", FIRST, {})
    *shown, answer = messages_for(pair)
    assert shown == sent(serve(), tuned_agent(method), pair)
    assert answer == {"role": "assistant", "content": "What {history}?\n"}
    assert words in shown[-1]["content"]


def test_the_prompt_of_whole_sessions_is_that_of_inference(
    played: Path, serve: Callable[..., FakeServer]
) -> None:
    for method in ("magnet", "psych8k"):
        server = serve()
        for pair in read_pairs(played, method).pairs[::37]:
            assert messages_for(pair)[:-1] == sent(server, tuned_agent(method), pair)


@pytest.mark.skipif(not RELEASED.is_file(), reason="the authors' prompts are not here")
@pytest.mark.parametrize("method", ["magnet", "cactus", "psych8k"])
def test_the_authors_prompts_are_rendered_as_at_inference(
    serve: Callable[..., FakeServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    monkeypatch.setenv("MAGNET_DATA", str(tmp_path / "data"))
    load_prompts.cache_clear()
    import_prompts(str(RELEASED.parent.parent))
    history = (Message(role="client", message="{response} and {history}"),)
    pair = Pair("train", method, "session_0001", 1, history, "I see.", FIRST, {})
    assert messages_for(pair, "authors")[:-1] == sent(serve(), tuned_agent(method), pair, "authors")
    load_prompts.cache_clear()


def test_the_oldest_messages_can_be_dropped(played: Path) -> None:
    pair = read_pairs(played, "magnet").pairs[4]
    whole, short = messages_for(pair), messages_for(pair, drop=9)
    assert whole[0] == short[0]
    assert whole[-1] == short[-1]
    last = f"The session so far:\nClient: {pair.history[-1].message}\n\n"
    assert last in short[1]["content"]
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match="history of 10 messages"):
            messages_for(pair, drop=wrong)
