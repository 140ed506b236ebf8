"""The gateway with one fault: its look-up answers from a copy that was looked at a few times before. The control of the
test of linearizability.

python -m support.answers_from_a_copy serve --dev …
"""

from gateway.cli import main
from gateway.state.lookup import StateLookup

LOOKS = 15  # at one copy; not a time, for the operations of a slow machine are further apart

honest = StateLookup.seen
copies = {}


def lagging(self, keys, **more):
    looks, seen = copies.get(tuple(keys), (LOOKS, None))
    if looks == LOOKS:
        looks, seen = 0, honest(self, keys, **more)
    copies[tuple(keys)] = looks + 1, seen
    return seen


StateLookup.seen = lagging

if __name__ == "__main__":
    main()
