"""What an app's publishable key, which is in every copy of the app, may open, tie, end and say of somebody's age; and
what the operator's backend may with its signature (R12, R14).
"""

import asyncio
import contextlib
import sqlite3

import pytest
from support import inside
from support.people import GAID, email, gaid, named
from support.phones import idfv, ignored, kind, standing

from gateway.app import composition
from gateway.ledger.acts import folded_people
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
HERS, IDFV, ACCOUNT, HIS_ACCOUNT = (
    named("gaid", gaid(1)),
    named("idfv", idfv(1)),
    named("account", "a1"),
    named("account", "a2"),
)
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
PRECISE = {"recipient": "teemo", "data": ["precise_geo"]}


@pytest.fixture
async def many(tmp_path):
    """Silence is an allow here, and a child is no adult."""
    async with standing(tmp_path, apps__sdks="advertisers,payments", age__floor="16") as made:
        yield made


def device(phone) -> dict:
    return {"kind": "device", "token": phone.token}


async def opts_in(phone, proof, *ids, purpose="sale", **members):
    """Both acts, each with a proof of its own; the last answer. `proof` makes one."""
    body = {"choice": "opt_in", "purposes": [purpose], "identifiers": [*(ids or phone.ids)], "notice": SHOWN, **members}
    asked = await phone.calling.post("/v1/choices", json=phone.body(**body, proof=proof()))
    if asked.status_code != 202:
        return asked
    done = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND, "device": phone.token}
    return await phone.calling.post("/v1/choices", json=done | {"proof": proof()})


async def out(place, *identifiers, purposes=("all",)):
    body = {"identifiers": list(identifiers), "choice": "opt_out", "purposes": list(purposes)}
    assert (await place.desk.post("/v1/choices", json=body)).status_code == 201


async def reasons(place, *identifiers):
    return [await place.reason(each) for each in identifiers]


# --- what a device token opens -------------------------------------------------------------------------------------


async def test_whoever_names_somebodys_ad_id_first_opens_nothing_of_it(place):
    """The attack: observed first, then opted in to precise location for a recipient."""
    attacker = place.phone(HERS)
    await attacker.observes()
    for more in ({}, PRECISE):
        answer = await opts_in(attacker, lambda: device(attacker), HERS, **more)
        assert (answer.status_code, kind(answer) if more else "") == ((403, "proof_required") if more else (201, ""))
    body = {"identifiers": [HERS], "recipient": "teemo", "place": "US-CA", "data": ["precise_geo"]}
    assert (await place.ads.post("/v1/check", json=body)).json()["allowed"] is False
    assert await place.reason(HERS) == "no_choice"  # nobody said yes for it


async def test_claimed_first_and_opted_out_on_the_web_it_stays_out_once_the_link_ends(place):
    """The attack's second form: the claimer has an account and an assertion of their own."""
    attacker = place.phone(HERS)
    await attacker.observes(proof=place.backend.proof("a2"))
    await place.links("a1", HERS)
    await out(place, ACCOUNT)
    ended = {"account": "a1", "identifiers": [HERS], "until": "2020-01-01T00:00:00Z"}
    assert (await place.desk.post("/v1/links", json=ended)).status_code == 201
    proofs = [
        lambda: device(attacker),
        lambda: place.backend.proof("a2"),
        lambda: [place.backend.proof("a2"), device(attacker)],
    ]
    for proof in proofs:
        for named_ in ((HERS,), (HERS, HIS_ACCOUNT)):
            await opts_in(attacker, proof, *named_)
            await opts_in(attacker, proof, *named_, **PRECISE)
            assert await reasons(place, HERS) == ["opted_out"]
            assert await place.reason(HERS, named("device", attacker.token)) == "opted_out"
    assert await place.reason(HIS_ACCOUNT) == "opted_in"  # control: his own account opened


