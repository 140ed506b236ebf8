"""The desk's own file: who sits at it, and what they looked at. Beside the ledger, never in it."""
