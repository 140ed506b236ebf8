"""What people and callers say becomes entries; what stands of somebody inside a transaction."""
