"""An installation's databases are brought from one engine to the other, while its service writes."""
