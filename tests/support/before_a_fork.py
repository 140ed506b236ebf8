"""An ad server that is loaded, asks, and then makes its workers: `before_a_fork.py URL [control]`. Each worker asks
once, says that it sent, and ends.
"""

import os
import sys

from gateway.client import Client


def work(client, name: str) -> None:
    found = client.check(recipient="advertisers", identifiers=[{"type": "account", "value": name}])
    client.say(found.decision, "sent")
    client.close()


def main(url: str, *control: str) -> None:
    if control:
        Client.forked = lambda self: None
    client = Client(url, key="id.secret", timeout_ms=20_000)
    client.ready()
    client.say("of the parent", "sent")
    for name in ("one", "two"):
        if not (child := os.fork()):
            work(client, name)
            os._exit(0)
        os.waitpid(child, 0)
    work(client, "parent")


if __name__ == "__main__":
    main(*sys.argv[1:])
