"""What the gateway does for people and callers: opts out, opts in, checks, shares. The doors of web/ call it."""
