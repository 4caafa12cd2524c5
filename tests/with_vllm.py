"""Sessions on a real vLLM server: chat and completions wire, a LoRA adapter as tuned counselor.

``make test-vllm`` runs it; pytest does not collect it. vLLM lives in an environment of its own
(it and DSPy want different releases of one package) and serves the embedded LM's weights,
dequantized, with an adapter of random weights. With ``--train`` (``make test-tuned``) the adapter
is one that ``magnet finetune`` has trained, and plays three sessions.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from magnet.lm.embedded import weights
from magnet.training.base import find_base
from tests.fake_run import play
from tests.running import ROOT

MAKE_ADAPTER = """
import json, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
out = Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(out / "model")
c, rank = model.config, 8
tensors = {}
for layer in range(c.num_hidden_layers):
    for name in ("q_proj", "v_proj"):
        w = getattr(model.model.layers[layer].self_attn, name).weight
        key = f"base_model.model.model.layers.{layer}.self_attn.{name}"
        tensors[f"{key}.lora_A.weight"] = torch.randn(rank, w.shape[1]).bfloat16() * 0.02
        tensors[f"{key}.lora_B.weight"] = torch.randn(w.shape[0], rank).bfloat16() * 0.02
(out / "adapter").mkdir(exist_ok=True)
save_file(tensors, out / "adapter" / "adapter_model.safetensors")
(out / "adapter" / "adapter_config.json").write_text(json.dumps({
    "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 8, "bias": "none",
    "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": str(out / "model")}))
"""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_model(python: str, folder: Path) -> None:
    """The weights, and an adapter of random ones."""
    dequantize = ROOT / "magnet/training/dequantize.py"
    subprocess.run([python, dequantize, weights(), folder / "model"], check=True)
    subprocess.run([python, "-c", MAKE_ADAPTER, folder], check=True)


def train_adapter(folder: Path) -> None:
    """The weights, and an adapter that is really trained: on sessions of a fake server's words."""
    run = play(folder / "sessions", ["magnet"], sessions=12)
    line = [sys.executable, "-m", "magnet.cli", "finetune", str(run), "--method", "magnet"]
    line += ["--recipe", "smoke", "--set", "tokens=1024", "--set", "steps=6"]
    subprocess.run(line, check=True, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"})
    for name, target in (
        ("model", find_base("embedded")),
        ("adapter", run / "tuned-magnet/adapter"),
    ):
        (folder / name).symlink_to(target)


def serve(python: str, folder: Path, rank: int = 8) -> tuple[subprocess.Popen[bytes], str]:
    """Starts the server and waits until it lists its models."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "chatml.jinja").write_text(CHATML, encoding="utf-8")
    command = [python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(folder / "model"), "--served-model-name", "smollm2"]
    command += ["--dtype", "bfloat16", "--max-model-len", "8192", "--port", str(port)]
    # Chunked prefill and a seed in each request do not go together on a CPU.
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192"]
    command += ["--chat-template", str(folder / "chatml.jinja"), "--host", "127.0.0.1"]
    command += ["--enable-lora", "--max-lora-rank", str(rank)]
    command += ["--lora-modules", f"tuned={folder / 'adapter'}"]
    env = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "4", "HF_HUB_OFFLINE": "1"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    url = f"http://127.0.0.1:{port}"
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
                print("vLLM serves", [m["id"] for m in json.load(answer)["data"]], flush=True)
                return server, url
        except OSError:
            time.sleep(2)
    raise SystemExit(f"vLLM did not start: {folder / 'server.log'}")


def run(
    url: str, out: Path, methods: list[str], settings: list[str], count: int = 1
) -> list[dict[str, Any]]:
    """Plays so many sessions a method; returns the session files."""
    usual = [f"lm.default.url='{url}'", "lm.default.model='smollm2'", f"methods={methods}"]
    usual += [f"sessions={count}", "exchanges=2", "lm.default.max_tokens=60", "lm.default.extra={}"]
    command = [sys.executable, "-m", "magnet.reproduce", "demo", "--out", str(out)]
    for setting in [*usual, *settings]:
        command += ["--set", setting]
    subprocess.run(command, check=True)
    return [json.loads(f.read_bytes()) for f in sorted((out / "sessions").glob("*.json"))]


def main() -> None:
    """Runs all checks; the closing line counts them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vllm-python", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--train", action="store_true", help="an adapter that is trained first")
    parser.add_argument("--adapter", type=Path, help="a trained adapter of the same base")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    folder = args.folder.resolve()
    if args.adapter and not (folder / "adapter").exists():
        (folder / "model").symlink_to(find_base("embedded"))
        (folder / "adapter").symlink_to(args.adapter.resolve())
    if not (folder / "adapter" / "adapter_config.json").exists():
        if args.train:
            train_adapter(folder)
        else:
            make_model(args.vllm_python, folder)
    rank = json.loads((folder / "adapter/adapter_config.json").read_bytes())["r"]
    trained = args.train or args.adapter
    server, url = serve(args.vllm_python, folder, rank)
    passed = 0
    try:
        tuned = ["lm.tuned-magnet.model='tuned'"]
        completions = ["lm.default.wire='completions'", "lm.default.template='chatml'"]
        stamp = str(int(time.time()))
        checks = [
            ("chat", ["magnet"], [], 1),
            ("completions", ["magnet", "cactus"], completions, 1),
            ("tuned", ["tuned-magnet"], tuned, 3 if trained else 1),
        ]
        for name, methods, settings, count in checks[-1:] if trained else checks:
            sessions = run(url, folder / "runs" / f"{name}-{stamp}", methods, settings, count)
            assert len(sessions) == len(methods) * count, name
            for session in sessions:
                assert len(session["history"]) == 6, (name, session["id"])
                calls = [call for exchange in session["turns"] for call in exchange["calls"]]
                models = {call["role"]: call["model"] for call in calls}
                wanted = "tuned" if name == "tuned" else "smollm2"
                counselor = "tuned-magnet" if name == "tuned" else "response"
                assert models[counselor] == wanted, models
                assert models["client"] == "smollm2", models
                # Typed answers are constrained: what is asked again is a duplicate at most.
                planner = [call for call in calls if call["role"] == "planner"]
                assert all(not call["retries"] for call in planner), planner
            passed += 1
            print(f"{name}: {', '.join(methods)} finished", flush=True)
    finally:
        server.terminate()
        server.wait(60)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
