"""What leaves the house over HTTP."""
