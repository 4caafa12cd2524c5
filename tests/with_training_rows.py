"""What training tokenises is what inference sends; tests/with_training.py runs it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from dspy.lm15 import Message as Said
from dspy.lm15 import Request

from magnet.core.errors import UsageError
from magnet.dataset.pairs import messages_for, raw_prompt, read_pairs
from magnet.lm.wire import encode
from magnet.training.base import find_base, open_tokenizer
from magnet.training.recipe import load_recipe, recipe_yaml
from magnet.training.tokens import Renderer, make_rows
from magnet.training.train import JOB, ROWS, make_trainer
from prompts_frozen.authors import import_prompts
from tests.training_fixtures import UPSTREAM, needs_sessions

# The prompt at training is the prompt at inference.


@needs_sessions
@pytest.mark.parametrize("method", ["magnet", "psych8k"])
@pytest.mark.parametrize("template", ["chatml", "llama3"])
def test_the_completions_wire_sends_what_training_tokenised(sessions, tokenizer, method, template):
    if template == "llama3":
        tokenizer = llama3(tokenizer)
    renderer = Renderer(tokenizer, template)
    pair = replace(read_pairs(sessions).pairs[7], method=method)
    *prompt, reply = messages_for(pair)
    sent = json.loads(encode(request(prompt), "completions", template, False))["prompt"]
    row = renderer.row([*prompt, reply])
    assert row.ids[: row.start] == tokenizer(sent)["input_ids"]
    assert tokenizer.decode(row.ids[row.start : -1]) == reply["content"]
    assert (
        tokenizer.decode(row.ids[-1:]) == {"chatml": "<|im_end|>", "llama3": "<|eot_id|>"}[template]
    )


@needs_sessions
def test_the_chat_wire_sends_what_training_tokenised(sessions, tokenizer):
    renderer = Renderer(tokenizer, None)
    *prompt, reply = messages_for(read_pairs(sessions).pairs[7])
    sent = json.loads(encode(request(prompt), "chat", None, False))["messages"]
    applied = tokenizer.apply_chat_template(sent, add_generation_prompt=True)["input_ids"]
    row = renderer.row([*prompt, reply])
    assert row.ids[: row.start] == list(applied)
    assert row.ids[-1] == tokenizer.eos_token_id  # where the server stops


def test_a_template_s_own_system_message_is_in_training_where_it_is_at_inference(tokenizer):
    asked = [{"role": "user", "content": "Hello."}]
    assert "You are" in Renderer(tokenizer, None).text(asked)  # the chat template adds one
    assert Renderer(tokenizer, "chatml").text(asked).count("<|im_start|>") == 2  # user, assistant


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="the authors' prompts are not here")
def test_a_prompt_file_with_llama_3_s_tokens_is_trained_on_as_it_is_sent(
    sessions, tokenizer, tmp_path, monkeypatch
):
    extended = llama3(tokenizer)
    monkeypatch.setenv("MAGNET_DATA", str(tmp_path))
    import_prompts(str(UPSTREAM))
    pair = read_pairs(sessions).pairs[7]
    raw = raw_prompt(pair, "authors")
    *prompt, _ = messages_for(pair, "authors")
    renderer = Renderer(extended, "llama3")
    (row,) = make_rows([pair], renderer, 4096, "authors").rows
    assert row.ids[: row.start] == extended(raw)["input_ids"] != renderer.prompt_ids(prompt)


def test_a_template_that_writes_the_date_is_refused(tokenizer):
    dated = open_tokenizer(find_base("embedded"))
    dated.chat_template = "{{ strftime_now('%d') }}" + dated.chat_template
    with pytest.raises(UsageError, match=r"today's date(.|\n)*llama3"):
        Renderer(dated, None)
    with pytest.raises(UsageError, match="no end-of-turn token"):
        Renderer(tokenizer, "llama3")


# TokenRows.


@needs_sessions
def test_rows_lose_their_oldest_exchanges_and_never_their_reply(sessions, tokenizer):
    renderer, pairs = Renderer(tokenizer, None), read_pairs(sessions).pairs[:60]
    whole = make_rows(pairs, renderer, 8192)
    assert (whole.shortened, whole.left_out, len(whole.rows)) == (0, 0, 60)
    cut = make_rows(pairs, renderer, 384)
    assert cut.shortened > 0 < cut.left_out
    assert len(cut.rows) == 60 - cut.left_out
    assert all(len(row.ids) <= 384 for row in cut.rows)
    replies = {tuple(row.ids[row.start :]) for row in whole.rows}
    assert {tuple(row.ids[row.start :]) for row in cut.rows} <= replies
    # No exchange is dropped that need not be.
    for row in cut.rows:
        longer = next(w for w in whole.rows if w.ids[w.start :] == row.ids[row.start :])
        assert len(longer.ids) <= 384 or len(row.ids) < len(longer.ids)


def test_the_trainer_takes_the_rows_as_they_are(tokenizer, tmp_path):
    """Longer than TRL's default of 1024 tokens, which would cut the reply."""
    ids = list(range(100, 1600))
    labels = [-100] * 1400 + ids[1400:]
    trainer = tiny(tmp_path, tokenizer, {"input_ids": [ids], "labels": [labels]})
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"][0, :1500].tolist() == ids
    assert batch["labels"][0, :1500].tolist() == labels
    # TRL makes the adapter of a quantized base bfloat16, and a resume makes it float32.
    dtypes = {p.dtype for p in trainer.model.parameters() if p.requires_grad}
    assert dtypes == {torch.float32}


