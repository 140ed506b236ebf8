"""What a GPP string says of precise geolocation: the one sensitive item that the gateway knows as a data class."""

from gateway.signals.gpp.layouts import BY_NAME
from gateway.signals.reading import Reading

REFUSED = 1  # "opted out" in CA, UT and IA, "no consent" elsewhere


def precise_refused(reading: Reading) -> bool:
    """Whether a section refuses precise geolocation, applicable or not: it can only tighten. Not said is not refused
    here: without an opt-in a precise point does not go anyway (R7).
    """
    for name, fields in reading.sections.items():
        section = BY_NAME.get(name)
        if section is None or section.precise is None:
            continue
        items = fields.get("SensitiveDataProcessing")
        if isinstance(items, list) and len(items) > section.precise and items[section.precise] == REFUSED:
            return True
    return False
