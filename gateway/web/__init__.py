"""The doors: HTTP in, HTTP out. One file a caller; they do not import each other."""
