"""The report's folder and its page: escaping, the reader, in a real browser."""

import base64
import gzip
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import orjson
import pytest

from eval.report.page import PAGE, write_report
from eval.report.reader import for_script
from magnet.core.errors import UsageError
from tests import fake_run, running
from tests.browser import dom, needs_chromium
from tests.running import magnet

pytestmark = pytest.mark.processes

EVIL = (
    "<script>alert(1)</script></script><img src=x onerror=\"document.title='owned'\">&amp;\u2028'"
)
METHODS = ["magnet", "psych8k", "cactus"]


class Parsed(HTMLParser):
    """Scripts of a page by id, its elements, and the text outside scripts."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.tags, self.text, self._open = {}, [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._open = dict(attrs).get("id", "code")
            self.scripts[self._open] = ""

    def handle_endtag(self, tag):
        if tag == "script":
            self._open = None

    def handle_data(self, data):
        if self._open is None:
            self.text += data
        else:
            self.scripts[self._open] += data


def poison(run):
    """Puts markup into every place of the first session, and of its scores, that a model fills."""
    file = run / "sessions" / "session_0001.json"
    data = orjson.loads(file.read_bytes())
    data["cbt_plan"] = data["turns"][0]["reply"] = data["turns"][0]["client_reply"] = EVIL
    data["turns"][0]["technique_text"] = EVIL
    data["turns"][0]["candidates"]["reflection"] = EVIL
    data["example"]["AI_client"]["intake_form"] += EVIL
    data["provenance"]["models"]["client"] = EVIL
    file.write_bytes(orjson.dumps(data))
    provenance = orjson.loads((run / "provenance.json").read_bytes())
    provenance["study"]["name"] = provenance["models"]["client"]["model"] = EVIL
    (run / "provenance.json").write_bytes(orjson.dumps(provenance))
    scores = [
        replace(s, reason=EVIL, raw=EVIL, judge=s.judge if n % 2 else EVIL)
        for n, s in enumerate(fake_run.judge(run))
    ]
    fake_run.write(run, [*scores, *fake_run.judge(run)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.judged(tmp_path_factory.mktemp("runs") / "run", METHODS)


@pytest.fixture(scope="module")
def page(run):
    return write_report([run]) / PAGE


@pytest.fixture(scope="module")
def poisoned(run, tmp_path_factory):
    copy = tmp_path_factory.mktemp("poisoned") / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report"))
    poison(copy)
    return write_report([copy]) / PAGE


def session_of(parsed, key):
    number = json.loads(parsed.scripts["index"])["blocks"][key]
    return json.loads(gzip.decompress(base64.b64decode(json.loads(parsed.scripts[f"s{number}"]))))


def test_the_page_holds_tables_plots_and_every_session(page, run):
    parsed = Parsed(page.read_text(encoding="utf-8"))
    index = json.loads(parsed.scripts["index"])
    assert len(index["sessions"]) == 18
    assert "Table 3. Methods: CTRS, PANAS, WAI" in parsed.text
    assert "Table 9. Methods: CTRS, PANAS, WAI, mean and SD" in parsed.text
    assert "Table 2. Diversity" in parsed.text
    assert "never for clinical use" in parsed.text
    assert "Demonstration only" not in parsed.text
    assert sum(tag == "svg" for tag, _ in parsed.tags) >= 10
    saved = orjson.loads((run / "sessions" / "session_0001.json").read_bytes())
    shown = session_of(parsed, "session_0001")
    assert [t["reply"] for t in shown["exchanges"]] == [t["reply"] for t in saved["turns"]]
    assert {c[1] for c in shown["exchanges"][0]["candidates"]} == set(
        saved["turns"][0]["candidates"].values()
    )
    assert shown["plan"]["text"] == saved["cbt_plan"]
    assert len(shown["scores"]) == 6 + 12 + 20 + 20


def test_the_page_asks_nothing_of_a_network(page):
    text = page.read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert not [a for _, a in parsed.tags if "src" in a]
    assert {a["href"][0] for _, a in parsed.tags if "href" in a} == {"#"}
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert "innerHTML" not in text


def test_the_same_runs_make_the_same_page(page, run, tmp_path):
    assert (write_report([run], tmp_path / "again") / PAGE).read_bytes() == page.read_bytes()


def test_markup_from_models_stays_text(poisoned):
    parsed = Parsed(poisoned.read_text(encoding="utf-8"))
    assert not [tag for tag, _ in parsed.tags if tag == "img"]
    assert "alert" not in parsed.scripts["code"]
    shown = session_of(parsed, "session_0001")
    exchange = shown["exchanges"][0]
    assert exchange["reply"] == exchange["client"] == shown["plan"]["text"] == EVIL
    assert EVIL in [row[5] for row in shown["scores"]]
    for path in poisoned.parent.rglob("*.md"):
        assert not re.search(r"(?<!\\)<(script|img)", path.read_text(encoding="utf-8")), path


def test_json_in_a_script_cannot_end_it():
    text = for_script({"a": EVIL + "<!--<script>"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["a"] == EVIL + "<!--<script>"


def test_the_embedded_judge_is_called_a_demonstration_on_page_and_tables(run, tmp_path):
    folder = write_report([run], tmp_path, {"gpt-4o-mini": "smollm2-135m-instruct"})
    assert "Demonstration only" in Parsed((folder / PAGE).read_text()).text
    rated = [p for p in (folder / "tables").glob("*.md") if p.stem[:8] in ("table03-", "claims")]
    assert len(rated) == 3
    for path in rated:
        assert "Demonstration only" in path.read_text()


def test_an_unjudged_run_has_a_report(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report", "scores.jsonl"))
    (copy / "sessions" / "session_0002.json").unlink()
    parsed = Parsed((write_report([copy]) / PAGE).read_text(encoding="utf-8"))
    assert "17 finished, 1 unfinished" in parsed.text
    assert "No scores" in parsed.text
    assert session_of(parsed, "session_0001")["scores"] == []


def test_what_is_no_run_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(UsageError, match="not a run directory"):
        write_report([tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_where_the_page_is(run, tmp_path):
    done = magnet("report", run, "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "r" / PAGE) in done.stdout.replace("\n", "")
    done = magnet("report", tmp_path)
    assert done.returncode == 2
    assert "not a run directory" in done.stderr


def test_statistics_are_loaded_by_the_report_alone():
    code = (
        "import sys, magnet.cli, magnet.reproduce, eval.scale, eval.scores;"
        "print([m for m in ('scipy', 'statsmodels', 'pandas', 'krippendorff') if m in sys.modules])"
    )
    done = running.run(*running.command(code=code))
    assert done.stdout.strip() == "[]", done.stderr


@needs_chromium
def test_the_browser_lists_the_sessions(page):
    shown = dom(page, "sessions")
    assert 'data-ready="' in shown
    assert "18 of 18 sessions" in shown
    for number in range(1, 19):
        assert f'href="#session=session_{number:04d}"' in shown
    assert re.search(r'<section id="view-results" hidden', shown)


@needs_chromium
def test_the_browser_opens_a_session_by_its_address(page, run):
    saved = orjson.loads((run / "sessions" / "session_0001.json").read_bytes())
    shown = dom(page, "session=session_0001")
    reader = shown.split('<section id="view-session"')[1].split("</section>")[0]
    for exchange in saved["turns"]:
        assert exchange["reply"] in reader
        assert exchange["client_reply"] in reader
        assert all(text in reader for text in exchange["candidates"].values())
        assert all(f'<span class="chip">{t}</span>' in reader for t in exchange["techniques"])
    assert "Made up for strategy." in reader
    assert saved["cbt_plan"] in reader
    assert "There is no session nowhere" in dom(page, "session=nowhere")


@needs_chromium
def test_the_browser_sets_two_methods_side_by_side(page, run):
    shown = dom(page, "session=session_0001&with=session_0002")
    reader = shown.split('<section id="view-session"')[1].split("</section>")[0]
    for number in (1, 2):
        saved = orjson.loads((run / "sessions" / f"session_{number:04d}.json").read_bytes())
        assert all(exchange["reply"] in reader for exchange in saved["turns"])
    assert 'class="columns two"' in reader
    assert "MAGneT, Exchange 1" in reader
    assert "Psych8k, Exchange 1" in reader


@needs_chromium
def test_no_markup_of_a_model_runs_in_the_browser(poisoned):
    for fragment in ("", "plots", "sessions", "session=session_0001&with=session_0002"):
        shown = dom(poisoned, fragment)
        assert "<title>Counselling sessions: report</title>" in shown
        assert "<img" not in shown
        assert 'data-ready="' in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