async def test_whoever_opted_out_in_the_settings_comes_back_in_this_app_alone(many):
    phone = many.phone(HERS, IDFV)
    await phone.chooses(purposes=["sale", "profiling"])
    assert phone.last["sdks"]["advertisers"] == "stop"
    for purpose in ("sale", "sharing", "targeted_ads", "profiling"):
        assert (await opts_in(phone, lambda: device(phone), purpose=purpose)).json()["standing"] == {
            purpose: "opted_in"
        }
    await phone.observes()
    assert (phone.last["sdks"]["advertisers"], phone.last["store"]["IABUSPrivacy_String"]) == ("start", "1YNN")
    token, other = named("device", phone.token), many.phone(HERS)
    assert await many.reason(HERS, IDFV, token, recipient="advertisers") == "opted_in"
    assert await many.reason(HERS, recipient="advertisers") == "opted_out"  # the ad id as such
    await other.observes()
    assert other.last["sdks"]["advertisers"] == "stop"
    await phone.chooses(purposes=["sale"])
    assert await many.reason(HERS, IDFV, named("device", phone.token), recipient="advertisers") == "opted_out"
    assert await many.reason(named("device", phone.token), recipient="advertisers") == "opted_out"


async def test_a_token_that_says_no_and_yes_lifts_nobody_elses_no(place):
    """Whichever of two says no last: the other's no still stands."""
    for first, second in ((0, 1), (1, 0)):
        owner, stranger = place.phone(named("gaid", gaid(20 + first))), place.phone(named("gaid", gaid(20 + first)))
        both = [owner, stranger]
        for each in (both[first], both[second]):
            await each.chooses()
        await opts_in(stranger, lambda stranger=stranger: device(stranger))
        assert await place.reason(*owner.ids) == "opted_out"
        assert await place.reason(*owner.ids, named("device", stranger.token)) == "opted_out"


async def test_a_yes_that_was_asked_for_before_the_phones_last_no_is_none(place):
    phone = place.phone(HERS)
    await phone.observes()
    asked = await phone.chooses("opt_in", purposes=["sale"], proof=device(phone), notice=SHOWN)
    await phone.chooses()
    done = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND, "proof": device(phone)}
    assert kind(await place.in_app.post("/v1/choices", json=done)) == "superseded"


async def test_what_a_no_from_an_older_id_of_the_phone_holds_is_not_opened_by_naming_the_device_alone(place):
    phone = place.phone(HERS)
    await phone.chooses()
    await opts_in(phone, lambda: device(phone))
    await out(place, HERS)
    assert await place.reason(named("device", phone.token)) == "opted_out"
    assert await place.reason(named("gaid", gaid(9)), named("device", phone.token)) == "opted_out"


@pytest.mark.parametrize("text", ["rubbish", "", "A" * 300])
async def test_a_check_that_brings_a_token_that_is_none_denies(place, text):
    assert await place.reason(named("gaid", gaid(9)), named("device", text)) == "malformed"


async def test_a_token_opens_nothing_on_an_id_that_is_somebodys(place):
    """Also where silence is no yes: the yes of a stranger's phone is none of the account's."""
    attacker = place.phone(HERS)
    await attacker.observes()
    await opts_in(attacker, lambda: device(attacker))
    body = {
        "identifiers": [HERS, named("device", attacker.token)],
        "recipient": "teemo",
        "place": "US",
        "data": ["ad_id"],
    }
    assert (await place.ads.post("/v1/check", json=body)).json()["reason"] == "opted_in"  # control: nobody's id
    await place.links("a1", HERS)
    assert (await place.ads.post("/v1/check", json=body)).json()["allowed"] is False


# --- a phone's own settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("no", "yes"), [({"att": 2}, {"att": 3}), ({"lmt": 1}, {"lmt": 0})])
async def test_a_phone_that_refused_tracking_and_allows_it_again_starts_again(many, no, yes):
    phone = many.phone(HERS)
    await phone.observes(signals=no)
    assert await many.reason(HERS, recipient="advertisers") == "opted_out"
    await phone.observes(signals=yes)
    assert phone.last["sdks"]["advertisers"] == "start"
    assert await many.reason(HERS, recipient="advertisers") == "no_choice"


