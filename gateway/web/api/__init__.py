"""Doors for callers: backends, ad servers, apps, replicas. app/service.py mounts them."""
