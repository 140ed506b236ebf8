"""Several machines of one installation on one PostgreSQL."""

import shutil

from gateway.app import maintenance
from gateway.keys import epochs, secret_files
from gateway.postgres import address
from support import inside


def joined(folder, at, second):
    """The data folder of a machine that joins the first one's ledger, by another address of it."""
    second.mkdir(mode=0o700)
    for name in (secret_files.SECRETS, epochs.FILE):
        shutil.copy(folder / name, second / name)
    address.name_url(second, at)
    maintenance.join(second, inside.settings())
    return second
