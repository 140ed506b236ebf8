"""An operator's first configuration, as a commented file: what was said, and of the rest what to write. `gateway init`
makes it.

Nothing of anybody else is in it. What is not said stands behind a `#`, in a form that is refused until it is filled in.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from phonenumbers import SUPPORTED_REGIONS

from gateway.settings.shapes import WORD
from gateway.terms import Role

ALONE, ASGI = "none", "asgi"
PROXIES = ("nginx", "caddy", "traefik", "envoy", "haproxy", "wordpress")
FRONTS = (ALONE, ASGI, *PROXIES)  # what stands between people and the gateway

HEAD = """\
# The consent gateway's configuration of {name}, begun on {day}. It holds what was said, and nothing of anybody else.
# An option behind a "#" is not said yet. Until it is, that is shut: nothing is shared by it, nobody is asked, no page
# links it. `gateway config check` says which are missing, `gateway config show` prints an example with every option.
# More: `gateway help config`.
"""
SITE = """
[site]
name = {name} # what people know you by
{url}
{origins}
# policy_url = "https:" # where your privacy policy is, a path of the site or a whole address
# notices = {{ {notices} }} # where the notice of each state or country is that has its own
"""
CONTROLLER = """
[controller] # who answers for the data, as records name it
# name = "" # the legal name
# address = "" # the postal address
# email = "" # the mailbox to write to
"""
FRONT = """
[listen] # {front} hands requests on: `gateway recipe {front}` prints its configuration
trusted_proxies = ["127.0.0.1", "::1"] # where it runs, if not on this machine: its addresses, and no others
"""
MOUNTED = """
# The site is an ASGI application: `in_front_of(site, data=…, config=…)` stands before it (gateway help mount).
"""
PEOPLE = """
[phone]
{country}
{countries}

[age]
# floor = YEARS # under it nothing is shared; 0: the laws that protect younger people decide alone. Not said: 18

[gpc]
# last_update = YYYY-MM-DD # since when your sites obey the signal, for /.well-known/gpc.json

[notice]
# told_everyone = YYYY-MM-DD # the day of the last notice that everybody was shown or sent; not said: nobody was told
"""
APPS = """
[apps]
# sdks = [] # the recipients below whose code runs inside the app: each is told to start, limit itself or stop
"""
MAIL = """
[mail] # brings people the codes by which they show that a mailbox is theirs
{server}
{from_address}
"""
NOBODY = """
# Nobody gets personal data. Whoever is to get some stands here, by a name of yours:
#
# [recipients.NAME]
# role = ROLE # {roles}
# purposes = [] # what for: sale, sharing, targeted_ads, service, security …
# data = [] # which data classes: ad_id, device_id, ip, coarse_geo, email_hash …
"""
RECIPIENT = """
[recipients.{name}]
role = {role}
purposes = {purposes}
data = {data}
# company = "" # its legal name, for people who ask who got their data
# contract = "" # the number of the contract that the law asks for, or its name with its day
{announced}# transfer_basis = "" # for people in Europe or of unknown place: adequacy, scc, bcr, derogation, within
# fields = {{}} # for rows by /v1/shares: which data class each field is (gateway help ask)
"""
ANNOUNCED = "# announced = YYYY-MM-DD # the day of the notice that first named it\n"
TOLD_OF = frozenset({Role.THIRD_PARTY, Role.AFFILIATE, Role.SUCCESSOR})


class FirstRecipient(NamedTuple):
    """Who is to get data, as what, what for, and which."""

    name: str
    role: str
    purposes: tuple[str, ...]
    data: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> "FirstRecipient":
        """NAME:ROLE:PURPOSES:DATA, the last two with commas. Raises `ValueError`."""
        name, role, purposes, data = text.split(":")
        return cls(name, role, tuple(purposes.split(",")), tuple(data.split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSaid:
    """What an operator says at the beginning. `sites`: origins, the first with the choices page; `places`: countries
    and states that its people are in; `front`: one of `FRONTS`.
    """

    name: str
    sites: Sequence[str] = ()
    app: bool = False
    places: Sequence[str] = ()
    recipients: Sequence[FirstRecipient] = ()
    front: str = ALONE
    mail: str = ""
    mail_from: str = ""


def first_text(said: FirstSaid, day: date) -> str:
    """The whole file. What it says is checked by whoever reads it."""
    return "".join(_blocks(said, day))


def _blocks(said: FirstSaid, day: date) -> Iterator[str]:
    yield HEAD.format(name=" ".join(said.name.split()), day=day)
    yield SITE.format(
        name=_toml(said.name),
        url=_line("url", next(iter(said.sites), ""), '"https:"', "where the choices page is, for links in mails"),
        origins=_line("origins", [*said.sites[1:]], '["https:"]', "other sites of yours, whose pages may post here"),
        notices=", ".join(f'{place} = "https:"' for place in dict.fromkeys(said.places)) or 'PLACE = "https:"',
    )
    yield CONTROLLER
    if said.front in PROXIES:
        yield FRONT.format(front=said.front)
    elif said.front == ASGI:
        yield MOUNTED
    countries = [*dict.fromkeys(place[:2] for place in said.places if place[:2] in SUPPORTED_REGIONS)]
    yield PEOPLE.format(
        country=_line("country", next(iter(countries), ""), '"XX"', "numbers without their country code are read so"),
        countries=_line("countries", countries[1:], '["XX"]', "further countries that your people's numbers are from"),
    )
    if said.app:
        yield APPS
    yield MAIL.format(
        server=_line("server", said.mail, '""', "its host; further options: gateway config show"),
        from_address=_line("from_address", said.mail_from, '""', "from whom the codes come"),
    )
    yield from map(_of_recipient, said.recipients)
    if not said.recipients:
        yield NOBODY.format(roles=", ".join(Role))


def _of_recipient(item: FirstRecipient) -> str:
    lists = {"purposes": _toml(item.purposes), "data": _toml(item.data)}
    announced = ANNOUNCED if item.role in TOLD_OF else ""
    name = _toml(item.name) if WORD.wrong(item.name) else item.name
    return RECIPIENT.format(name=name, role=_toml(item.role), announced=announced, **lists)


def _line(option: str, value: str | Sequence[str], form: str, why: str) -> str:
    """An option that is said, or the form of one that is not."""
    return f"{option} = {_toml(value)} # {why}" if value else f"# {option} = {form} # {why}"


def _toml(value: str | Sequence[str]) -> str:
    """A text or a list of texts; those of JSON are TOML's."""
    return json.dumps(value, ensure_ascii=False)
