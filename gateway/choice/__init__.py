"""What a choice means and what is allowed. Pure: no I/O, no clock; tables, keys and time come in as arguments."""
