"""The gateway before a site: what a visit said, what the site and the browser are told. app/service.py mounts it."""
