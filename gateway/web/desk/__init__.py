"""The pages of the desk, for whoever answers letters, calls and authorities."""
