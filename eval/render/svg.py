"""Small charts as inline SVG: 360 units wide, so that their text is as large on a phone."""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 360, 120, 50, 26, 8


@dataclass(frozen=True)
class Mark:
    """A value, with its interval where it has one.

    Attributes:
        text: the value as it is printed, or shown on pointing.
        kind: 0 or 1: which of two series.
    """

    value: float
    text: str
    interval: tuple[float, float] | None = None
    kind: int = 0


#: A chart's rows: label and marks.
Rows = Sequence[tuple[str, Sequence[Mark]]]
_Draw = Callable[[Sequence[Mark], float, Callable[[float], float]], Iterator[str]]


def figure(title: str, svg: str, note: str = "", legend: Sequence[str] = ()) -> Markup:
    """A chart with its caption, a legend of its series and a note."""
    keys = "".join(
        f'<span class="key k{n}">{html.escape(name)}</span>' for n, name in enumerate(legend)
    )
    below = (f"<p>{keys}</p>" if keys else "") + (f"<p>{html.escape(note)}</p>" if note else "")
    caption = f"<figcaption>{html.escape(title)}</figcaption>"
    return Markup(f'<figure class="chart">{caption}{svg}{below}</figure>')


def dots(title: str, rows: Rows, low: float, high: float) -> str:
    """Values as dots with their intervals on an axis from low to high, cut where it ends."""
    return _chart(title, rows, low, high, _dots)


def bars(title: str, rows: Rows) -> str:
    """Values as bars from 0; the marks of a row stand end to end."""
    top = max((sum(m.value for m in marks) for _, marks in rows), default=0.0)
    return _chart(title, rows, 0.0, top or 1.0, _bars)


def heat(title: str, rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Shares from 0 to 1 as cells, one column an exchange."""
    columns = max((len(shares) for _, shares in rows), default=0) or 1
    width = min((_WIDTH - _LEFT - 8) / columns, 40)
    body = []
    for number, (label, shares) in enumerate(rows):
        y = _TOP + number * _ROW
        body.append(_text(_LEFT - 6, y + 17, label, "end"))
        for exchange, share in enumerate(shares):
            said = "not reached" if share is None else f"{100 * share:.0f}%"
            body.append(
                f'<rect class="cell" x="{_LEFT + exchange * width:.1f}" y="{y + 1}" '
                f'width="{width - 1:.1f}" height="{_ROW - 2}" fill-opacity="{share or 0:.2f}">'
                f"<title>{html.escape(f'{label}, exchange {exchange + 1}: {said}')}</title></rect>"
            )
    bottom = _TOP + len(rows) * _ROW
    for exchange in sorted(
        {1, *range(5, columns + 1, 5)} if columns > 8 else range(1, columns + 1)
    ):
        body.append(_text(_LEFT + (exchange - 0.5) * width, bottom + 15, str(exchange), "middle"))
    return _svg(title, bottom + 22, body)


def _chart(title: str, rows: Rows, low: float, high: float, draw: _Draw) -> str:
    bottom = _TOP + len(rows) * _ROW

    def x(value: float) -> float:
        within = min(max(value, low), high)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (within - low) / (high - low)

    body = []
    for tick in ticks(low, high):
        kind = "zero" if tick == 0 > low else "grid"
        line = f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}"'
        body += [f'{line} y2="{bottom}"/>', _text(x(tick), bottom + 15, compact(tick), "middle")]
    for number, (label, marks) in enumerate(rows):
        y = _TOP + (number + 0.5) * _ROW
        body.append(_text(_LEFT - 6, y + 4, label, "end"))
        if len(marks) < 2 or draw is _bars:
            body.append(_text(_WIDTH - 2, y + 4, marks[-1].text if marks else "–", "end"))
        body += draw(marks, y, x)
    return _svg(title, bottom + 22, body)


def _dots(marks: Sequence[Mark], y: float, x: Callable[[float], float]) -> Iterator[str]:
    for mark in marks:
        at = y + (4 * (2 * mark.kind - 1) if len(marks) > 1 else 0)
        place = f'cx="{x(mark.value):.1f}" cy="{at}" r="4"'
        if mark.interval:
            ends = f'x1="{x(mark.interval[0]):.1f}" x2="{x(mark.interval[1]):.1f}"'
            yield f'<line class="line k{mark.kind}" {ends} y1="{at}" y2="{at}"/>'
        tip = f"<title>{html.escape(mark.text)}</title>"
        yield f'<circle class="k{mark.kind}" {place}>{tip}</circle>'


def _bars(marks: Sequence[Mark], y: float, x: Callable[[float], float]) -> Iterator[str]:
    start = 0.0
    for mark in marks:
        width = x(start + mark.value) - x(start)
        yield (
            f'<rect class="k{mark.kind}" x="{x(start):.1f}" y="{y - 8}" width="{width:.1f}" '
            f'height="16"><title>{html.escape(mark.text)}</title></rect>'
        )
        start += mark.value


def _svg(title: str, height: float, body: Sequence[str]) -> str:
    label = html.escape(title, quote=True)
    size = f'viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{label}"'
    return f"<svg {size}>{''.join(body)}</svg>"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    short = text if len(text) <= 20 else f"{text[:19]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(short)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within an axis, three to six of them.

    >>> ticks(0, 6), ticks(-1.3, 1.1)
    ([0, 2, 4, 6], [-1, 0, 1])
    """
    rough = (high - low) / 4
    base = 10.0 ** math.floor(math.log10(rough))
    step = base * next(m for m in (1, 2, 5, 10) if m * base >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [_whole(number * step) for number in range(first, last + 1)]


def _whole(value: float) -> float:
    rounded = round(value, 10)
    return int(rounded) if rounded == int(rounded) else rounded


def compact(value: float) -> str:
    """A number in few letters.

    >>> [compact(v) for v in (0.5, 12, 1234, 5600000)]
    ['0.5', '12', '1.23k', '5.6M']
    """
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g}{letter}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def lines(title: str, series: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Up to two series of points (x, y) as lines: the first thin and pale, the second over it."""
    points = [point for one in series for point in one]
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    low, high = min(0.0, *(p[1] for p in points)), max(p[1] for p in points)
    right, high, start, bottom = max(right, left + 1), high or 1.0, 44, 180

    def at(x: float, y: float) -> tuple[float, float]:
        across = start + (_WIDTH - start - 8) * (x - left) / (right - left)
        return across, bottom - (bottom - _TOP) * (y - low) / (high - low)

    body = []
    for tick in ticks(low, high):
        y = at(left, tick)[1]
        place = f'x1="{start}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"'
        body += [f'<line class="grid" {place}/>', _text(start - 6, y + 4, compact(tick), "end")]
    for tick in ticks(left, right):
        body.append(_text(at(tick, low)[0], bottom + 15, compact(tick), "middle"))
    for kind, one in enumerate(series):
        path = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in one)
        body.append(f'<polyline class="line k{kind}" fill="none" points="{path}"/>')
    return _svg(title, bottom + 22, body)


def standalone(svg: str) -> str:
    """A chart of lines as a file of its own, with the colours that a page would give it."""
    style = (
        "<style>text{font:11px sans-serif;fill:#555}.grid{stroke:#ddd}"
        ".line.k0{stroke:#9bb;stroke-width:1}.line.k1{stroke:#046;stroke-width:2}</style>"
    )
    head, body = svg.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{body}\n'
