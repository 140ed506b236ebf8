"""Around the ledger: what left and who is told of it, documents, evidence, histories, what somebody may be shown."""
