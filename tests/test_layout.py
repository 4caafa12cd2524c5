import ast
import doctest
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import ROOT

#: The floors of the house, from the lowest: a module imports from its own floor and those below.
FLOORS = (
    "signatures",
    "magnet.core",
    "magnet.lm",
    "prompts_frozen",
    "programs",
    "magnet.console",
    "eval",
    "magnet.study",
    "magnet.dataset",
    "magnet.training",
    "magnet.stages",
    "optimize",
    "magnet",
)
PACKAGES = ("magnet", "signatures", "programs", "prompts_frozen", "optimize", "eval", "studies")
#: Python that is no part of the package.
BESIDE = ("tests", "benchmarks")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def floor_of(module: str) -> int:
    """The number of a module's floor; the longest name of a floor that it begins with decides."""
    fits = [name for name in FLOORS if module == name or module.startswith(f"{name}.")]
    return FLOORS.index(max(fits, key=len))


def imports(module: str) -> Iterator[str]:
    """Modules that a module imports, inside its functions too."""
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the arrows"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else str(node.module)


#: The package itself and its list of studies hold no code that stands on anything.
APART = {"magnet", "studies"}


@pytest.mark.parametrize("floor", FLOORS)
def test_arrows_between_the_floors_point_down(floor: str) -> None:
    upward = [
        f"{module} imports {name}"
        for module in FILES
        if module not in APART and FLOORS[floor_of(module)] == floor
        for name in imports(module)
        if name in FILES and name not in APART and floor_of(name) > floor_of(module)
    ]
    assert upward == []


def test_every_folder_has_a_floor() -> None:
    rooms = {name.rpartition(".")[0] or name for name in FILES}
    assert [
        room
        for room in rooms
        if room not in APART
        and not any(room == floor or room.startswith(f"{floor}.") for floor in FLOORS[:-1])
    ] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module in FILES and module not in done:
            for name in imports(module):
                visit(name, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())
    assert len(done) == len(FILES) > 20


def test_no_file_is_longer_than_a_reader_bears() -> None:
    files = [path for folder in (*PACKAGES, *BESIDE) for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert lengths.keys() >= {"tests/test_layout.py", "benchmarks/generation.py"}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


@pytest.mark.parametrize("module", [m for m, p in FILES.items() if ">>> " in p.read_text()])
def test_examples_in_docstrings_are_true(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert (failed, tried > 0) == (0, True)


#: Whose rooms the README names one by one.
HOUSES = ("magnet", "eval")


def inner(house: str) -> list[Path]:
    """The ``__init__`` of each package right inside another."""
    return sorted((ROOT / house).glob("*/__init__.py"))


def tree(text: str) -> Iterator[str]:
    """Paths of the README's file tree: the code block that has magnet/ in it."""
    blocks = re.findall(r"(?m)^```\w*\n([\s\S]*?)^```|((?:^(?: {4}|\t).*\n)+)", text)
    for block in (fenced or indented for fenced, indented in blocks):
        if not re.search(r"^\W*magnet/", block, re.MULTILINE):
            continue
        above: list[tuple[int, str]] = []
        for line in block.splitlines():
            if match := re.match(r"^([\s│├└─|`-]*)([\w.-][\w./-]*)(?:\s|$)", line):
                indent, name = len(match[1]), match[2]
                above = [(i, n) for i, n in above if i < indent]
                yield "/".join([n.rstrip("/") for _, n in above] + [name])
                above.append((indent, name))


def test_the_readmes_file_tree_is_there() -> None:
    named = list(tree((ROOT / "README.md").read_text(encoding="utf-8")))
    assert named, "the README shows no file tree"
    assert {line for line in named if not (ROOT / line).exists()} == set()
    rooms = {f"{house}/{path.parent.name}" for house in HOUSES for path in inner(house)}
    assert len(rooms) > len(HOUSES)
    assert rooms - {line.rstrip("/") for line in named} == set()


# Paths of somebody's machine, and what keys look like.
SECRETS = re.compile(
    r"(?<![\w.:/-])/(?:home|Users|root|work|mnt)/\w"
    r"|\bsk-[\w-]{16,}|\bhf_\w{20,}|\bghp_\w{20,}|\bAKIA[A-Z0-9]{16}\b|BEGIN [A-Z ]*PRIVATE KEY"
)


def test_tracked_files_hold_no_machine_path_and_no_key() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found += [f"{name}: {match[0]}" for match in SECRETS.finditer(text)]
    assert found == []


def test_the_check_for_keys_and_paths_can_fail() -> None:
    fake = ["/ho" + "me/me/x", "see /wo" + "rk/x", "sk" + "-" + "a" * 20, "hf" + "_" + "b" * 30]
    assert all(SECRETS.search(text) for text in fake)
    assert not SECRETS.search("https://example.org/home/page and a task-oriented homework/x")
