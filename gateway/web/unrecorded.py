"""Answers of a replica: it puts nothing on record, so its answers have no id, and a send cannot be announced to it."""
# ruff: noqa: ARG002 - it is called as `gateway.disclosing.Disclosing` is

from gateway.check import Ask, Checked
from gateway.decisions import Stands
from gateway.disclosing import Blocked
from gateway.ledger.writer import StoreUnavailable

NO_RECORD = "a replica puts no send on record: ask the gateway itself for will_send"


class Unrecorded:
    """In the place of `gateway.disclosing.Disclosing`."""

    def decide(
        self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None
    ) -> dict[str, str]:  # fmt: skip
        return dict.fromkeys(checked.verdicts, "")

    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str]]:  # fmt: skip
        raise StoreUnavailable(NO_RECORD)
