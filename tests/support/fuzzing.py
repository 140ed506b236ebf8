"""What strangers' bytes may never do to a reader: the targets, the one rule, and strings of our own to begin with.

The same targets are run by a seeded mutator in every test run, and by coverage-guided fuzzing in the soak.
"""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

from gateway.desk.office import mailbox
from gateway.signals import adchoices, additional_consent, cmp_cookies, gpp, hear, tcf, usprivacy
from gateway.signals.hear import Hearing
from gateway.signals.heard import KeptFor
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Source, Stated
from support.adchoices import write_adchoices
from support.signals import INDUSTRY
from support.strings import STRANGE, damaged, eu_fields, gpp_string, us_privacy_fields

LIMIT = 0.05  # seconds of processor time for one input
MEMBERS = sorted(hear.KNOWN)
HEARING = Hearing(industry=INDUSTRY)
TOOL_STATES = {f"{Source.CMP_COOKIE}:{tool}:{word}" for tool in cmp_cookies.CATEGORIES for word in ("ads", "sale")}
STATES = {Source.TCF, Source.GPP, Source.ADDITIONAL_CONSENT, Source.DEVICE, *TOOL_STATES}


class Broken(AssertionError):
    """The rule was broken."""


# --- the rule ------------------------------------------------------------------------------------------------------


def keep(kept, why):
    if not kept:
        raise Broken(why)


def of_reading(reading):
    keep(set(reading.choices) == set(SIGNAL_PURPOSES), "a purpose is not answered")
    keep(reading.ok or Stated.ALLOWED not in reading.choices.values(), "allowed with an error")
    keep(len(reading.error) < 20, "an error that is no code")
    json.dumps(reading.as_json())


def of_heard(heard):
    """What is heard together has no allow to give: only the end of a state that nothing else still holds."""
    keep(heard.denied <= set(CHOOSABLE), "a purpose that nobody can choose")
    held = {said.source for said in heard.said if said.kept is not KeptFor.MOMENT}
    keep(not heard.ended & held, "a state ends that is held")
    keep(heard.ended <= STATES, "what is no state ends")
    keep({said.source for said in heard.said if said.kept is KeptFor.STATE} <= STATES, "a state that nothing can end")
    keep(all(len(each.reason) < 20 for each in heard.malformed), "a reason that is no code")


# --- the targets ---------------------------------------------------------------------------------------------------


def text_of(raw: bytes):
    return raw.decode("utf-8", "surrogateescape")


def read_gpp(raw):
    for section_ids in (None, [7, -1]):
        of_reading(gpp.read_gpp_string(text_of(raw), section_ids))


def read_cookie_header(raw):
    of_heard(hear.from_web([(b"cookie", raw)], HEARING))


def read_query(raw):
    of_heard(hear.from_web([], HEARING, raw))


def signals_of(raw):
    """`member=value` a line; a value that is JSON is what it says, any other is text."""
    signals = {}
    for line in text_of(raw).splitlines():
        name, _, value = line.partition("=")
        signals[name] = value
        with suppress(ValueError, RecursionError):
            signals[name] = json.loads(value)
    return signals


def read_call(raw):
    heard = hear.from_call(signals_of(raw), HEARING)
    of_heard(heard)
    keep(not heard.malformed or set(SIGNAL_PURPOSES) <= heard.denied, "a call that cannot be read is not denied")


def read_mail(raw):
    """What is read of a mail is what a page can hold."""
    message, now = mailbox.parsed(raw), datetime(2026, 12, 1, tzinfo=UTC)
    found = mailbox.read_mail(message)
    json.dumps([found.sender, found.address, found.subject, found.text, *found.parts], ensure_ascii=False).encode()
    keep(mailbox.came_on(message, now) <= now, "came on a day to come")
    mailbox.as_written(message, raw, now)


def of_text(read):
    return lambda raw: of_reading(read(text_of(raw)))


def allows_on_error(text):
    """The planted fault: a reader that takes what it cannot read for a yes."""
    reading = gpp.read_gpp_string(text)
    if reading.error == "reserved":
        object.__setattr__(reading, "choices", dict.fromkeys(SIGNAL_PURPOSES, Stated.ALLOWED))
    return reading


TARGETS = {
    "gpp": read_gpp,
    "tcf": of_text(tcf.read_eu),
    "additional_consent": of_text(additional_consent.read_additional_consent),
    "us_privacy": of_text(usprivacy.read_usprivacy),
    "adchoices": of_text(adchoices.read_adchoices),
    "cookie_header": read_cookie_header,
    "query": read_query,
    "call": read_call,
    "mail": read_mail,
}
PLANTED = {"allows_on_error": of_text(allows_on_error)}


def run(name: str, raw: bytes, limit: float = LIMIT):
    """One input to one target. Raises `Broken`, or whatever the target raises; slow only where it is slow twice."""
    target = (TARGETS | PLANTED)[name]
    for _ in range(2):
        start = time.process_time()
        target(raw)
        if time.process_time() - start < limit:
            return
    raise Broken(f"over {limit} s")


# --- where to begin ------------------------------------------------------------------------------------------------


def _consent_string(random):
    return tcf.write_eu(eu_fields(random))


def _additional_consent(random):
    ids = sorted(random.sample(range(1, 2000), 6))
    all_, some, others = (".".join(map(str, each)) for each in (ids, ids[::2], ids[1::2]))
    return random.choice([f"1~{all_}", f"2~{some}~dv.{others}"])


