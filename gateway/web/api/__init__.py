"""Doors for callers: backends, ad servers, apps, replicas. app/routes.py mounts them."""
