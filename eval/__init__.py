"""Evaluation: one metric or scale a file; statistics, tables, report."""
