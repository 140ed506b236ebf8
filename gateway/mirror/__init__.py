"""The current answer as the verdict reads it: one interface, today a table, tomorrow a shared memory map."""
