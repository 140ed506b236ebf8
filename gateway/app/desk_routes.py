"""The desk's pages by path, from an opened installation and the configuration. `gateway.app.service` mounts them where
`[listen] desk` is said; nothing else imports it, for what the desk signs in with is optional.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from starlette.routing import Route

from gateway.app.composition import House
from gateway.desk.office.cases import Appeals, Cases
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.mailbox import Mailbox
from gateway.desk.office.officers import DeskRole, Officers
from gateway.desk.own_systems import Systems
from gateway.evidence.rehearsing import Rehearsing
from gateway.settings.load import Settings
from gateway.settings.unsaid import unsaid
from gateway.terms import Role
from gateway.web.desk import desk_page
from gateway.web.desk.appeal_page import AppealPage
from gateway.web.desk.company import Company
from gateway.web.desk.desk_door import DeskDoor
from gateway.web.desk.desk_page import ROOT
from gateway.web.desk.evidence_pack import EvidencePack
from gateway.web.desk.person import PersonPage
from gateway.web.desk.plots import NumbersPage, YearPage
from gateway.web.desk.rehearsal_page import MatrixPage
from gateway.web.desk.requests_in import MailPage, RequestsIn
from gateway.web.desk.sign_in import PeopleOfDesk, SignIn
from gateway.web.desk.systems_page import SystemsPage
from gateway.web.desk.today import DueTask, Today
from gateway.web.shell import page
from gateway.web.shell.peer import Peers

GET, POST = ["GET"], ["POST"]


def desk_routes(house: House, settings: Settings, folder: Path, rehearsing: Rehearsing) -> list[Route]:
    """All of them, each behind the sign-in but those that lead to it."""
    desk_page.desk_templates(), desk_page.style_of_desk(), page.static(desk_page.SCRIPT)
    said = settings.desk
    idle, longest = timedelta(minutes=said.idle_minutes), timedelta(hours=said.session_hours)
    log, officers = DeskLog(folder, house.secrets.desk), Officers(folder, house.consent.clock, idle, longest)
    door = DeskDoor(officers, log, house.consent.clock, said.url, said.own_days, said.proxy_header, Peers(said.proxies))
    return [*_before(door, house, settings), *_behind(door, house, settings, folder, rehearsing)]


def _before(door: DeskDoor, house: House, settings: Settings) -> Iterator[Route]:
    said, back = settings.desk, f"{settings.desk.url}{ROOT}/sign-in/back"
    company = Company(said.oidc_issuer, said.oidc_client, said.oidc_secret_file, back) if said.oidc_issuer else None
    sign_in = SignIn(door, company, house.secrets.seals)
    yield Route(f"{ROOT}/desk.css", desk_page.desk_style, methods=GET)
    yield Route(f"{ROOT}/desk.js", desk_page.desk_script, methods=GET)
    for path, methods, shows in (
        ("sign-in", GET, sign_in.show),
        ("sign-in/proxy", POST, sign_in.by_proxy),
        ("sign-in/options", POST, sign_in.ask_passkey),
        ("sign-in/passkey", POST, sign_in.by_passkey),
        ("sign-in/company", GET, sign_in.to_company),
        ("sign-in/back", GET, sign_in.from_company),
        ("invitation", GET, sign_in.invitation),
        ("invitation", POST, sign_in.invited),
        ("invitation/options", POST, sign_in.ask_new_passkey),
        ("invitation/passkey", POST, sign_in.new_passkey),
    ):
        yield Route(f"{ROOT}/{path}", door.outside(shows), methods=methods)
    yield Route(f"{ROOT}/sign-out", door.page(DeskRole.READER, "signed out", sign_in.leave), methods=POST)


def _behind(door: DeskDoor, house: House, settings: Settings, folder: Path, rehearsing: Rehearsing) -> Iterator[Route]:
    cases = Cases(folder, house.secrets.desk, house.consent.clock)
    systems = Systems(house.writer, house.consent.clock)
    requests = RequestsIn(door, cases, house.consent, settings.delivery.calendar(), systems)
    missing = partial(lacking, settings)
    appeals = AppealPage(
        door, requests, Appeals(folder, house.consent.clock), house.writer, settings.delivery.calendar()
    )

    async def tasks() -> list[DueTask]:
        return [*await requests.tasks(), *await appeals.tasks()]

    today = Today(door, folder, house.telling, rehearsing, house.witnessing, missing, tasks)
    packs = EvidencePack(folder, house.consent, house.vault, house.secrets.signing)
    people = PeopleOfDesk(door)
    person = PersonPage(door, house.consent, packs, house.writer.store, cases, systems)
    numbers = NumbersPage(door, house.writer.store, cases, house.telling, settings.delivery.calendar())
    mail, own = MailPage(door, Mailbox(cases)), SystemsPage(door, systems)
    reader, officer, admin = DeskRole
    for path, methods, least, what, shows in (
        ("", GET, reader, "looked at today", today.show),
        ("/deliveries", GET, reader, "looked at deliveries", today.deliveries),
        ("/deliveries", POST, officer, "", today.again),
        ("/systems", GET, reader, "looked at own systems", own.show),
        ("/systems", POST, officer, "", own.act),
        ("/requests", GET, reader, "looked at requests", requests.index),
        ("/requests/new", GET, officer, "", requests.new),
        ("/requests/new", POST, officer, "", requests.take),
        ("/requests/{number}", GET, reader, "", requests.show),
        ("/requests/{number}", POST, officer, "", requests.act),
        ("/appeals/{number}", GET, reader, "", appeals.show),
        ("/appeals/{number}", POST, officer, "", appeals.act),
        ("/mail/{number}", GET, reader, "", mail.show),
        ("/mail/{number}", POST, officer, "", mail.sort),
        ("/mail/{number}/original", GET, officer, "", mail.original),
        ("/person", GET, reader, "", person.ask),
        ("/person", POST, reader, "", person.post),
        ("/numbers", GET, reader, "looked at numbers", numbers.show),
        ("/report", GET, reader, "looked at the year's report", YearPage(door, folder).show),
        ("/rehearsal", GET, reader, "looked at the rehearsal", MatrixPage(house.writer.store).show),
        ("/people", GET, admin, "looked at who sits at the desk", people.show),
        ("/people", POST, admin, "", people.post),
    ):
        yield Route(f"{ROOT}{path}", door.page(least, what, shows), methods=methods)


SHUTS = frozenset({"contract", "contract_until", "announced", "endpoint"})


def lacking(settings: Settings, on: date) -> dict[str, list[tuple[str, str]]]:
    """Recipients without a contract in force, an announcement, or an address for rows or for noes."""
    missing = dict[str, list[tuple[str, str]]]()
    for each in unsaid(settings, on):
        if each.path[0] == "recipients" and each.path[-1] in SHUTS:
            missing.setdefault(str(each.path[1]), []).append((str(each.path[-1]), each.why))
    told = settings.deliveries()
    for name, item in settings.recipients.items():
        if item.role is not Role.LEGAL and name not in told and not item.ddrf:
            missing.setdefault(name, []).append(("deliveries", "you tell it of every no yourself"))
    return dict(sorted(missing.items()))