@pytest.mark.parametrize("first", ["owner", "stranger"])
async def test_another_installation_ends_no_state_of_a_phone(place, first):
    owner, stranger = place.phone(HERS), place.phone(HERS)
    for each in (owner, stranger) if first == "owner" else (stranger, owner):
        await each.observes(signals={"att": 2})
    await stranger.observes(signals={"att": 3})
    assert await place.reason(HERS) == "opted_out"
    await owner.observes(signals={"att": 3})
    assert await place.reason(HERS) == "no_choice"


async def test_the_backend_and_an_attestation_end_a_state_whoever_told_it(place):
    stranger, owner = place.phone(HERS), place.phone(HERS)
    for end in ("attestation", "server"):
        await stranger.observes(signals={"att": 2})
        assert await place.reason(HERS) == "opted_out"
        if end == "server":
            await place.server.post("/v1/observe", json={"identifiers": [HERS], "signals": {"att": 3}})
        else:
            await owner.observes(signals={"att": 3}, proof=place.backend.attests(HERS))
        assert await place.reason(HERS) == "no_choice"


# --- what an attestation shows -------------------------------------------------------------------------------------


async def test_an_attestation_opens_the_ad_id_itself_and_the_precise_location(place):
    phone = place.phone(HERS)
    await phone.observes()
    await out(place, HERS, purposes=["sale"])
    for more in ({}, PRECISE):
        answer = await opts_in(phone, lambda: place.backend.attests(HERS), HERS, **more)
        assert answer.status_code == 201, answer.text
    assert answer.json()["standing"] == {"sale": "opted_in"}
    body = {"identifiers": [HERS], "recipient": "teemo", "place": "US-CA", "data": ["precise_geo"]}
    assert (await place.ads.post("/v1/check", json=body)).json()["allowed"] is True


async def test_the_accounts_assertion_opens_what_the_backend_says_is_its_own(place):
    phone = place.phone(HERS)
    await phone.observes(proof=place.backend.proof())
    assert kind(await opts_in(phone, place.backend.proof, HERS)) == "proof_required"  # the app alone ties it
    await place.links("a1", HERS)
    assert (await opts_in(phone, place.backend.proof, HERS)).json()["standing"] == {"sale": "opted_in"}


def wrong(backend) -> dict:
    return {
        "another id": backend.attests(named("gaid", gaid(99))),
        "no ids": backend.attests(),
        "used": None,
        "of no list": backend.attests(ids="gaid"),
        "of numbers": backend.attests(7),
        "too many": backend.attests(*[HERS] * 9),
        "over": backend.attests(HERS, iat=1_000_000_000, exp=1_000_000_300),
        "for a day": backend.attests(HERS, exp=2**33),
        "another audience": backend.attests(HERS, aud="elsewhere"),
        "an assertion": backend.attests(HERS, headers={"typ": "JWT"}),
        "no jti": backend.attests(HERS, jti=None),
        "rubbish": {"kind": "attestation", "token": "rubbish"},
        "nothing": {"kind": "attestation"},
        "a number": {"kind": "attestation", "token": 7},
    }


async def test_an_attestation_of_something_else_shows_nothing(place):
    phone = place.phone(HERS)
    await phone.observes()
    used = place.backend.attests(HERS)
    await phone.observes(proof=used)
    for name, proof in wrong(place.backend).items():
        stated = {"identifiers": [HERS], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN}
        answer = await place.in_app.post("/v1/choices", json=stated | {"proof": proof or used})
        assert (answer.status_code, kind(answer)) == (403, "proof_required"), name
    observed = await phone.observes(proof=used)
    assert ignored(observed) == {"/proof": "not verified"}


async def test_an_attestation_is_no_assertion_and_the_other_way_round(place):
    body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN}
    token = place.backend.attests(HERS, account="a1")["token"]
    swapped = [
        {"kind": "account", "assertion": token},
        {"kind": "attestation", "token": place.backend.asserts("a1", ids=[HERS])},
    ]
    for proof, ids in zip(swapped, ([ACCOUNT], [HERS]), strict=True):
        answer = await place.in_app.post("/v1/choices", json=body | {"identifiers": ids, "proof": proof})
        assert kind(answer) == "proof_required"


