"""The gateway with one fault: a commit whose wait for the standby was cancelled passes for one. The control of the
failovers.

python -m support.believes_every_commit serve --dev …
"""

from gateway.cli import main
from gateway.postgres.connection import PostgresConnection

PostgresConnection._noticed = lambda *_: None

if __name__ == "__main__":
    main()
