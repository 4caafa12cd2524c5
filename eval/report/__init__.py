"""The report of runs: tables, claims, plots, and a page to read the sessions in."""
