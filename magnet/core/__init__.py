"""What everything builds on: errors, files, text, randomness, seeds, sessions."""
