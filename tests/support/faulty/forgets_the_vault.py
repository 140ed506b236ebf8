"""The gateway with one fault: the vault does not sync its commits, so an entry may outlive its person's key."""

from gateway.cli import main
from gateway.keys.person_keys import Vault

honest = Vault.__init__


def open_(self, *arguments):
    honest(self, *arguments)
    self._db.execute("PRAGMA synchronous=OFF")


Vault.__init__ = open_

if __name__ == "__main__":
    main()
