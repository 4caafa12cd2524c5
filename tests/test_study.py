import tomllib
from pathlib import Path

import pytest

from magnet.core.errors import UsageError
from magnet.study.prepare import prepare
from magnet.study.provenance import study_toml
from magnet.study.spec import load_study, presets
from signatures import ROLES
from tests.fake_server import FakeServer
from tests.running import command, run


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_prints_itself(name: str, tmp_path: Path) -> None:
    study = load_study(name)
    assert study.name == name
    again = load_study(write(tmp_path, study_toml(study)))
    assert again == study


def test_the_demo_needs_no_server_and_no_key() -> None:
    study = load_study("demo")
    assert prepare("demo", []).embedded
    assert all(study.spec(role).key_env is None for role in ROLES)


def test_a_study_is_named_after_its_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert load_study(write(tmp_path, "seed = 1")).name == "mine"
    assert load_study(write(tmp_path, 'name = "other"')).name == "other"


def test_settings_override_the_file_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, "exchanges = 3\n[lm.default]\ntemperature = 0.1")
    settings = ["exchanges=4", "lm.default.temperature=0.2", "lm.client.temperature = 0.3"]
    study = load_study(path, [*settings, "exchanges=5"])
    assert study.exchanges == 5
    assert study.spec("response").temperature == 0.2
    assert study.spec("client").temperature == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exchange = 3", "unknown key 'exchange'; did you mean 'exchanges'"),
        ("[lm.cleint]\nmodel = 'x'", r"unknown key 'lm\.cleint'; did you mean 'client'"),
        ("[lm.client]\ntemprature = 1", r"'lm\.client\.temprature'; did you mean 'temperature'"),
        ("[lm.default.price]\ninptu = 1", r"'lm\.default\.price\.inptu'; did you mean 'input'"),
        ("[budget]\ncall = 1", r"unknown key 'budget\.call'; did you mean 'calls'"),
        ("zzz = 1", "unknown key 'zzz'; known: .*exchanges"),
        ("lm = 3", "lm is a table, not 3"),
        ("budget = 'x'", "budget is a table"),
        ("[lm]\nclient = 'x'", r"lm\.client is a table"),
        ("exchanges = 0", "exchanges: .*greater than 0"),
        ("exchanges = 'many'", "exchanges: .*integer"),
        ("sessions = -1", "sessions: "),
        ("seed = 1.5", "seed: "),
        ("name = 'a b'", "name: "),
        ("name = '../x'", "name: "),
        ("methods = []", "methods: "),
        ("methods = ['magnt']", "methods: unknown method 'magnt'; did you mean 'magnet'"),
        ("methods = ['magnet', 'magnet']", "methods: a method is named twice"),
        ("stages = ['cook']", r"stages.*: "),
        ("[budget]\ncalls = -1", r"budget\.calls: "),
        ("[lm.default]\ntemperature = 3", r"lm\.default\.temperature: .*less than or equal to 2"),
        ("[lm.client]\nmax_tokens = -1", r"lm\.client\.max_tokens: "),
        ("[lm.client]\nwire = 'telex'", r"lm\.client\.wire: .*'chat' or 'completions'"),
        ("[lm.default]\nurl = 'localhost:8000'", r"lm\.default\.url: .*http://"),
        ("[lm.default.price]\ninput = 1", r"lm\.default\.price\.output: "),
        ("exchanges =\n\nseed = 1", "is not TOML: .*line 1"),
        ("a = 1\na = 2", "is not TOML: "),
    ],
)
def test_a_wrong_study_is_refused_by_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_study(write(tmp_path, text))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("exchanges", "'exchanges' is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("exchange=3", "unknown key 'exchange'; did you mean 'exchanges'"),
        ("exchanges=many", "--set exchanges: 'many' is not a TOML value"),
        ("exchanges='many'", "exchanges: .*integer"),
        ("exchanges=", "is not a TOML value"),
        ("exchanges.deep=1", "--set exchanges.deep: exchanges is not a table"),
        ("lm=1", "lm is a table"),
        ("lm.default=1", "lm.default is a table"),
        ("lm.defalt.model='x'", "'lm.defalt'; did you mean 'default'"),
        ("budget.calls=1.5", "budget.calls: "),
        ("methods='magnet'", "methods: .*list"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_study("demo", [setting])


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read nowhere(.|\n)*demo"):
        load_study("nowhere")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        load_study(str(tmp_path / "binary.toml"))
    with pytest.raises(UsageError, match="cannot read"):
        load_study(str(tmp_path))


def test_more_sessions_than_seeds_are_refused_with_the_number_there_is() -> None:
    with pytest.raises(UsageError, match=r"sessions is 13, but ours has 12(.|\n)*sessions=12"):
        prepare("demo", ["sessions=13"])
    assert len(prepare("demo", ["sessions=12"]).seeds) == 12


# Where and how fast a run goes may change while it goes on; what comes out may not.
SAME = ["name='x'", "workers=3", "budget.calls=9", "lm.default.url='http://b.example'"]
SAME += ["lm.default.timeout=5", "lm.default.key_env='K'", "lm.judge.temperature=1"]
OTHER = ["seed=8", "exchanges=3", "sessions=2", "lm.default.temperature=0.4"]
OTHER += ["lm.client.model='m'", "lm.default.extra={top_k=1}", "lm.planner.max_tokens=9"]


@pytest.mark.parametrize("setting", SAME)
def test_a_run_may_go_on_elsewhere_and_faster(setting: str) -> None:
    assert prepare("demo", [setting]).identity == prepare("demo", []).identity


@pytest.mark.parametrize("setting", OTHER)
def test_what_decides_the_text_decides_the_run_directory(setting: str) -> None:
    assert prepare("demo", [setting]).identity != prepare("demo", []).identity


@pytest.mark.processes
def test_the_printed_study_runs_again_into_the_same_directory(
    server: FakeServer, tmp_path: Path
) -> None:
    settings = [f"lm.default.url='{server.url}'", "sessions=1", "exchanges=1", "seed=3"]
    settings += ["stages=['generate']"]
    options = [part for setting in settings for part in ("--set", setting)]
    printed = run(*command("demo", *options, "--print"), cwd=tmp_path)
    assert tomllib.loads(printed.stdout)["seed"] == 3
    assert server.count == 0
    write(tmp_path, printed.stdout)
    first = run(*command("demo", *options), cwd=tmp_path)
    asked = server.count
    second = run(*command("mine.toml"), cwd=tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("demo-")
    assert server.count == asked == 9  # the second run found all sessions finished
    assert (folder / "study.toml").read_text() == printed.stdout
