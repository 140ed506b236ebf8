"""The command `gateway`. One file a subcommand; its help is the manual.

Exit codes: 0 yes, 1 no, 2 usage, 3 the installation cannot be used as it is.
"""

from gateway.cli.root import main

__all__ = ["main"]
