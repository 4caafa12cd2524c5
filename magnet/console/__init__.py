"""The terminal: tables, progress, and how a command ends."""
