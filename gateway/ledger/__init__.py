"""What happened, for ever: entries, the standing they make, and the disclosures they allowed."""
