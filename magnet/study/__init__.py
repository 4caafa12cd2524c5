"""What a run does: its spec, made ready, estimated, and where its text comes from."""
