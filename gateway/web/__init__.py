"""The doors: HTTP in, HTTP out. One file a caller; `app/routes.py` and `app/service.py` mount them."""
