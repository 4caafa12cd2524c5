"""What a study does, one stage a file, and what runs them."""
