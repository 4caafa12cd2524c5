"""Files of the authors' repository, from wherever the user has it."""

import http.client
import io
import os
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from magnet.core.errors import UsageError

#: The authors' repository as a zip. Pinned to a commit, so that an import means the same tomorrow;
#: each file is still checked by its sha256.
ARCHIVE = (
    "https://github.com/UKPLab/arxiv2025-magnet/archive/"
    "1382cf84c70a809d8833f0d0280eee40b6bdb9ae.zip"
)
_LIMIT = 500_000_000  # bytes of a download


def data_folder() -> Path:
    """Where imports go: the user's data folder, or MAGNET_DATA where it is set."""
    return Path(os.environ.get("MAGNET_DATA") or platformdirs.user_data_dir("magnet", False))


def read_source(source: str, wanted: Iterable[str]) -> dict[str, bytes]:
    """Files of a repository by path, from a checkout, a zip of it or a URL of either.

    A zip may hold the repository in a top folder, as GitHub's do; a GitHub page's URL
    means the zip of its main branch.

    Args:
        source: path or URL.
        wanted: paths inside the repository; those that are missing are left out.

    Raises:
        UsageError: it cannot be read.
    """
    if source.startswith(("http://", "https://")):
        return _from_url(source.rstrip("/"), list(wanted))
    path = Path(source).expanduser()
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in wanted if (path / name).is_file()}
    if path.is_file():
        return _from_zip(path.read_bytes(), str(path), wanted)
    raise UsageError(
        f"import: {source} does not exist",
        "Give a checkout of the authors' repository, a zip of it, or the URL of a zip.",
    )


def _from_zip(data: bytes, where: str, wanted: Iterable[str]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            found = {}
            for path in wanted:
                inside = [n for n in names if n == path or n.endswith(f"/{path}")]
                if inside:
                    found[path] = archive.read(min(inside, key=len))
            return found
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise UsageError(f"import: {where} is not a zip file: {error}") from None


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read(_LIMIT))
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        why = error.reason if type(error) is urllib.error.URLError else error
        raise UsageError(
            f"import: cannot download {url}: {why}",
            "Download it by hand, on another machine if this one has no network, and run the same "
            "command with the file's path.",
        ) from None


def _from_url(url: str, wanted: list[str]) -> dict[str, bytes]:
    parts = urllib.parse.urlsplit(url)
    if parts.hostname == "github.com" and len(parts.path.strip("/").split("/")) == 2:
        url = f"{url.removesuffix('.git')}/archive/refs/heads/main.zip"
    if url.endswith(".zip"):
        return _from_zip(_get(url), url, wanted)
    found = {}
    for path in wanted:
        found[path] = _get(f"{url}/{urllib.parse.quote(path)}")
    return found
