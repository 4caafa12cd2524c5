import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magnet.core.errors import UsageError
from prompts_frozen import Prompt, load_prompts, lock
from prompts_frozen.sets import folder_of
from signatures import AGENTS
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for, magnet


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A copy of the set that ships."""
    return Path(shutil.copytree(folder_of("ours"), tmp_path / "mine"))


def relock(folder: Path) -> None:
    """A lock that fits the files, whatever is in them."""
    files = folder.glob("*.txt")
    hashes = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "lock.json").write_text(json.dumps(hashes))


def test_the_set_that_ships_matches_its_lock() -> None:
    prompts = load_prompts("ours")
    locked = json.loads((folder_of("ours") / "lock.json").read_text())
    assert {role: prompt.sha256 for role, prompt in prompts.items()} == locked
    assert prompts.keys() == AGENTS.keys()


@pytest.mark.parametrize("role", AGENTS)
def test_a_changed_prompt_is_refused_by_name_until_it_is_locked_anew(mine: Path, role: str) -> None:
    path = mine / f"{role}.txt"
    path.write_bytes(path.read_bytes().replace(b"[[user]]\n", b"[[user]]\n ", 1))
    with pytest.raises(UsageError, match=rf"'{role}' differs from its lock(.|\n)*prompts lock"):
        load_prompts(str(mine))
    lock(mine)
    assert load_prompts(str(mine))[role].user.startswith(" ")


def test_the_command_locks_a_folder_and_prints_its_hashes(mine: Path) -> None:
    (mine / "client.txt").write_text("[[user]]\nSo far: {history}\n")
    done = magnet("prompts", "lock", mine)
    assert done.returncode == 0, done.stderr
    assert f"{load_prompts(str(mine))['client'].sha256}  client" in done.stdout.splitlines()


def write(name: str, data: bytes) -> Callable[[Path], Any]:
    def harm(folder: Path) -> None:
        (folder / name).write_bytes(data)
        relock(folder)

    return harm


BROKEN = {
    "unknown placeholder": (
        write("client.txt", b"[[user]]\nYour {mood}: {history}\n"),
        r"'client'.*\{mood\}.*BeClient",
    ),
    "not UTF-8": (write("planner.txt", b"[[user]]\n\xff\n"), "'planner' is not UTF-8"),
    "no user part": (write("response.txt", b"Say: {reflection}\n"), r"'response'.*\[\[user\]\]"),
    "no line break": (write("response.txt", b"[[user]]\nSay"), r"'response'.*\[\[user\]\]"),
    "missing file": (lambda folder: (folder / "solutions.txt").unlink(), "'solutions'.*missing"),
    "no lock": (lambda folder: (folder / "lock.json").unlink(), "no readable lock.json"),
    "torn lock": (lambda folder: (folder / "lock.json").write_text('{"c'), "lock.json"),
    "odd lock": (lambda folder: (folder / "lock.json").write_text("[]"), "lock.json"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_set_that_will_not_do_is_refused_by_what_is_wrong(mine: Path, case: str) -> None:
    harm, message = BROKEN[case]
    harm(mine)
    with pytest.raises(UsageError, match=message):
        load_prompts(str(mine))


@pytest.mark.parametrize("case", ["unknown placeholder", "not UTF-8", "no user part"])
def test_a_prompt_that_cannot_be_used_is_never_locked(mine: Path, case: str) -> None:
    BROKEN[case][0](mine)
    before = (mine / "lock.json").read_bytes()
    done = magnet("prompts", "lock", mine)
    assert (done.returncode, (mine / "lock.json").read_bytes()) == (2, before)
    assert re.search(BROKEN[case][1], done.stderr)
    assert "Traceback" not in done.stderr


def test_a_file_that_belongs_to_no_agent_is_not_locked(mine: Path) -> None:
    (mine / "therapist.txt").write_text("[[user]]\nHello\n")
    with pytest.raises(UsageError, match="'therapist' belongs to no agent"):
        lock(mine)


def test_an_unknown_set_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no prompt set 'theirs'"):
        load_prompts("theirs")


# What a client may write, and what a renderer may trip over.
ODD = ["{history}", "{reason}", "{}", "{{x}}", "{0}", "%s", "$reason", "\\1", "\u2028", "\x85"]
ODD += ["🙂", "a\u0301", "\r\n", "  \n\t ", "[[user]]\n", "<|eot_id|>", '"', "\x00", "\ufeff"]
TEXT = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(ODD)), max_size=6).map("".join)
LITERAL = st.one_of(
    st.text(max_size=6).map(lambda t: t.replace("{", "").replace("}", "")),
    st.sampled_from(["{ history }", "{}", "{History}", "{history ", "}", "\r\n", "  \n", "\u2028"]),
)


@given(
    st.lists(st.one_of(LITERAL, st.sampled_from(["{history}", "{reason}"])), max_size=8),
    TEXT,
    TEXT,
)
def test_rendering_splices_the_values_and_touches_nothing_else(
    pieces: list[str], history: str, reason: str
) -> None:
    values = {"{history}": history, "{reason}": reason}
    template = "".join(pieces)
    prompt = Prompt.parse("any", f"[[system]]\n{template}\n[[user]]\n{template}\n".encode())
    whole = "".join(values.get(piece, piece) for piece in pieces)
    assert (prompt.system, prompt.user) == (template, template)
    assert prompt.render({"history": history, "reason": reason}) == (whole, whole)


def spliced(template: str | None, inputs: dict[str, str]) -> str:
    parts = re.split(r"\{(\w+)\}", template or "")
    return "".join(inputs[part] if number % 2 else part for number, part in enumerate(parts))


@given(text=TEXT, template=st.sampled_from(["llama3", "chatml"]))
@example(text="I wrote {reason} and {history}.\u2028🙂 \n ", template="llama3")
def test_the_very_text_reaches_the_server_on_both_wires(
    server: FakeServer, text: str, template: str
) -> None:
    prompt = load_prompts()["reflection"]
    inputs = {name: f"{name}:{text}" for name in inputs_for("reflection")}
    system, user = spliced(prompt.system, inputs), spliced(prompt.user, inputs)
    agent_on(server, "reflection")(**inputs)
    assert server.requests[-1]["messages"] == [
        {"role": "system", "content": system},
        {"role": "user", "content": user},
    ]
    agent_on(server, "reflection", wire="completions", template=template)(**inputs)
    head, _, tail = server.requests[-1]["prompt"].partition(system)
    assert tail.count(user) == 1
    assert user not in head
