"""What was said, for ever: the log of entries, what proves it, and whoever writes and looks at it."""
