"""The docs name what there is: commands, their options, and the keys of a study."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from magnet.cli import app
from magnet.lm.spec import LMSpec
from magnet.study.optimize import OptimizeSpec
from magnet.study.spec import Study
from signatures import ROLES
from tests.running import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: ``python -m MODULE`` -> its function.
MODULES = {"magnet.reproduce": "reproduce", "optimize.selector": "selector"}


def command_of(module: str) -> Any:
    alone = typer.Typer()
    alone.command()(getattr(importlib.import_module(module), MODULES[module]))
    return typer.main.get_command(alone)


def find(words: list[str]) -> tuple[Any, str]:
    """The command that a line calls, and what it is called in a message."""
    if words[:2] == ["python", "-m"]:
        name = words[2]
        return (command_of(name) if name in MODULES else None), name
    command: Any = typer.main.get_command(app)
    name = "magnet"
    for word in words[1:]:
        if not hasattr(command, "commands"):
            break
        command, name = command.commands.get(word), f"{name} {word}"
    return command, name


def lines() -> Iterator[tuple[str, str]]:
    """Command lines in the pages' code blocks, without their comments."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            plain = re.sub(r"\s+#.*", "", line)
            if re.match(r"    (?:magnet |python -m (?:magnet|optimize)\.)", plain):
                yield page.name, plain.strip()


LINES = list(lines())


def test_there_are_commands_to_check() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{p}: {t}" for p, t in LINES])
def test_a_command_in_the_docs_exists_with_its_options(page: str, line: str) -> None:
    command, name = find(line.split())
    assert command is not None, f"{page} names {name!r}, which does not exist"
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = set(re.findall(r"(?<!\S)--[a-z-]+", line)) - known
    assert not unknown, f"{page}: {name} has no {unknown}"


def keys(page: str) -> set[str]:
    """The keys in the first column of a page's tables."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    return {name.partition(".")[0] for name in names if not name.startswith(".")}


def test_the_docs_name_every_key_of_a_study_and_no_other() -> None:
    named = keys("studies.md")
    tables = {"lm"}  # described in words
    assert named == set(Study.model_fields) - tables | set(LMSpec.model_fields)


def test_the_docs_name_every_key_of_a_tuning() -> None:
    assert set(OptimizeSpec.model_fields) <= keys("optimize.md")


def test_the_docs_name_every_role() -> None:
    text = " ".join((ROOT / "docs" / "studies.md").read_text(encoding="utf-8").split())
    listed = re.search(r"for one of (.*?) \(", text)
    assert listed is not None
    assert set(re.split(r",\s*", listed[1])) == set(ROLES)


def test_every_page_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [p.stem for p in PAGES[1:] if p.stem not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_the_pages_hold(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


IMPORT = re.compile(r"^ *from ([\w.]+) import ([\w, ]+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "module", "name"),
    [
        (page.name, module, name.strip())
        for page in PAGES
        for module, names in IMPORT.findall(page.read_text(encoding="utf-8"))
        for name in names.split(",")
    ],
)
def test_what_the_docs_import_is_there(page: str, module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name), f"{page}: from {module} import {name}"
