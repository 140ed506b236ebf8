"""The gateway on a machine whose wall clock is an hour ahead.

python -m support.wrong_clock serve --dev …
"""

from datetime import timedelta

from gateway.app import composition, service
from gateway.cli import main

honest = composition.now


def ahead():
    return honest() + timedelta(hours=1)


service.build.__kwdefaults__["clock"] = ahead
if __name__ == "__main__":
    main()
