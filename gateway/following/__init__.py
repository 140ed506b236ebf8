"""A copy of the standings elsewhere: kept by the gateway's feed, answered from while a lease is held."""
