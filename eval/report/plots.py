"""The report's charts."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from markupsafe import Markup

from eval.render.numbers import number
from eval.render.svg import Mark, bars, compact, dots, figure, heat
from eval.report.evaluation import Evaluation
from eval.report.layouts import shift_measures, subscale_measures
from eval.report.methods import label
from eval.report.sessions import SessionFacts
from eval.scale import mean_of
from eval.statistics import mean_interval
from signatures import SCALES, Technique

_INTERVAL = "Mean and its 95% interval (t)."


def plots(evaluation: Evaluation) -> Iterator[Markup]:
    """All charts of a comparison, as HTML figures."""
    for judge in evaluation.judges:
        if judge:
            yield from _scales(evaluation, judge)
            yield from _shifts(evaluation, judge)
    yield from _techniques(evaluation)
    yield from _lengths(evaluation)
    yield from _costs(evaluation)


def _there(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mark(values: Sequence[float], kind: int = 0, name: str = "") -> list[Mark]:
    if not values:
        return []
    mean = fmean(values)
    text = f"{name}: {number(mean)}, n {len(values)}" if name else number(mean)
    return [Mark(mean, text, mean_interval(values), kind)]


def _by(evaluation: Evaluation, judge: str) -> str:
    return f" (judge {judge})" if len(evaluation.judges) > 1 else ""


def _scales(evaluation: Evaluation, judge: str) -> Iterator[Markup]:
    for name, measures in subscale_measures().items():
        scale = SCALES[name]
        for measure in measures:
            rows = [
                (
                    label(method),
                    _mark(_there(evaluation.column(judge, name, measure.name, method).values())),
                )
                for method in evaluation.methods
            ]
            title = f"{measure.label} by method{_by(evaluation, judge)}"
            yield figure(title, dots(title, rows, scale.low, scale.high), _INTERVAL)


def _shifts(evaluation: Evaluation, judge: str) -> Iterator[Markup]:
    measures = shift_measures()
    for positive, negative in zip(measures[::2], measures[1::2], strict=True):
        rows = []
        for method in evaluation.methods:
            marks: list[Mark] = []
            for kind, m in enumerate((positive, negative)):
                column = evaluation.column(judge, m.scale, m.name, method, m.attitude)
                marks += _mark(_there(column.values()), kind, f"{m.name} affect")
            rows.append((label(method), marks))
        reach = max(
            (
                abs(end)
                for _, marks in rows
                for m in marks
                for end in (m.value, *(m.interval or ()))
            ),
            default=0.0,
        )
        bound = min(max(reach * 1.05, 0.5), 4.0)
        title = f"PANAS shift, {positive.attitude} clients{_by(evaluation, judge)}"
        legend = ("positive affect", "negative affect")
        yield figure(title, dots(title, rows, -bound, bound), "After minus before.", legend)


def _techniques(evaluation: Evaluation) -> Iterator[Markup]:
    for method in evaluation.methods:
        cases = [c for c in evaluation.cases if c.method == method and any(c.techniques)]
        if not cases:
            continue
        title = f"Techniques by exchange, {label(method)}"
        exchanges = max(case.exchanges for case in cases)
        rows = [
            (
                technique.value,
                [_share(cases, technique.value, exchange) for exchange in range(exchanges)],
            )
            for technique in Technique
        ]
        note = "Share of sessions that use it there; stronger is more. Point at a cell to read it."
        yield figure(title, heat(title, rows), note)


def _share(cases: Sequence[SessionFacts], technique: str, exchange: int) -> float | None:
    return mean_of(
        [float(technique in c.techniques[exchange]) for c in cases if exchange < c.exchanges]
    )


def _lengths(evaluation: Evaluation) -> Iterator[Markup]:
    messages, words = [], []
    for method in evaluation.methods:
        cases = [case for case in evaluation.cases if case.method == method]
        mean = fmean(case.messages for case in cases)
        messages.append((label(method), [Mark(mean, f"{mean:.1f}")]))
        played = [case for case in cases if case.exchanges]
        said = [case.counselor_words / case.exchanges for case in played]
        heard = [case.client_words / case.exchanges for case in played]
        words.append((label(method), _mark(said, 0, "counselor") + _mark(heard, 1, "client")))
    title = "Messages a session"
    yield figure(title, bars(title, messages), "Greeting and opening included.")
    title = "Words a reply"
    top = max((m.interval or (0, m.value))[1] for _, marks in words for m in marks) if words else 0
    chart = dots(title, words, 0.0, max(top * 1.05, 1.0))
    yield figure(title, chart, _INTERVAL, ("counselor", "client"))


def _costs(evaluation: Evaluation) -> Iterator[Markup]:
    if not evaluation.usage:
        return
    rows, unknown = [], 0
    for role, usage in sorted(evaluation.usage.items()):
        unknown += usage.unknown
        money = " ".join(f"{amount:.2f} {name}" for name, amount in sorted(usage.money.items()))
        total = money or compact(usage.input_tokens + usage.output_tokens)
        asked = Mark(float(usage.input_tokens), f"{usage.input_tokens:,} input tokens")
        rows.append((role, [asked, Mark(float(usage.output_tokens), total, kind=1)]))
    title = "Tokens and cost by role"
    note = "Over all invocations of the run; failed and repeated calls included."
    if unknown:
        note += f" {unknown} answers came without token counts."
    yield figure(title, bars(title, rows), note, ("input tokens", "output tokens"))
