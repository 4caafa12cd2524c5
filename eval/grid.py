"""Rows of text as Markdown, LaTeX (booktabs) and HTML."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """A table of text. A row whose first cell is empty belongs to the group above it.

    Attributes:
        title: above it.
        columns: heads.
        rows: cells, as many as heads.
        notes: below it, one a line.
        words: how many of the first columns hold words; the others hold numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: int = 1

    @property
    def numbers(self) -> int:
        """How many columns hold numbers."""
        return len(self.columns) - self.words


def markdown(grid: Grid) -> str:
    """As a GitHub table under a heading."""
    head = [list(grid.columns), ["---"] * grid.words + ["---:"] * grid.numbers]
    cells = [*head, *([_md(cell) for cell in row] for row in grid.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    notes = [f"\n{_md(note)}" for note in grid.notes]
    return "\n".join([f"### {_md(grid.title)}", "", *lines, *notes]) + "\n"


def latex(grid: Grid, label: str) -> str:
    """As a table of booktabs rules; ``label`` is for references to it."""
    lines = []
    for number, row in enumerate(grid.rows):
        if number and row[0] and any(not other[0] for other in grid.rows):
            lines.append(r"\midrule")
        lines.append(" & ".join(map(_tex, row)) + r" \\")
    body = "\n".join(lines)
    notes = "".join(f"\n\\par\\footnotesize {_tex(note)}" for note in grid.notes)
    return (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{table*}\n\\centering\\small\n"
        f"\\caption{{{_tex(grid.title)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{{'l' * grid.words}{'r' * grid.numbers}}}\n\\toprule\n"
        f"{' & '.join(map(_tex, grid.columns))} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        f"\\end{{tabular}}{notes}\n\\end{{table*}}\n"
    )


def to_html(grid: Grid) -> str:
    """As a figure with a caption; all text escaped."""
    kinds = [' class="words"'] * grid.words + [""] * grid.numbers
    columns = "".join(
        f'<th scope="col"{kind}>{html.escape(column)}</th>'
        for kind, column in zip(kinds, grid.columns, strict=True)
    )
    rows = []
    for row in grid.rows:
        first, *others = (html.escape(cell) for cell in row)
        group = ' class="group"' if first else ""
        cells = "".join(
            f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], others, strict=True)
        )
        rows.append(f'<tr{group}><th scope="row" class="words">{first}</th>{cells}</tr>')
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in grid.notes)
    return (
        f"<figure><figcaption>{html.escape(grid.title)}</figcaption>"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{notes}</figure>\n"
    )


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
    "<": "$<$",
    ">": "$>$",
}


def _tex(text: str) -> str:
    escaped = "".join(_TEX.get(char, char) for char in re.sub(r"\s+", " ", text))
    return re.sub(r"\*+", lambda stars: f"$^{{{stars[0]}}}$", escaped)
