"""What an operator has not said yet, and what stays shut until then. `gateway config check`, `gateway serve` and
`gateway init` print it.

No fact about an operator has a default: what is not said is not assumed, and denies.
"""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from gateway.choice.recipient import Recipient
from gateway.settings.load import STRICTEST_FLOOR, Settings
from gateway.settings.option_tree import option_name
from gateway.settings.shapes import OptionPath
from gateway.terms import Role

PAST_DAY = "2026-01-02"  # an example that is not refused as one that has not come
ITS_DAY = f"the day, as {PAST_DAY}"


class Unsaid(NamedTuple):
    """An option that is not said, what is shut or left out until it is, and what to write. `shuts`: whether data is
    not shared, or a no not taken, for it; a start tells of that too.
    """

    path: OptionPath
    why: str
    write: str
    shuts: bool = False

    @property
    def option(self) -> str:
        return option_name(self.path)

    @property
    def line(self) -> str:
        return f"{self.option}: {self.why}; write {self.write}"


def unsaid(settings: Settings, on: date) -> list[Unsaid]:
    """What is missing on a day: first what keeps data from being shared, then what pages and people do without."""
    return [*_of_sharing(settings, on), *_of_pages(settings), *_of_people(settings)]


def _of_sharing(settings: Settings, on: date) -> Iterator[Unsaid]:
    recipients, told = settings.registry(), settings.notice.told_everyone
    if not recipients:
        write = "[recipients.NAME] with its role, purposes and data"
        yield Unsaid(("recipients",), "none is named, so nothing may be shared with anybody", write, shuts=True)
    if told == date.min and any(map(_is_announced, recipients.values())):
        why, write = "nobody was told of anybody who gets data, so nothing goes outside", "the day of the last notice"
        yield Unsaid(
            ("notice", "told_everyone"), why, f"{write} that all were shown or sent, as {PAST_DAY}", shuts=True
        )
    for name, item in recipients.items():
        for option, why, write in _of_recipient(item, told, on):
            yield Unsaid(("recipients", name, option), why, write, shuts=True)


def _is_announced(item: Recipient) -> bool:
    """Whether people have to be told of it before it gets anything (R15)."""
    return item.third and item.role is not Role.CONSUMER_DIRECTED


def _of_recipient(item: Recipient, told: date, on: date) -> Iterator[tuple[str, str, str]]:
    """(option, why, what to write), in the order in which a verdict asks."""
    if item.role is Role.LEGAL:
        return
    if not item.contract:
        yield "contract", "without one nothing goes there", "its number, or its name with its day"
    elif not item.contracted(on):
        yield "contract_until", "the contract has ended, so nothing goes there", "the next one and its end"
    if _is_announced(item) and item.announced is None:
        yield "announced", "no notice named it, so nothing goes there", f"when a notice first did: {ITS_DAY}"
    elif _is_announced(item) and told != date.min and item.announced and item.announced > told:
        why = f"is after {told}, when all were last told, so only data of who was told since goes there"
        yield "announced", why, "[notice] told_everyone once all are told"
    if not item.transfer_basis:
        why = "nothing goes of people in the EEA, the United Kingdom, Switzerland or an unknown place"
        yield "transfer_basis", why, '"adequacy", "scc", "bcr", "derogation" or "within", where there is one'
    if item.mode == "forward" and not item.endpoint:
        yield "endpoint", "rows for it are sent nowhere", 'its address, or mode = "return"'


def _of_pages(settings: Settings) -> Iterator[Unsaid]:
    site = settings.site
    if not site.name:
        yield Unsaid(("site", "name"), "pages name nobody", 'what people know you by, "Example Shop"')
    if not site.url:
        yield Unsaid(("site", "url"), "mails and replies link no page", "where the choices page is, https://…")
    if not site.policy_url:
        yield Unsaid(("site", "policy_url"), "no page links a privacy policy", 'where yours is, "/privacy"')
    if not site.notices:
        why = "no page links a state's or a country's own notice"
        yield Unsaid(("site", "notices"), why, 'where each is, { US-CA = "/notice-california" }')
    if settings.gpc.last_update is None:
        yield Unsaid(("gpc", "last_update"), "gpc.json does not say since when the signal is obeyed", ITS_DAY)


def _of_people(settings: Settings) -> Iterator[Unsaid]:
    says = settings.source.says
    if not says("age", "floor") and settings.age.floor == STRICTEST_FLOOR:
        why = f"nothing goes of who may be under {STRICTEST_FLOOR}, and they are asked for nothing"
        yield Unsaid(("age", "floor"), why, "the age of your policy, or 0 where the laws alone decide")
    if not says("cpni", "module") and not settings.cpni.module:
        why = "a telephone company's data of its customers goes to service providers and the law alone"
        yield Unsaid(("cpni", "module"), why, "true if you are one that asks them, else false")
    if not settings.phone.country:
        why = "a no by a number without its country code is not taken where nobody says a country"
        yield Unsaid(("phone", "country"), why, 'your people\'s, "US"', shuts=True)
    if not settings.apps.sdks and not says("apps", "sdks"):
        yield Unsaid(("apps", "sdks"), "apps are told of no SDK", "the recipients whose code runs in your app, if any")
    if not settings.mail.server:
        yield Unsaid(("mail", "server"), "no code goes by e-mail, so nobody shows a mailbox to be theirs", "its host")
    if settings.texts.endpoint and not settings.texts.prices:
        yield Unsaid(("texts", "prices"), "no code goes to any number", "what a text costs, { US = 1 }")
    if not settings.controller.name:
        yield Unsaid(("controller", "name"), "records name nobody who answers for the data", "the legal name")
