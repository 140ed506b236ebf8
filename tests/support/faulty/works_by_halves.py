"""The gateway with one fault: of what a request lists some is left out, and the answer says nothing of it."""

import random
from dataclasses import replace

from gateway.cli import main
from gateway.desk.kept_request import KeptRequest

honest = KeptRequest.enter


def enter(self, tx):
    written = honest(replace(self, subjects=self.subjects[: random.randint(1, len(self.subjects))]), tx)
    return (written * len(self.subjects))[: len(self.subjects)]


KeptRequest.enter = enter

if __name__ == "__main__":
    main()