async def test_an_attestation_shows_and_forgets_nobody(place):
    await out(place, HERS)
    for path, more in (("/v1/access", {}), ("/v1/erasures", {"mode": "erase_details"})):
        body = {"identifiers": [HERS], "proof": place.backend.attests(HERS), **more}
        assert (await place.in_app.post(path, json=body)).status_code == 403


# --- what an app's word ties to an account -------------------------------------------------------------------------


async def test_an_id_that_an_app_names_beside_its_account_has_the_accounts_no_and_gives_it_none(place):
    phone = place.phone(HERS, IDFV)
    await phone.observes(proof=place.backend.proof())
    await out(place, IDFV)
    assert await reasons(place, ACCOUNT, HERS) == ["no_choice", "no_choice"]
    await out(place, ACCOUNT)
    assert await reasons(place, HERS, IDFV) == ["opted_out", "opted_out"]


async def test_what_an_app_ties_stands_in_no_report_and_nothing_of_it_is_forgotten_with_the_account(place):
    await out(place, HERS, purposes=["profiling"])
    await place.phone(HERS).observes(proof=place.backend.proof())
    report = (await place.desk.post("/v1/access", json={"identifiers": [ACCOUNT]})).json()
    assert (report["entries"], report["linked"]) == ([], [])
    gone = {"identifiers": [ACCOUNT], "mode": "unlink"}
    assert (await place.desk.post("/v1/erasures", json=gone)).status_code == 200
    theirs = (await place.desk.post("/v1/access", json={"identifiers": [HERS]})).json()
    assert [entry["what"] for entry in theirs["entries"]] == ["opt_out"]


async def test_a_child_that_is_found_costs_nobody_their_own_history_whose_id_an_app_had_named(place):
    await out(place, HERS, purposes=["profiling"])
    await place.phone(HERS).observes(proof=place.backend.proof("a2"))
    found = {"identifiers": [HIS_ACCOUNT], "mode": "child_found"}
    assert (await place.desk.post("/v1/erasures", json=found)).status_code == 200
    assert await place.reason(HERS) == "opted_out"  # while the app ties it to the child
    theirs = (await place.desk.post("/v1/access", json={"identifiers": [HERS]})).json()
    assert [entry["details"] for entry in theirs["entries"] if entry["what"] == "opt_out"] != [{}]
    phone = place.phone(HERS)
    await opts_in(phone, lambda: place.backend.attests(HERS), HERS)
    assert await place.reason(HERS) == "opted_in"


async def test_an_id_that_only_an_app_ties_is_unlinked_still(place):
    await place.phone(HERS).observes(proof=place.backend.proof())
    async with inside.client(place.app, **inside.DEV) as sharing:
        row = {"identifiers": [HERS], "data": {"ad_id": gaid(1)}, "place": "US-CA", "id": "r1"}
        answer = await sharing.post("/v1/shares/teemo", json=row)
        assert '"reason":"unlinked"' in answer.text.splitlines()[0]


@pytest.mark.parametrize("by", ["backend", "attestation", "attested account"])
async def test_the_backend_or_an_attestation_makes_the_tie_whole(place, by):
    phone = place.phone(HERS)
    await phone.observes(proof=place.backend.proof())
    await out(place, HERS)
    assert await place.reason(ACCOUNT) == "no_choice"
    if by == "backend":
        await place.links("a1", HERS)
    elif by == "attestation":
        await phone.observes(proof=[place.backend.proof(), place.backend.attests(HERS)])
    else:
        await phone.observes(proof=place.backend.attests(HERS, account="a1"))
    assert await place.reason(ACCOUNT) == "opted_out"
    await phone.observes(proof=place.backend.proof())  # never a claim again
    linked = (await place.desk.post("/v1/access", json={"identifiers": [ACCOUNT]})).json()["linked"]
    assert [each["type"] for each in linked] == ["gaid"]


