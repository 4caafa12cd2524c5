"""Numbers as tables print them."""

from collections.abc import Mapping
from typing import Any

from eval.statistics import Interval

#: Stands where there is no value.
NONE = "–"


def number(value: float | None, places: int = 2, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for None."""
    if value is None:
        return NONE
    value = round(value, places) + 0.0  # no minus before a zero
    text = f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
    return text.replace("-", "−")


def interval(bounds: Interval | None, places: int = 2) -> str:
    """A pair of bounds in brackets."""
    if bounds is None:
        return NONE
    return f"[{number(bounds[0], places)}, {number(bounds[1], places)}]"


def p_value(p: float | None) -> str:
    """A p-value to three places."""
    return NONE if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def likelihood_rows(measured: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """Model, NLL a token and perplexity, of those models that were measured.

    Args:
        measured: ``validation`` of the metrics.json that ``magnet finetune`` writes.
        names: model there -> as it is printed.
    """
    return [
        [text, f"{measured[name]['nll']:.4f}", f"{measured[name]['perplexity']:.2f}"]
        for name, text in names.items()
        if name in measured
    ]
