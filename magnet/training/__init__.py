"""From sessions to training examples, to a dataset folder, to a fine-tuned counselor."""
