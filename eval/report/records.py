"""Filled tables as records, for CSV: numbers unrounded."""

from typing import Any

from eval.report.tables import Cell, Margin, Table


def records(table: Table) -> list[dict[str, Any]]:
    """One record per cell; None where there is no number."""
    margins = {margin.measure: margin for margin in table.margins}
    return [_record(table, cell, margins[cell.measure]) for cell in table.cells]


def _record(table: Table, cell: Cell, margin: Margin) -> dict[str, Any]:
    layout, measure, test = table.layout, cell.measure, cell.test
    low, high = (test.interval if test else None) or (None, None)
    client_low, client_high = (test.cluster_interval if test else None) or (None, None)
    main = cell.method == layout.main
    return {
        "table": layout.number,
        "table_with_sd": layout.spread,
        "name": layout.name,
        "run": table.run,
        "judge": table.judge,
        "scale": measure.scale,
        "measure": measure.name,
        "attitude": measure.attitude,
        "method": cell.method,
        "mean": cell.mean,
        "sd": cell.sd,
        "n": cell.n,
        "missing": cell.missing,
        "mark": cell.mark,
        "delta_percent": margin.percent if main else None,
        "delta_over": margin.over if main else None,
        "delta_near_zero": margin.near_zero if main else None,
        "against": None if main else layout.main,
        "pairs": test and test.n,
        "pairs_dropped": test and test.dropped,
        "clients": test and test.clients,
        "difference": test and test.mean,
        "difference_sd": test and test.sd,
        "dz": test and test.dz,
        "low": low,
        "high": high,
        "client_low": client_low,
        "client_high": client_high,
        "t": test and test.t,
        "p": test and test.p,
        "p_holm": cell.p_holm,
        "p_wilcoxon": test and test.p_wilcoxon,
        "p_client": test and test.p_cluster,
        "p_client_holm": cell.p_client_holm,
        "reason": "; ".join(test.reasons) if test else None,
    }
