"""Tokenizers: words, Llama-3's, a tokenizer.json; what is missing is named."""

import sys

import pytest

from eval.tokens import HuggingFace, Llama3, Words, open_tokenizer
from eval.vendi import Embedder
from magnet.core.errors import UsageError


def test_words_are_lower_cased_and_numbered():
    words = Words()
    assert [ids.tolist() for ids in words.encode(["A b a", "", "B c"])] == [[0, 1, 0], [], [1, 2]]
    assert words.vocabulary == 3


def test_llama3_splits_as_its_authors_do():
    pytest.importorskip("tiktoken")
    try:
        llama = Llama3()
    except UsageError:
        pytest.skip("llama-models is not installed")
    assert llama.vocabulary == 128_000
    # From the package's own tests of its tokenizer.
    assert llama.encode(["This is a test sentence."], special=True)[0].tolist() == [
        128000, 2028, 374, 264, 1296, 11914, 13,
    ]  # fmt: skip
    assert llama.encode([""])[0].size == 0


@pytest.fixture
def folder(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    models, parts = tokenizers.models, tokenizers.processors
    made = tokenizers.Tokenizer(models.WordLevel({"<s>": 0, "a": 1, "b": 2, "?": 3}, "?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.add_special_tokens(["<mask>"])
    made.post_processor = parts.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    made.enable_truncation(2)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_tokenizer_json_serves_whole_texts(folder):
    opened = open_tokenizer(str(folder))
    assert isinstance(opened, HuggingFace)
    assert opened.vocabulary == 4
    assert opened.encode(["a b c a"])[0].tolist() == [1, 2, 3, 1]
    assert opened.encode(["a b"], special=True)[0].tolist() == [0, 1, 2]


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        open_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    pytest.importorskip("tokenizers")
    with pytest.raises(UsageError, match="is not a tokenizer"):
        open_tokenizer(str(tmp_path))


def test_without_llama_models_words_are_the_default_and_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr("eval.tokens._llama3_file", lambda: None)
    assert open_tokenizer().name == "words"
    with pytest.raises(UsageError, match="pip install"):
        open_tokenizer("llama3")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r"tokenizers\n.*pip install"):
        open_tokenizer(str(folder))
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    monkeypatch.setattr("eval.tokens._llama3_file", lambda: folder / "tokenizer.json")
    with pytest.raises(UsageError, match=r"tiktoken\n.*pip install"):
        open_tokenizer("llama3")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    (folder / "modules.json").write_text("[]")
    with pytest.raises(UsageError, match=r"sentence-transformers\n.*pip install"):
        Embedder(folder)


def test_another_vocabulary_is_not_taken_for_llama3s(monkeypatch, folder):
    pytest.importorskip("tiktoken")
    monkeypatch.setattr("eval.tokens._llama3_file", lambda: folder / "tokenizer.json")
    with pytest.raises(UsageError, match="not Llama-3's vocabulary"):
        open_tokenizer("llama3")
