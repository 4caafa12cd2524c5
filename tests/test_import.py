"""The authors' prompts and seeds: from a checkout, a zip, a URL; refused where they differ."""

import functools
import hashlib
import http.server
import inspect
import re
import shutil
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from magnet.core.errors import UsageError
from magnet.core.seeds import import_seeds, load_seeds
from magnet.core.upstream import ARCHIVE
from prompts_frozen import authors, load_prompts
from signatures import AGENTS
from tests.running import ROOT, command, run

UPSTREAM = Path(__file__).resolve().parents[2] / "shared" / "upstream" / "arxiv2025-MAGneT"
needs_upstream = pytest.mark.skipif(not UPSTREAM.is_dir(), reason="needs the authors' repository")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGNET_DATA", str(tmp_path / "data"))
    load_prompts.cache_clear()
    yield tmp_path / "data"
    load_prompts.cache_clear()


@pytest.fixture
def zipped(tmp_path):
    path = tmp_path / "web" / "repository.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for file in UPSTREAM.rglob("*.txt"):
            archive.write(file, Path("arxiv2025-MAGneT-main") / file.relative_to(UPSTREAM))
    return path


@pytest.fixture
def web(tmp_path, zipped):
    """A web server with the zip, and the repository's files beside it."""
    shutil.copytree(UPSTREAM, zipped.parent / "raw")
    with serving(zipped.parent) as url:
        yield url


@contextmanager
def serving(folder):
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/cut.zip":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"PK")
        return None

    def log_message(self, *args):
        pass


@needs_upstream
@pytest.mark.parametrize("kind", ["folder", "zip", "url-zip", "url-files"])
def test_prompts_are_imported_from_any_source(kind, zipped, web):
    source = {
        "folder": str(UPSTREAM),
        "zip": str(zipped),
        "url-zip": f"{web}/repository.zip",
        "url-files": f"{web}/raw",
    }[kind]
    folder = authors.import_prompts(source)
    assert len(list(folder.rglob("*.txt"))) == len(authors.hashes()) == 40
    prompts = load_prompts("authors")
    assert set(prompts) == set(AGENTS)
    assert prompts["technique"].system is None
    assert prompts["planner"].system is not None


def test_without_the_import_the_error_says_how_to_get_them():
    with pytest.raises(UsageError, match=r"magnet prompts import$"):
        load_prompts("authors")
    with pytest.raises(UsageError, match=r"magnet seeds import$"):
        load_seeds("authors")


@needs_upstream
def test_a_changed_prompt_is_refused_and_nothing_installed(tmp_path, data):
    copy = tmp_path / "copy"
    shutil.copytree(UPSTREAM, copy)
    with (copy / "prompts" / "agent_cbt.txt").open("a") as file:
        file.write(" ")
    with pytest.raises(UsageError, match=r"prompts/agent_cbt\.txt has sha256"):
        authors.import_prompts(str(copy))
    assert not data.exists()


@needs_upstream
def test_a_prompt_changed_after_the_import_is_refused(data):
    folder = authors.import_prompts(str(UPSTREAM))
    (folder / "prompts" / "agent_client.txt").write_text("changed")
    with pytest.raises(UsageError, match="'client' differs from its lock"):
        load_prompts("authors")


@pytest.mark.parametrize("source", ["/nowhere", "empty", "http://127.0.0.1:9/x.zip", "no.zip"])
def test_a_source_that_will_not_do_is_one_clear_error(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.zip").write_text("not a zip")
    with pytest.raises(UsageError, match="import"):
        authors.import_prompts(source)


def test_seeds_of_another_hash_are_refused(tmp_path, data):
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(UsageError, match="a different file"):
        import_seeds(str(tmp_path / "data.json"))
    assert not data.exists()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with our seeds in the place of theirs."""
    ours = Path(load_seeds.__code__.co_filename).parent / "seeds.json"
    digest = hashlib.sha256(ours.read_bytes()).hexdigest()
    monkeypatch.setattr("magnet.core.seeds.AUTHORS_SHA256", digest[:8])
    folder = tmp_path / "web" / f"arxiv2025-magnet-{Path(ARCHIVE).stem}"
    (folder / "dataset").mkdir(parents=True)
    shutil.copy(ours, folder / "dataset" / "data.json")
    return folder


def test_seeds_are_installed_from_a_checkout(checkout):
    import_seeds(str(checkout))
    assert len(load_seeds("authors").seeds) == len(load_seeds("ours").seeds)


def test_seeds_are_installed_from_an_archive_as_github_packs_it(checkout):
    web = checkout.parent
    shutil.make_archive(str(web / "archive"), "zip", web, checkout.name)
    with serving(web) as url:
        import_seeds(f"{url}/archive.zip")
    assert len(load_seeds("authors").seeds) == len(load_seeds("ours").seeds)


def test_a_download_that_is_cut_is_one_clear_error(tmp_path):
    with serving(tmp_path) as url, pytest.raises(UsageError, match="import"):
        import_seeds(f"{url}/cut.zip")


@pytest.mark.parametrize("what", ["prompts", "seeds"])
def test_without_an_argument_or_a_network_the_error_says_what_to_do_by_hand(what, data):
    line = command(what, "import", module="magnet.cli")
    done = run(*line, https_proxy="http://127.0.0.1:9", MAGNET_DATA=str(data))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert ARCHIVE in done.stderr
    assert "Download it by hand" in done.stderr
    assert not data.exists()


def test_the_archive_is_pinned_to_a_commit_and_what_python_takes_too():
    assert re.fullmatch(r"https://github\.com/UKPLab/[\w-]+/archive/[0-9a-f]{40}\.zip", ARCHIVE)
    for function in (authors.import_prompts, import_seeds):
        assert inspect.signature(function).parameters["source"].default == ARCHIVE


def shipped() -> list[Path]:
    """Files that may hold text, of all that is packed or tracked."""
    folders = ("magnet", "signatures", "programs", "prompts_frozen", "studies", "eval", "optimize")
    found = [
        path
        for folder in (*folders, "docs", "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(found) > 200
    return [*found, ROOT / "README.md"]


def test_no_file_of_the_authors_ships() -> None:
    theirs = authors.hashes().values()
    assert [p for p in shipped() if hashlib.sha256(p.read_bytes()).hexdigest() in theirs] == []


@needs_upstream
def test_no_text_of_the_authors_ships() -> None:
    prompts = [(UPSTREAM / name).read_text(encoding="utf-8") for name in authors.hashes()]
    lines = {line.strip() for text in prompts for line in text.splitlines()}
    long = {line for line in lines if len(line) >= 60}
    assert len(long) > 100
    taken = {
        (str(path), line)
        for path in shipped()
        for text in [path.read_text(encoding="utf-8", errors="replace")]
        for line in long
        if line in text
    }
    assert taken == set()
