"""The gateway before a site: what a visit said, and what the site and the browser are told."""
