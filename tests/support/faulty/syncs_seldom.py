"""The gateway with one fault: synchronous=NORMAL, so that only a checkpoint syncs and no commit."""

from gateway.cli import main
from gateway.ledger import schema

schema.SETTINGS["synchronous"] = 1

if __name__ == "__main__":
    main()