async def test_what_an_account_was_told_is_not_told_to_an_id_that_an_app_ties_to_it(place):
    await place.phone(HERS).observes(proof=place.backend.proof())
    body = {"identifiers": [ACCOUNT], "notice": "privacy", "outcome": "sent", "on": "2026-01-01"}
    assert (await place.desk.post("/v1/notices", json=body)).status_code == 201
    told = await asyncio.to_thread(days_told, place.folder)
    assert len(told) > 1
    assert len(told) - told.count(None) == 1


def days_told(folder):
    """Of everybody of whom anything is on record."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        keys = [key for (key,) in db.execute("SELECT DISTINCT key FROM detail")]
        return [FoldedPeople(db, [key]).standing(key, 0).told for key in keys]


async def test_a_strangers_claim_on_an_ad_id_ends_when_its_owner_shows_that_it_is_theirs(tmp_path):
    async with standing(tmp_path) as place:
        stranger, owner = place.phone(HERS), place.phone(HERS, IDFV)
        await stranger.observes(proof=place.backend.proof("a2"))
        await owner.observes(proof=place.backend.proof("a1"))
        await out(place, HIS_ACCOUNT)
        assert await place.reason(HERS) == "opted_out"
        await opts_in(owner, lambda: [place.backend.proof("a1"), place.backend.attests(HERS)], HERS, ACCOUNT)
        assert await place.reason(HERS) == "opted_in"
        await out(place, ACCOUNT)
        assert await reasons(place, HERS, IDFV) == ["opted_out"] * 2  # control: her own account still has it
    report, _ = await asyncio.to_thread(composition.verify_ledger, tmp_path / "data", inside.settings(), boxes=True)
    assert (report.passed, list(report.different)) == (True, [])


@pytest.mark.parametrize(
    "said", [{"kind": "attestation", "token": "rubbish"}, {"kind": "attestation"}, {"kind": "desk", "note": "x"}]
)
async def test_a_proof_that_is_only_named_beside_a_good_one_ends_no_claim(place, said):
    """An attestation that nobody signed, or the desk's word by an app's key, beside the account's own assertion."""
    await place.phone(HERS).observes(proof=place.backend.proof("a2"))
    await place.links("a1", HERS)
    await out(place, HIS_ACCOUNT)
    owner = place.phone(HERS)
    assert (await opts_in(owner, lambda: [place.backend.proof("a1"), said], HERS)).status_code == 201
    assert await place.reason(HERS) == "opted_out"
    both = [HERS, IDFV]  # an attestation of another id vouches for that one alone
    await place.links("a1", IDFV)
    await opts_in(owner, lambda: [place.backend.proof("a1"), place.backend.attests(IDFV)], *both)
    assert await place.reason(HERS) == "opted_out"
    await opts_in(owner, lambda: [place.backend.proof("a1"), place.backend.attests(HERS)], HERS)
    assert await place.reason(HERS) == "opted_in", "the control"


async def test_what_a_strangers_phone_says_of_somebodys_id_is_the_owners_to_end(place):
    """Named beside an id that is somebody else's, hers is denied so that nothing is told."""
    await place.links("a2", named("gaid", gaid(40)))
    await place.phone(HERS, named("gaid", gaid(40))).observes()
    assert await place.reason(HERS) == "opted_out"
    owner = place.phone(HERS)
    await opts_in(owner, lambda: place.backend.attests(HERS), HERS)
    assert await place.reason(HERS) == "opted_in"
    standing_ = (await place.desk.post("/v1/standing", json={"identifiers": [HERS]})).json()["standing"]
    assert (standing_["sale"], standing_["profiling"]) == ("opted_in", "opted_out")  # she said yes to the one alone


async def test_an_attested_yes_lifts_nothing_that_the_backend_tied(place):
    await place.links("a2", HERS)
    await out(place, HIS_ACCOUNT)
    phone = place.phone(HERS)
    await opts_in(phone, lambda: place.backend.attests(HERS), HERS)
    assert await place.reason(HERS) == "opted_out"


