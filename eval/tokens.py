"""Text to token ids: Llama-3's tokenizer, any of Hugging Face's, or words.

Tiktoken's split pattern and file format are those of Meta's ``llama_models.llama3.tokenizer``
(https://github.com/meta-llama/llama-models), whose wheel carries the vocabulary; the package
itself is never imported.
"""

import binascii
import hashlib
import importlib.util
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from magnet.core.errors import UsageError

Ids = NDArray[np.int64]

_INSTALL = "Install it: pip install 'magnet-sessions[eval]'"
_LLAMA3 = "llama_models/llama3/tokenizer.model"
_LLAMA3_SHA256 = "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55"
_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Tokenizer(Protocol):
    """What figures over tokens need."""

    @property
    def name(self) -> str:
        """As the command line calls it."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens it knows, special ones excepted; for words, of those seen so far."""

    def encode(self, texts: Sequence[str], special: bool = False) -> list[Ids]:
        """Token ids of each text, shape (tokens,).

        Args:
            texts: what to split.
            special: add what the tokenizer adds to a text by itself, such as BOS.
        """


class Words:
    """Lower-cased words between white space; the vocabulary is what it has seen."""

    name = "words"

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    @property
    def vocabulary(self) -> int:
        """Number of distinct words seen so far."""
        return len(self._ids)

    def encode(self, texts: Sequence[str], special: bool = False) -> list[Ids]:
        """Ids in order of first sight; there are no special tokens."""
        ids = self._ids
        return [
            np.array([ids.setdefault(word, len(ids)) for word in text.lower().split()], np.int64)
            for text in texts
        ]


class Llama3:
    """Llama-3's tokenizer: 128,000 tokens, and BOS after them.

    Raises:
        UsageError: llama-models or tiktoken is missing, or the vocabulary is another one.
    """

    name = "llama3"

    def __init__(self) -> None:
        path = _llama3_file()
        if path is None:
            raise UsageError("Llama-3's tokenizer is not installed (llama-models)", _INSTALL)
        try:
            import tiktoken
        except ImportError:
            raise UsageError("tokenizer llama3 needs tiktoken", _INSTALL) from None
        raw = path.read_bytes()
        if hashlib.sha256(raw).hexdigest() != _LLAMA3_SHA256:
            raise UsageError(
                f"{path} is not Llama-3's vocabulary (sha256 {_LLAMA3_SHA256[:12]}...)",
                "Reinstall it: pip install --force-reinstall --no-deps llama-models==0.3.0",
            )
        pairs = (line.split() for line in raw.splitlines() if line)
        ranks = {binascii.a2b_base64(token): int(rank) for token, rank in pairs}
        self.vocabulary = len(ranks)
        self._encoding = tiktoken.Encoding(
            "llama3", pat_str=_LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, texts: Sequence[str], special: bool = False) -> list[Ids]:
        """Ids; with ``special``, BOS (id 128000) comes first."""
        bos = [self.vocabulary] if special else []
        batch = self._encoding.encode_ordinary_batch(list(texts), num_threads=4)
        return [np.array(bos + ids, np.int64) for ids in batch]


class HuggingFace:
    """The tokenizer of a ``tokenizer.json``.

    Args:
        path: the file, or the folder it is in.

    Raises:
        UsageError: there is none, it cannot be read, or tokenizers is missing.
    """

    def __init__(self, path: Path) -> None:
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise UsageError(
                f"tokenizer {path} does not exist",
                "--tokenizer takes llama3, words, or a folder with a tokenizer.json.",
            )
        try:
            from tokenizers import Tokenizer as Fast
        except ImportError:
            raise UsageError("a tokenizer.json needs the package tokenizers", _INSTALL) from None
        try:
            self._tokenizer = Fast.from_file(str(file))
        except Exception as error:  # noqa: BLE001 (the package raises nothing narrower)
            raise UsageError(f"{file} is not a tokenizer: {error}") from None
        # A file may ask for windows of a model's length; figures are over whole sessions.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.name = str(path)
        self.vocabulary = int(self._tokenizer.get_vocab_size(with_added_tokens=False))

    def encode(self, texts: Sequence[str], special: bool = False) -> list[Ids]:
        """Ids; with ``special``, as its post-processor dresses a text."""
        batch = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=special)
        return [np.array(encoding.ids, np.int64) for encoding in batch]


def _llama3_file() -> Path | None:
    """Where the installed wheel keeps the vocabulary; None where it is not installed."""
    try:
        files = metadata.files("llama-models") or []
    except metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.as_posix() == _LLAMA3)
    return next((path for path in found if path.is_file()), None)


def open_tokenizer(name: str | None = None) -> Tokenizer:
    """A tokenizer by name.

    Args:
        name: ``llama3``, ``words`` or a folder with a ``tokenizer.json``; None takes Llama-3's
            where it is installed, else words.

    Raises:
        UsageError: there is none of that name, or a package is missing.
    """
    if name is None:
        here = _llama3_file() is not None and importlib.util.find_spec("tiktoken") is not None
        name = "llama3" if here else "words"
    if name == "words":
        return Words()
    return Llama3() if name == "llama3" else HuggingFace(Path(name).expanduser())
