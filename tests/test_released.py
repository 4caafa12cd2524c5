"""Profile ``released`` with the authors' prompts: every request as their scripts make it.

The reference below plays a session the way FIDELITY describes their scripts, one call after the
other, with plain string formatting. Our run has to send the same requests, field for field.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from magnet.reproduce import main
from prompts_frozen import load_prompts
from prompts_frozen.authors import import_prompts
from tests.fake_server import FakeServer, sentence, serving

UPSTREAM = Path(__file__).resolve().parents[2] / "shared" / "upstream" / "arxiv2025-MAGneT"
pytestmark = pytest.mark.skipif(not UPSTREAM.is_dir(), reason="needs the authors' repository")

SPECIALISTS = ["reflections", "questioning", "solutions", "normalization", "psychoed"]
SLOTS = ["reflection_utt", "question_utt", "solution_utt", "normalize_utt", "psychoed_utt"]


def odd_reply(body, prompt):
    """Replies with everything their clean-up reacts to, chosen by the prompt's hash."""
    digest = hashlib.sha256(prompt.encode()).digest()
    said = sentence(digest, 8)
    if "Choose an appropriate CBT technique" in prompt:
        return (
            f'I choose "Pie\n Chart".\n\nCounseling Plan:\n\n1. Begin:\n\t* {said}\nCounseling:\nx'
        )
    if "Types of Psychological Techniques" in prompt:
        return [" Reflection\n", "Questioning, Normalization", "I would reflect."][digest[0] % 3]
    if "the role of a client" in prompt:
        odd = [f"Client: {said}", f"\n{said}\n", f'"{said}" {{history}}', "Client:", ""]
        return odd[digest[0] % 5] + (" [/END]" if digest[1] < 12 else "")
    odd = [
        f"Counselor: {said}",
        f'Here:\n\nCounselor: "{said}"\nYes.',
        f"Output: {said} \\ Counselor: Well,\n{said}",
        f"[{{'role': 'counselor', 'message': \"{said}\"}}, {{'role': 'client'}}]",
        f"  {said}\n\n",
    ]
    return odd[digest[0] % 5]


class Reference:
    """Their scripts' behaviour for one seed; ``sent`` collects the requests' bodies."""

    def __init__(self, entry):
        self.entry, self.cbt, self.sent = entry, entry["AI_counselor"]["CBT"], []

    def read(self, name):
        return (UPSTREAM / "prompts" / f"{name}.txt").read_text(encoding="utf-8")

    def ask(self, name, **values):
        prompt = self.read(name).format(**values)
        body = {"model": "fake-model", "prompt": prompt, "temperature": 0.7, "max_tokens": 512}
        self.sent.append(body)
        return odd_reply(body, prompt)

    def ask_technique(self, name, **values):
        messages = [{"role": "user", "content": self.read(name).format(**values)}]
        body = {"model": "fake-model", "messages": messages, "temperature": 0}
        self.sent.append(body)
        return odd_reply(body, json.dumps(messages))

    @staticmethod
    def clean(text):
        if "'message':" in text:
            text = text.split("'message':")[1].split(", {")[0]
            text = text.replace('"', "").replace("]", "").replace("}", "")
        text = text.split("Counselor:")[-1]
        return text.replace("\n", "").replace("\\", "").replace('"', "").strip()

    def plan(self):
        case = self.client() | {"history": "Client: " + self.cbt["init_history_client"]}
        text = self.ask("agent_cbt", **case)
        return " ".join(text.split("Counseling")[1].split(":\n")[1:])

    def client(self):
        return {k: self.cbt[k] for k in ("client_information", "reason_counseling")}

    def counselor(self, method, plan, history):
        if method.endswith("psych8k"):
            name = "qlora-psych8k-dialogue-gen" if method.startswith("tuned") else "agent_psych8k"
            text = self.ask(name, history=history)
            return text.replace("Output:", "").replace("Counselor:", "").strip()
        if method.startswith("tuned"):
            name = {"tuned-magnet": "mascs", "tuned-cactus": "cactus"}[method]
            return self.clean(
                self.ask(f"qlora-{name}-dialogue-gen", **self.client(), history=history)
            )
        if method == "cactus":
            case = self.client() | {"cbt_plan": plan, "history": history}
            return self.clean(self.ask("agent_cactus", **case))
        case = self.client() | {"history": history}
        drafts = [self.clean(self.ask(f"agent_{name}", **case)) for name in SPECIALISTS]
        values = dict(zip(SLOTS, drafts, strict=True))
        if method == "magnet":
            technique = self.ask_technique("agent_technique", history=history, cbt_plan=plan)
            return self.clean(self.ask("agent_dialogue_gen", **values, technique=technique))
        if method == "magnet-c":
            technique = self.ask_technique("agent_technique-no-cbt", history=history)
            return self.clean(self.ask("agent_dialogue_gen", **values, technique=technique))
        if method == "magnet-t":
            name, values = "agent_dialogue_gen-no-tech", values | {"cbt_plan": plan}
        else:
            name = "agent_dialogue_gen-no-cbt-no-tech"
        return self.clean(self.ask(name, **values, history=history))

    def play(self, method, exchanges):
        plan = self.plan() if method in ("magnet", "magnet-t", "cactus") else None
        lines = [
            f"Counselor: {self.cbt['init_history_counselor']}",
            f"Client: {self.cbt['init_history_client']}",
        ]
        client = self.entry["AI_client"]
        attitude = f"{client['attitude']}: {client['attitude_instruction']}"
        for _ in range(exchanges):
            said = self.counselor(method, plan, "\n".join(lines)).replace("Counselor: ", "")
            lines.append(f"Counselor: {said}")
            answer = self.ask(
                "agent_client",
                intake_form=self.entry,
                attitude=attitude,
                history="\n".join(lines),
            ).replace("Client: ", "")
            lines.append(f"Client: {answer.replace('[/END]', '')}")
            if "[/END]" in answer:
                break
        return lines


