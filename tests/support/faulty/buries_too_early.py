"""The gateway with one fault: an epoch dies before the keys that records name are wrapped anew. Its weeks are short."""

from gateway.cli import main
from gateway.keys.person_keys import Vault
from support import short_epochs

if __name__ == "__main__":
    short_epochs.shorten()
    Vault.rewrap_some = lambda *_: (0, True)
    main()
