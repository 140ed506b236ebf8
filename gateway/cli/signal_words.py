"""What the numbers of a decoded US section mean, in words for a person (signals.md 1.5)."""

from collections.abc import Mapping

OPT_OUT = {0: "not applicable", 1: "opted out", 2: "did not opt out", 3: "reserved"}
NOTICE = {0: "not applicable", 1: "notice given", 2: "notice not given", 3: "reserved"}
CONSENT = {0: "not applicable", 1: "no consent", 2: "consent", 3: "reserved"}
YES_NO = {0: "not applicable", 1: "yes", 2: "no", 3: "reserved"}
MODE = {0: "not applicable", 1: "opt-out option mode", 2: "service provider mode", 3: "reserved"}
# The first ending that fits.
ENDINGS: tuple[tuple[str, Mapping[int, str]], ...] = (
    ("Notice", NOTICE),
    ("OptOut", OPT_OUT),
    ("Consent", CONSENT),
    ("Consents", CONSENT),
    ("SensitiveDataProcessing", CONSENT),
    ("MspaMode", MODE),
    ("MspaCoveredTransaction", YES_NO),
    ("Mode", YES_NO),
)
SENSITIVE_IS_OPT_OUT = frozenset({"usca", "usut", "usia"})


def meaning(section: str, field: str, value: object) -> str:
    """` (opted out)` behind a number of a US section; empty for everything else."""
    if not section.startswith("us") or isinstance(value, bool):
        return ""
    words: Mapping[int, str] = next((words for ending, words in ENDINGS if field.endswith(ending)), {})
    if field == "SensitiveDataProcessing" and section in SENSITIVE_IS_OPT_OUT:
        words = OPT_OUT
    values = value if isinstance(value, list) else [value]
    found = [words[each] for each in values if isinstance(each, int) and each in words]
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""
