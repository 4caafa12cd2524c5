"""What everything stands on: errors, files, text, randomness, seeds, sessions."""
