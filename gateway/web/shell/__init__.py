"""What every door stands in: edge, problems, wire forms, keys, cookies, queue, metrics. The doors and app/ call it."""
