"""Setup one agent of the pipeline against a judge, everything else frozen."""
