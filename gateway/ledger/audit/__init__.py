"""The ledger looked at as a stranger would: read through, compared, copied, witnessed."""
