"""What every door that answers checks does with an answer: count it, give it an id, announce the send where one is
asked for, and shape it (api.md). A dry run is the real answer, marked, and leaves nothing behind but its count (I23).
"""

from collections.abc import Callable
from typing import Any

from gateway.check import Ask, Checked
from gateway.consent import Consent
from gateway.credentials import ApiKey
from gateway.decisions import Stands
from gateway.disclosing import Disclosing
from gateway.web import asking, wire
from gateway.web.metrics import Metrics


class Answering:
    """One for all doors."""

    def __init__(self, consent: Consent, disclosing: Disclosing, metrics: Metrics) -> None:
        self.consent = consent
        self.metrics = metrics
        self._disclosing = disclosing

    async def answer(self, body: wire.Check, key: ApiKey) -> tuple[dict[str, Any], list[str]]:
        """The answer to one check, and what it names that is not configured. Raises `Problem`, and
        `StoreUnavailable` where an announced send cannot be put on record.
        """
        ask = asking.to_ask(body)
        checked, decisions = await self.decide(
            "check", ask, Stands.POSSIBLE, dry_run=body.dry_run, announced=body.will_send
        )
        warnings = asking.misconfigured(checked)
        if warnings:
            self.metrics.misconfigured.labels(key.name).inc()
        return asking.answer(body, checked, decisions, self.consent, key), warnings

    async def decide(
        self, door: str, ask: Ask, stands: Stands, *, dry_run: bool, announced: bool,
        blocked: Callable[[str, Checked], bool] | None = None,
    ) -> tuple[Checked, dict[str, str]]:  # fmt: skip
        """The verdicts, and the id of each by recipient. `stands`: as what an answer that lets something go is counted;
        `announced`: it is on record before this returns. Raises `StoreUnavailable`.
        """
        checked = self.consent.check(ask)
        if announced and not dry_run:
            checked, decisions = await self._disclosing.announce(ask, checked, blocked)
        else:
            decisions = self._disclosing.decide(ask, checked, Stands.NOTHING if dry_run else stands, blocked)
        self.metrics.heard(door, checked.heard)
        self.metrics.checked(checked, self.consent.recipients, dry_run=dry_run)
        return checked, decisions
