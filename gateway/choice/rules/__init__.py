"""The rules of a verdict, a room for each kind; their order stands in `gateway.choice.verdict` and nowhere else."""
