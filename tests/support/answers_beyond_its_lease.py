"""The gateway with one fault: what was proved once is answered from for ever, whatever lies beside the ledger.

python -m support.answers_beyond_its_lease serve --dev …
"""

from gateway.choice.standing import Vouching
from gateway.cli import main
from gateway.ledger.watch import LedgerWatch

Vouching.fresh = lambda _: True
Vouching.proof = LedgerWatch.proof = lambda _: 1.0
Vouching.stands = lambda *_: True
if __name__ == "__main__":
    main()
