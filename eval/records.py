"""Filled tables as records, for CSV: every number whole."""

from typing import Any

from eval.tables import Table


def records(table: Table) -> list[dict[str, Any]]:
    """A record a row; None where there is no number."""
    found = []
    for row in table.rows:
        d, m = row.difference, row.measure
        low, high = (d.interval if d else None) or (None, None)
        client_low, client_high = (d.cluster_interval if d else None) or (None, None)
        found.append(
            {
                "table": table.layout.number,
                "run": table.part,
                "judge": table.judge,
                "scale": m.scale,
                "measure": m.name,
                "attitude": m.attitude,
                "method": row.method,
                "mean": row.mean,
                "sd": row.sd,
                "n": row.n,
                "missing": row.missing,
                "reference": row.reference,
                "delta_percent": row.delta,
                "stars": row.stars,
                "pairs": d and d.n,
                "pairs_dropped": d and d.dropped,
                "clients": d and d.clients,
                "difference": d and d.mean,
                "difference_sd": d and d.sd,
                "dz": d and d.dz,
                "low": low,
                "high": high,
                "client_low": client_low,
                "client_high": client_high,
                "t": d and d.t,
                "p": d and d.p,
                "p_holm": row.p,
                "p_wilcoxon": d and d.p_wilcoxon,
                "p_client": d and d.p_cluster,
                "p_client_holm": row.p_cluster,
                "reason": "; ".join(d.reasons) if d else None,
            }
        )
    return found
