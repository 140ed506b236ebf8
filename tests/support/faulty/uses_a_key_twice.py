"""The gateway with one fault: a key is handed out, and stays in the pool for the next record."""

from gateway.cli import main
from gateway.keys.person_keys import Vault


def new_person(self):
    if not self._pool:
        self._fill()
    return self._pool[0]


if __name__ == "__main__":
    Vault.new_person = new_person
    main()
