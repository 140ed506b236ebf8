"""What leaves the gateway over HTTP or by mail. consent/ and app/ call it."""