@pytest.mark.slow
async def test_an_account_is_tied_to_twelve_ids_in_thirty_days_by_apps(place):
    for number in range(1, 17):
        await place.phone(named("gaid", gaid(number))).observes(proof=place.backend.proof())
    await out(place, ACCOUNT)
    denied = [await place.reason(named("gaid", gaid(number))) == "opted_out" for number in range(1, 17)]
    assert denied == [True] * 12 + [False] * 4


async def test_the_log_gives_the_same_rows_after_all_of_this(tmp_path):
    """`gateway verify` knows claims, an installation's states and its words of an age."""
    async with standing(tmp_path) as place:
        phone, other = place.phone(HERS, IDFV), place.phone(HERS)
        await phone.observes(proof=place.backend.proof(), signals={"att": 2})
        await other.observes(signals={"att": 2, "age_bracket": 12}, age=11)
        await phone.chooses(age=14)
        await phone.observes(proof=place.backend.proof(), signals={"att": 3}, age=40)
        await opts_in(phone, lambda: device(phone))
        await phone.observes(proof=[place.backend.proof(), place.backend.attests(HERS)])
        await out(place, ACCOUNT)
        await place.desk.post("/v1/links", json={"identifiers": [HERS], "event": "number_released"})
        phone.resets(3)
        await phone.observes()
        await place.desk.post("/v1/erasures", json={"identifiers": [IDFV], "mode": "erase_details"})
        await place.desk.post("/v1/erasures", json={"identifiers": [HERS], "mode": "unlink"})
    report, _ = await asyncio.to_thread(composition.verify_ledger, tmp_path / "data", inside.settings(), boxes=True)
    assert (report.passed, list(report.different)) == (True, [])


# --- how old somebody is -------------------------------------------------------------------------------------------

TEEN = {"recipient": "advertisers", "place": "US-CA", "data": ["ad_id"]}


async def young(place, *identifiers) -> bool:
    answer = await place.ads.post("/v1/check", json=TEEN | {"identifiers": list(identifiers)})
    return answer.json()["reason"] == "age"


async def test_an_app_key_makes_nobodys_account_address_or_linked_phone_younger(many):
    await many.links("a1", HERS)
    theirs = [ACCOUNT, named("email", email(1)), HERS]
    await many.phone(*theirs).chooses(age=5)
    await many.phone(*theirs).observes(age=5, signals={"age_bracket": "under_13"})
    assert [await young(many, each) for each in theirs] == [False] * 3


async def test_what_an_app_says_of_its_own_phone_holds_for_it_until_its_account_says_how_old_it_is(many):
    phone = many.phone(HERS, IDFV)
    await phone.observes(age=12)
    assert [await young(many, each) for each in (HERS, IDFV, named("device", phone.token))] == [True] * 3
    await phone.observes(age=40)
    assert await young(many, HERS)  # no word of an app makes anybody older
    await phone.observes(age=40, proof=many.backend.proof())
    assert [await young(many, each) for each in (HERS, IDFV, ACCOUNT)] == [False] * 3


async def test_another_phones_account_takes_nothing_back(many):
    phone, stranger = many.phone(HERS), many.phone(HERS)
    await phone.observes(age=12)
    await stranger.observes(age=40, proof=many.backend.proof("a2"))
    assert await young(many, HERS)


async def test_an_attestation_takes_back_what_strangers_said_of_a_phone(many):
    await many.phone(HERS).observes(age=5)
    phone = many.phone(HERS)
    await phone.observes(age=40, proof=many.backend.attests(HERS))
    assert not await young(many, HERS)


async def test_a_proved_age_never_rises_by_a_later_one(many):
    phone = many.phone(HERS)
    await phone.observes(age=14, proof=many.backend.proof())
    await phone.observes(age=40, proof=many.backend.proof())
    assert await young(many, ACCOUNT)