METHODS = [
    *("magnet", "magnet-c", "magnet-t", "magnet-c-t", "psych8k", "cactus"),
    *("tuned-magnet", "tuned-cactus", "tuned-psych8k"),
]


@pytest.mark.parametrize("method", METHODS)
def test_every_request_equals_the_scripts(method, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGNET_DATA", str(tmp_path / "data"))
    load_prompts.cache_clear()
    import_prompts(str(UPSTREAM))
    entries = json.loads((UPSTREAM / "dataset" / "data.json").read_text(encoding="utf-8"))[11:17]
    seeds = tmp_path / "seeds.json"
    seeds.write_text(json.dumps(entries), encoding="utf-8")
    expected, histories = [], []
    for entry in entries:
        reference = Reference(entry)
        histories.append(reference.play(method, 6))
        expected += reference.sent
    with serving(FakeServer(reply=odd_reply)) as server:
        arguments = ["reproduce", "demo", "--set", f"methods=['{method}']", "--set", "exchanges=6"]
        arguments += ["--set", f"seeds={json.dumps(str(seeds))}", "--set", "sessions=6"]
        arguments += ["--set", f"lm={{default={{url='{server.url}'}}}}", "--prompts", "authors"]
        arguments += [
            "--set",
            "stages=['generate']",
            "--profile",
            "released",
            "--out",
            str(tmp_path / "run"),
        ]
        # The flags override keys of the table that --set replaced whole.
        arguments += ["--set", "lm.default.wire='completions'"]
        arguments += ["--set", "lm.default.template='llama3'"]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
        sent = [
            {k: v for k, v in r.items() if k not in ("path", "headers")} for r in server.requests
        ]
    load_prompts.cache_clear()
    assert Counter(map(_key, sent)) == Counter(map(_key, expected))
    files = sorted((tmp_path / "run" / "sessions").glob("*.json"))
    played = [json.loads(f.read_text(encoding="utf-8"))["history"] for f in files]
    assert [[f"{m['role'].capitalize()}: {m['message']}" for m in h] for h in played] == histories


def _key(body):
    return json.dumps(body, sort_keys=True)