def _us_privacy(random):
    return "1" + "".join(us_privacy_fields(random)[name] for name in ("Notice", "OptOutSale", "LspaCovered"))


def _adchoices(random):
    records = [(random.randint(1, 4000), random.choice([0, 1, 2])) for _ in range(random.randint(0, 4))]
    return write_adchoices(random.randint(0, 2**32 - 1), random.choice([0, 1, 2]), records, records[:1])


def _tool_value(random):
    """What consent tools write, each in its own form."""
    on = random.choice(["true", "false", "1", "0", "yes", "no"])
    return random.choice(
        [
            f"groups=C0001%3A1%2CC0002%3A{on}&isGpcEnabled={on}&datestamp=1",
            f"{{stamp:%27-1%27%2Cnecessary:true%2Cmarketing:{on}%2Cmethod:%27explicit%27}}",
            f"consent:{on},action:yes,necessary:yes,advertisement:{on}",
            json.dumps(
                {"purposes": {"enabled": [on], "disabled": ["ads"]}, "categories": [on], "consent": on == "true"}
            ),
            f'"consent:{on}\\054action:yes\\054advertisement:{on}"',  # as Python's servers write it
            on,
        ]
    )


STRINGS = {
    "gpp": gpp_string,
    "tc": _consent_string,
    "ac": _additional_consent,
    "us_privacy": _us_privacy,
    "adchoices": _adchoices,
}


def _cookie_header(random):
    names = [name.replace("*", "x") for name in random.sample(cmp_cookies.NAMES, 4)]
    values = [random.choice([*STRINGS.values(), _tool_value])(random) for _ in names]
    return "; ".join([*map("=".join, zip(names, values, strict=True)), "optout=1", "gpp_sid=7_-1", "IABGPP_GppSID=8"])


def _query(random):
    names = random.sample(sorted(hear.PARAMETERS), 3)
    return "&".join([*(f"{name}={STRINGS[hear.PARAMETERS[name]](random)}" for name in names), "gpp_sid=7,8", "gdpr=0"])


def _call(random):
    lines = [f"{name}={STRINGS[name](random)}" for name in random.sample(sorted(STRINGS), 2)]
    lines.append(
        f"{random.choice(MEMBERS)}={random.choice(['true', '1', '[7, -1]', '{}', 'null', '1e400', '00000000'])}"
    )
    stored = {"IABGPP_HDR_GppString": gpp_string(random), "IABGPP_GppSID": "7_8", "gad_rdp": "1"}
    stored |= {f"IABGPP_{number}_String": text for number, text in gpp.split_gpp_string(gpp_string(random)).items()}
    return "\n".join([*lines, f"stored={json.dumps(stored)}", f"cookies={json.dumps(_cookie_header(random))}"])


FIELDS = (
    "Subject",
    "Date",
    "Message-ID",
    "Received",
    "Content-Type",
    "Content-Disposition",
    "Content-Transfer-Encoding",
)
VALUES = ("Jo <jo@example.com>", "text/plain", "text/html", "multipart/mixed", "message/rfc822", "attachment", "base64")
FIELD_BITS = (
    "charset", "charset*", "charset=utf-8", "boundary=a", "filename", "filename*", "filename*=utf-8''%ff",
    "=?utf-8?q?=ff?=", "=?x?b?", "\n ", "é", "a ", *'()<>";,:@=*[\\',
)  # fmt: skip


def _mail(random):
    """Fields of bits that parsers look at, also of very many, in parts."""
    head = []
    for name in ("From", *random.choices(FIELDS, k=random.randint(0, 4))):
        bits = [random.choice(FIELD_BITS) * random.choice([1] * 20 + [900]) for _ in range(random.randint(0, 2))]
        head.append(f"{name}: {'; '.join([random.choice(VALUES), *bits])}")
    parts = "".join(f"--a\n{head[-1]}\n\nopt me out\n" for _ in range(random.randint(0, 3)))
    return "\n".join([*head, "", parts or "Please do not sell my data."])


BEGINNINGS = {
    "mail": _mail,
    "gpp": gpp_string,
    "tcf": _consent_string,
    "additional_consent": _additional_consent,
    "us_privacy": _us_privacy,
    "adchoices": _adchoices,
    "cookie_header": _cookie_header,
    "query": _query,
    "call": _call,
    "allows_on_error": gpp_string,
}


def beginnings(name: str, count: int, seed: int = 0):
    """Inputs of our own that a target takes."""
    random = Random(f"{name} {seed}")
    return [BEGINNINGS[name](random).encode() for _ in range(count)]


def mutated(random: Random, raw: bytes, others):
    """An input after accidents to its letters, its bytes, or with a piece of another in it."""
    text = damaged(random, raw.decode("latin-1"))
    kind = random.randrange(4)
    if kind == 0:
        other = random.choice(others).decode("latin-1")
        at, from_ = random.randint(0, len(text)), random.randint(0, len(other))
        text = text[:at] + other[from_:]
    elif kind == 1:
        text = text.replace(random.choice(STRANGE), random.choice(STRANGE) * random.choice([0, 2, 50]))
    return text.encode("utf-8", "surrogatepass") if kind == 2 else text.encode("latin-1", "replace")
