"""What a study does, one stage per file, and what runs them."""