async def test_what_the_operating_system_says_of_its_owner_only_makes_younger(many):
    phone = many.phone(HERS)
    await phone.observes(signals={"age_bracket": "13_15"}, proof=many.backend.proof())
    assert phone.last["sdks"]["advertisers"] == "stop"
    await phone.observes(signals={"age_bracket": "adult"}, age=14, proof=many.backend.proof())
    assert await young(many, ACCOUNT)
    asked = TEEN | {"identifiers": [named("gaid", GAID)], "signals": {"age_bracket": 12}, "age": 40}
    assert (await many.ads.post("/v1/check", json=asked)).json()["reason"] == "age"


async def test_what_the_operating_system_says_is_of_the_phone_and_takes_no_word_back(many):
    """A family's tablet: its owner is a child, or an adult; who is signed in on it is somebody else."""
    phone, other = many.phone(HERS), many.phone(IDFV)
    await phone.observes(age=12)
    await phone.observes(signals={"age_bracket": "adult"}, proof=many.backend.proof())
    assert await young(many, HERS)
    await other.observes(signals={"age_bracket": "under_13"}, proof=many.backend.proof("a2"))
    assert (await young(many, IDFV), await young(many, HIS_ACCOUNT)) == (True, False)


# --- an SDK with a mode without a person ---------------------------------------------------------------------------


async def test_who_said_no_gets_ads_without_a_person_where_the_sdk_has_a_mode_for_it(tmp_path):
    more = {"apps__sdks": "advertisers,flurry", "recipients__advertisers__contextual": "true"}
    async with standing(tmp_path, **more) as place:
        phone = place.phone(HERS)
        await phone.observes()
        assert phone.last["sdks"] == {"advertisers": "start", "flurry": "start"}
        await phone.chooses()
        assert phone.last["sdks"] == {"advertisers": "limited", "flurry": "stop"}
        for said in ({"signals": {"gpc": "1"}}, {"signals": {"att": 1}}):
            other = place.phone(named("gaid", gaid(2)))
            await other.observes(**said)
            assert other.last["sdks"] == {"advertisers": "limited", "flurry": "stop"}
        await place.links("a1", named("gaid", gaid(3)))
        strange = place.phone(named("gaid", gaid(3)))
        await strange.observes()  # somebody's: the answer is that of who said no
        assert strange.last["sdks"] == {"advertisers": "limited", "flurry": "stop"}


async def test_a_child_and_whoever_was_never_asked_get_no_ads_by_that_mode(tmp_path):
    more = {"apps__sdks": "advertisers", "recipients__advertisers__contextual": "true", "age__floor": "16"}
    async with standing(tmp_path, **more) as place:
        for members in ({"age": 12}, {"place": "DE"}, {"place": None}):
            phone = place.phone(named("gaid", gaid(4)))
            await phone.observes(**members)
            assert phone.last["sdks"] == {"advertisers": "stop"}, members


# --- how often the answer is that of who said no -------------------------------------------------------------------


@pytest.mark.slow
async def test_strict_answers_are_counted_by_key_and_too_many_of_them_alarm(place):
    await place.links("a1", HERS)
    for number in range(100):
        await place.phone(HERS if number % 3 else named("gaid", gaid(50))).observes()
    metrics = (await place.in_app.get("/metrics")).text
    assert 'gateway_app_starts_total{key_name="app",strict="true"} 66.0' in metrics
    assert 'gateway_app_starts_total{key_name="app",strict="false"} 34.0' in metrics
    assert 'gateway_app_strict_alarm{key_name="app"} 1.0' in metrics


async def test_what_the_ids_of_a_phone_have_from_each_other_is_read_from_the_state(tmp_path, monkeypatch):
    """Else an account with a thousand devices would hold up every opt-out while one of its phones is looked at."""
    async with standing(tmp_path) as place:
        phone = place.phone(HERS, IDFV)
        await phone.observes()
        monkeypatch.setattr(folded_people, "records_of", lambda *_: 1 / 0)
        await out(place, HERS)
        await phone.observes()
        assert await place.reason(IDFV) == "opted_out"