def tiny(folder, tokenizer, rows, *settings):
    """A trainer of the smoke recipe on ready rows, with random weights."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    Dataset.from_dict(rows).save_to_disk(folder / ROWS)
    recipe = load_recipe("smoke", settings)
    (folder / "recipe.yaml").write_text(recipe_yaml(recipe), encoding="utf-8")
    (folder / JOB).write_text(json.dumps({"base": str(folder / "base")}), encoding="utf-8")
    return make_trainer(folder)


#: Of 5 and 3 tokens, to be padded to 8.
TWO = {"input_ids": [[5, 6, 7, 8, 9], [5, 6, 7]], "labels": [[-100, 6, 7, 8, 9], [5, 6, 7]]}
SHORT = ("batch=2", "tokens=8")


def collated(trainer):
    batch = next(iter(trainer.get_train_dataloader()))
    longest = int(batch["attention_mask"].sum(1).argmax())  # the order is drawn
    return [
        {name: batch[name][i].tolist() for name in ("input_ids", "labels", "attention_mask")}
        for i in (longest, 1 - longest)
    ]


def test_padding_counts_in_the_loss_where_the_recipe_says_so(tokenizer, tmp_path):
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert end != tokenizer.eos_token_id  # which ends an exchange
    assert collated(tiny(tmp_path, tokenizer, TWO, *SHORT, "loss='padded'")) == [
        {
            "input_ids": [5, 6, 7, 8, 9, end, end, end],
            "labels": [-100, 6, 7, 8, 9, end, end, end],
            "attention_mask": [1, 1, 1, 1, 1, 0, 0, 0],
        },
        {
            "input_ids": [5, 6, 7, end, end, end, end, end],
            "labels": [5, 6, 7, end, end, end, end, end],
            "attention_mask": [1, 1, 1, 0, 0, 0, 0, 0],
        },
    ]


def test_elsewhere_rows_are_padded_to_the_longest_and_padding_does_not_count(tokenizer, tmp_path):
    long, short = collated(tiny(tmp_path, tokenizer, TWO, *SHORT, "loss='all'"))
    assert long["labels"] == [-100, 6, 7, 8, 9]
    assert short["labels"] == [5, 6, 7, -100, -100]
    assert short["attention_mask"] == [1, 1, 1, 0, 0]


def test_the_loss_of_a_step_is_the_mean_over_padding_too(tokenizer, tmp_path):
    trainer = tiny(tmp_path, tokenizer, TWO, *SHORT, "loss='padded'")
    batch = next(iter(trainer.get_train_dataloader()))
    model = trainer.model.eval()
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        counted = trainer.compute_loss(model, dict(batch))
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), batch["labels"][:, 1:].flatten()
    )
    assert float(counted) == pytest.approx(float(expected), rel=1e-4)


def llama3(tokenizer):
    """The same vocabulary with Llama-3's special tokens."""
    names = ("start_header_id", "end_header_id", "eot_id")
    added = open_tokenizer(tokenizer.name_or_path)
    added.add_special_tokens({"additional_special_tokens": [f"<|{name}|>" for name in names]})
    return added


def request(prompt) -> Request:
    system = next((m["content"] for m in prompt if m["role"] == "system"), None)
    return Request(model="m", system=system, messages=(Said.user(prompt[-1]["content"]),))
