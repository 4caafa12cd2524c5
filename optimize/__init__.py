"""Optimizes one agent of the pipeline against a judge, with everything else frozen."""
