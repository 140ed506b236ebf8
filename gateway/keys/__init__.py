"""Each person's key: what can be forgotten."""
