"""What was said. Readers are pure, never raise on hostile input, and answer `Malformed` instead."""
