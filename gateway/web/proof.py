"""Proof of control in a call: who may see and open what is a person's own. This version verifies the development proof
alone; whoever has scope desk vouches for the person instead.
"""

from gateway.credentials import ApiKey
from gateway.web.problem import Problem

DEV = ({"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"})


def prove(stated: object, *, dev: bool) -> None:
    """Raises `Problem` where nothing was proved."""
    if not (dev and stated in DEV):
        raise Problem("proof_required", "no proof of control that can be verified", "/proof")


def prove_or_desk(stated: object, key: ApiKey, *, dev: bool) -> None:
    """The desk has looked at who asks; everybody else proves it in the call."""
    if not key.may("desk"):
        prove(stated, dev=dev)
