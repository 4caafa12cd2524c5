"""Sessions as training data: pairs, splits, near-duplicates, cards, export."""
