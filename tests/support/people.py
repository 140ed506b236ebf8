"""Made-up people, in reserved ranges only."""

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
IDFV = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
ZERO = "00000000-0000-0000-0000-000000000000"


def phone(number: int) -> str:
    """+1 415 555 0100 to 0199 are reserved for fiction."""
    return f"+1415555{100 + number % 100:04d}"


def email(number: int) -> str:
    return f"person{number}@example.com"


def gaid(number: int) -> str:
    return f"38400000-8cf0-11bd-b23e-{number:012x}"


def named(kind: str, value: str) -> dict[str, str]:
    return {"type": kind, "value": value}
