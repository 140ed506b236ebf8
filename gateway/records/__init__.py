"""Records, requests and yearly counts as others read them: rendered from the ledger, nothing is stored."""
