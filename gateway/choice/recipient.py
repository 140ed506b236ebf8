"""Recipients: the configured receivers of personal data, as the verdict needs to know them."""

from dataclasses import dataclass, field
from datetime import date

from gateway.terms import DataClass, Purpose, Role


@dataclass(frozen=True, slots=True, eq=False)  # one object a configured recipient: compared by identity
class Recipient:
    """`contract` is a reference; empty means none, and then a third party gets nothing (L42, R28)."""

    name: str
    role: Role
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    contract: str = ""
    contract_until: date | None = None
    unlinked: str = "allow"
    fields: dict[str, DataClass] = field(default_factory=dict)
    mode: str = "return"
    endpoint: str = ""

    @property
    def third(self) -> bool:
        """An affiliate is a third party unless it is configured as the same brand, which is not built yet (R28)."""
        return self.role in {Role.THIRD_PARTY, Role.AFFILIATE, Role.CONSUMER_DIRECTED, Role.SUCCESSOR}

    def contracted(self, on: date) -> bool:
        return bool(self.contract) and (self.contract_until is None or on <= self.contract_until)
