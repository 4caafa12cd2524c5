"""Rows of text as Markdown and LaTeX (booktabs); as HTML by ``parts.html``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

#: Between a mean and its standard deviation; LaTeX sets the latter below the former.
SPREAD = " ± "


@dataclass(frozen=True)
class Grid:
    """A table of text. A row whose first cell is empty belongs to the group above it.

    Attributes:
        title: above it.
        columns: heads.
        rows: cells, as many as heads.
        notes: below it, one a line.
        words: how many of the first columns hold words; the others hold numbers.
        groups: what stands over each column that holds numbers, "" for nothing; none where
            nothing stands over any.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: int = 1
    groups: Sequence[str] = ()

    @property
    def numbers(self) -> int:
        """How many columns hold numbers."""
        return len(self.columns) - self.words

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The groups with how many columns each is over."""
        return [(name, len(list(same))) for name, same in groupby(self.groups)]


def markdown(grid: Grid) -> str:
    """As a GitHub table under a heading; such a table has one row of heads."""
    over = [""] * grid.words + list(grid.groups or [""] * grid.numbers)
    heads = [f"{a} {b}".strip() for a, b in zip(over, grid.columns, strict=True)]
    head = [heads, ["---"] * grid.words + ["---:"] * grid.numbers]
    cells = [*head, *([_md(cell) for cell in row] for row in grid.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    notes = [f"\n{_md(note)}" for note in grid.notes]
    return "\n".join([f"### {_md(grid.title)}", "", *lines, *notes]) + "\n"


def latex(grid: Grid, label: str) -> str:
    """As a table of booktabs rules, no wider than the page; ``label`` is for references to it."""
    body = "\n".join(_tex_rows(grid))
    notes = "".join(f"\n\\par\\footnotesize {_tex(note)}" for note in grid.notes)
    columns = "l" * grid.words + "r" * grid.numbers
    many = grid.numbers > 10
    # LaTeX numbers its tables itself; the file's name keeps the paper's number
    caption = re.sub(r"^Table \d+\. ", "", grid.title)
    size, gap = ("\\footnotesize", "3pt") if many else ("\\small", "6pt")
    return (
        "% needs \\usepackage{booktabs,graphicx}\n"
        f"\\begin{{table*}}\n\\centering{size}\\setlength{{\\tabcolsep}}{{{gap}}}\n"
        f"\\caption{{{_tex(caption)}}}\n\\label{{tab:{label}}}\n"
        f"{_TEX_FIT}{{\\begin{{tabular}}{{{columns}}}\n\\toprule\n{_tex_groups(grid)}"
        f"{' & '.join(map(_tex, grid.columns))} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        f"\\end{{tabular}}}}{notes}\n\\end{{table*}}\n"
    )


#: Shrinks what is wider than the page, and nothing else.
_TEX_FIT = "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}"


def _tex_groups(grid: Grid) -> str:
    if not grid.groups:
        return ""
    heads, rules, at = ["&".join([""] * grid.words)], [], grid.words + 1
    for name, width in grid.spans:
        heads.append(f"\\multicolumn{{{width}}}{{c}}{{{_tex(name)}}}")
        if name:
            rules.append(f"\\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    return f"{' & '.join(heads)} \\\\\n{''.join(rules)}\n"


def _tex_rows(grid: Grid) -> Iterator[str]:
    grouped = any(not row[0] for row in grid.rows)
    for number, row in enumerate(grid.rows):
        if number and row[0] and grouped:
            yield r"\midrule"
        halves = [cell.partition(SPREAD) for cell in row]
        yield " & ".join(_tex(first) for first, _, _ in halves) + r" \\"
        if any(spread for _, spread, _ in halves):
            below = (f"\\scriptsize$\\pm${_tex(second)}" if s else "" for _, s, second in halves)
            yield " & ".join(below) + r" \\"


def _md(text: str) -> str:
    flat = re.sub(r"\s+", " ", text).replace("](", "]\\(")
    return re.sub(r"([\\`*|]|<(?=[A-Za-z/!?]))", r"\\\1", flat)


_TEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "≈": r"$\approx$",
    "α": r"$\alpha$",
    "<": "$<$",
    ">": "$>$",
}


def _tex(text: str) -> str:
    escaped = "".join(_TEX.get(char, char) for char in re.sub(r"\s+", " ", text))
    return re.sub(r"\*+", lambda stars: f"$^{{{stars[0]}}}$", escaped)
