"""The log behind an interface of few calls, for engines that a data folder of SQLite is one of."""
