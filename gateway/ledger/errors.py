"""What the ledger says when it cannot be used or cannot keep something; every room above it catches these."""

from gateway.terms import Unusable


class StoreUnavailable(Unusable):
    """Nothing was kept, or nothing that may be answered for. Ask again with the same Idempotency-Key."""


class NothingKept(StoreUnavailable):
    """The batch is not in the ledger, or not so that it may be answered for: what tightens can be kept elsewhere under
    the same request id, and is entered once whichever it was.
    """


class StateUnread(NothingKept):
    """What stood when a transaction began cannot be read. The log has all of it: the job is done once more by that."""


class EntryUnread(NothingKept):
    """What an entry says cannot be read, so that nobody knows what stands near those whom it is about."""


class LedgerRefused(Unusable):
    """The file must not be used as it is. The text carries what is wrong and the command that helps."""
