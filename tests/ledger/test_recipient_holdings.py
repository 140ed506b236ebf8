"""What recipients hold from us: taken back where it did not leave, forgotten with the person, and nobody else's (R5,
R18)."""

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from support.people import GAID, IDFV, email, gaid, named, phone

from gateway.choice import identity
from gateway.choice.recipient import Holds
from gateway.consent import people
from gateway.desk import access, disclosures, outbox, recipient_holdings, recipients_to_tell, suppression
from gateway.desk.disclosures import Acknowledged, Counted, Intended
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.kept_request import KeptRequest
from gateway.desk.recipient_holdings import Left
from gateway.desk.recipients_to_tell import ToldWord
from gateway.desk.suppression import suppression_of
from gateway.ledger.acts import links, records
from gateway.ledger.subjects import Choice, milliseconds, subject_of
from gateway.terms import ALL_PURPOSES, ChoiceKind, DataClass, Erasing, Purpose

ALGORITHMS = ("sha256", "sha1", "md5")
FIRST_TO_LAST = pytest.mark.parametrize("first_to_last", [True, False])


@pytest.fixture
def leaves(story):
    """A row of these people leaves to a recipient with an identifier in it. Returns how it is marked later."""

    def act(recipient, what, *people, outcome="sent", classes=("ad_id",)):
        left = Left(what.kind, what.value, what.key, tuple(each.key for each in people))
        row = Intended(os.urandom(4).hex(), people[0].key if people else what.key, classes, (left,))

        def job(tx):
            batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], story.at)
            if outcome:
                disclosures.mark(tx, recipient, batch, [row], outcome)
            return batch

        batch = story.do(job)
        return lambda word: story.do(lambda tx: disclosures.mark(tx, recipient, batch, [row], word))

    return act


@pytest.fixture
def announces(story):
    """A row leaves with all of these identifiers to one recipient, found by the keys of `own`, and the same of somebody
    else beside it. Returns how it is marked later.
    """

    def act(whats, own, classes=("ad_id", "contact", "email_hash")):
        keys = tuple(each.key for each in own)
        row = Intended(
            os.urandom(4).hex(), keys[0], classes, tuple(Left(each.kind, each.value, each.key, keys) for each in whats)
        )
        left = (Left("gaid", gaid(7), b"another's".ljust(16), ()),)
        other = Intended(os.urandom(4).hex(), b"another's".ljust(16), classes, left)
        batch = story.do(lambda tx: disclosures.intend(tx, "teemo", [Purpose.SALE], [other, row], story.at))
        return lambda word: story.do(lambda tx: disclosures.mark(tx, "teemo", batch, [row], word))

    return act


@pytest.fixture
def says(story):
    def act(person, kind="opt_out", *purposes):
        choice = Choice(ChoiceKind(kind), purposes or ALL_PURPOSES, "api", story.at)
        story.do(lambda tx: recipients_to_tell.write_and_tell(tx, person, choice, os.urandom(16)))

    return act


@pytest.fixture
def told(story):
    """What waits for a recipient: (type, its identifiers)."""

    def read(recipient):
        messages = story.do(lambda tx: [json.loads(item.body) for item in outbox.read_messages(tx, recipient)])
        return [(item["type"], [each["value"] for each in item["identifiers"]]) for item in messages]

    return read


def test_what_left_under_the_plainest_spelling_of_a_mailbox_is_told_of_a_no_in_another(who, leaves, says, told):
    """Nothing was ever said of either."""
    plain, dotted = who("email", "janedoe@gmail.com"), who("email", "jane.doe@gmail.com")
    leaves("teemo", plain, plain)
    says(dotted)
    assert told("teemo") == [("opt_out", ["janedoe@gmail.com"])]


@pytest.mark.parametrize("screen", ["dark", "fair"])
def test_a_no_that_comes_back_with_the_void_of_a_forgotten_persons_yes_is_told(story, house, who, leaves, told, screen):
    """Of the yes only that is kept which other spelling's no it took back, and on which screen."""
    plain, dotted = who("email", "janedoe@gmail.com"), who("email", "jane.doe@gmail.com")
    story.says(dotted)
    story.says(plain, "opt_in", Purpose.SALE, ui="dark")
    leaves("teemo", dotted, dotted)
    order = ErasureOrder(Erasing.UNLINK, [plain], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    before = (story.sales(dotted), told("teemo"))
    assert before == (["none"], [])
    assert asyncio.run(house.consent.void_consents(screen, bytes(32))) == 0, "nobody's that is known"
    assert story.sales(dotted) == ["opted_out" if screen == "dark" else "none"], "another screen is the control"
    assert told("teemo") == [("opt_out", ["jane.doe@gmail.com"])] * (screen == "dark")


def test_an_own_system_is_told_again_of_a_no_that_comes_back_with_a_void(story, house, who, leaves, says, told):
    """It heard of the no before, and nothing of the yes."""
    device, beside, system = who("gaid", GAID), who("gaid", gaid(2)), "system:warehouse"
    story.do(lambda tx: tx.db.execute("INSERT INTO own_system VALUES ('warehouse', 'gaid', 1)").rowcount)
    says(device)
    yes = Choice(ChoiceKind.OPT_IN, ALL_PURPOSES, "api", story.at, ui="dark")
    story.do(lambda tx: recipients_to_tell.write_and_tell(tx, device, yes, os.urandom(16)))
    leaves("teemo", device, device)
    leaves("teemo", beside, device)
    assert told(system) == [("opt_out", [GAID])], "the control"
    assert asyncio.run(house.consent.void_consents("dark", bytes(32))) == 1
    assert {each for _, values in told("teemo") for each in values} == {GAID, gaid(2)}
    assert told(system) == [("opt_out", [GAID])] * 2, "and of nobody whom a row merely named beside it"
    assert asyncio.run(house.consent.void_consents("dark", bytes(32))) == 0
    assert len(told(system)) == 2, "nor twice"


def test_what_did_not_leave_is_told_to_nobody(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), outcome="not_sent")
    says(who("gaid", GAID))
    assert told("teemo") == []
    assert story.rows("SELECT count(*) FROM held") == [(0,)]


def test_what_may_have_left_is_told(who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), outcome="unknown")
    leaves("matching", who("gaid", GAID), outcome=None)
    says(who("gaid", GAID))
    assert told("teemo") == told("matching") == [("opt_out", [GAID])]


def test_a_row_that_was_held_back_takes_nothing_from_an_earlier_one(who, leaves, says, told):
    leaves("teemo", who("gaid", GAID))
    leaves("teemo", who("gaid", GAID), outcome="not_sent")
    says(who("gaid", GAID))
    assert told("teemo") == [("opt_out", [GAID])]


def test_a_row_of_which_it_is_known_late_that_it_did_not_leave_takes_nothing_from_one_that_left_since(
    story, who, leaves, says, told
):
    """A bid that was lost is reported after another one was sent. Only what is kept of it leads from the account."""
    account, phone_ = who("account", "a"), who("gaid", GAID)
    story.links(account, phone_)
    lost = leaves("teemo", phone_, outcome=None)
    leaves("teemo", phone_)
    lost("not_sent")
    says(account)
    assert told("teemo") == [("opt_out", [GAID])]


@FIRST_TO_LAST
def test_of_several_rows_that_did_not_leave_nothing_is_kept_in_whatever_order_that_is_known(
    story, who, leaves, says, told, first_to_last
):
    rows = [leaves("teemo", who("gaid", GAID), outcome=None) for _ in range(3)]
    for row in rows if first_to_last else reversed(rows):
        row("not_sent")
    says(who("gaid", GAID))
    assert told("teemo") == []
    assert story.rows("SELECT count(*) FROM held") == story.rows("SELECT count(*) FROM held_key") == [(0,)]


def test_a_row_that_did_not_leave_takes_nothing_whose_first_row_went_with_somebody_who_was_erased(
    story, who, leaves, says, told
):
    """The tablet left with a row of two people; of the one nothing is on record any more."""
    tablet, one, other = who("gaid", GAID), who("email", email(1)), who("email", email(2))
    leaves("teemo", tablet, one, other)
    order = ErasureOrder(Erasing.DETAILS, [one], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    leaves("teemo", tablet, other, outcome="not_sent")
    says(other)
    assert ("opt_out", [GAID]) in told("teemo")


def said(first_to_last, *reports):
    for row, word in reports if first_to_last else reversed(reports):
        row(word)


@FIRST_TO_LAST
@pytest.mark.parametrize("lost", [0, 1])
def test_what_came_with_a_row_that_was_lost_is_not_told_because_another_row_left(
    who, announces, says, told, lost, first_to_last
):
    """R18: of two bids of one person one had the address beside the ad id."""
    device, mail = who("gaid", GAID), who("email", email(1))
    rows = [announces(each, (device, mail)) for each in ([device, mail], [device])[:: -1 if lost else 1]]
    said(first_to_last, (rows[lost], "not_sent"), (rows[1 - lost], "sent"))
    says(mail)
    says(device)
    assert told("teemo") == [("opt_out", [GAID])]


@FIRST_TO_LAST
@pytest.mark.parametrize("lost", [0, 1])
def test_of_an_address_that_was_lost_and_its_hash_that_left_the_hash_alone_is_told(
    who, announces, says, told, lost, first_to_last
):
    """Both go by one key."""
    mail, hashed = who("email", email(1)), who("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
    assert mail.key == hashed.key
    forms = ([mail], ("contact",)), ([hashed], ("email_hash",))
    rows = [announces(whats, [mail], classes) for whats, classes in forms[:: -1 if lost else 1]]
    said(first_to_last, (rows[lost], "not_sent"), (rows[1 - lost], "sent"))
    says(mail)
    assert told("teemo") == [("opt_out", [hashed.value])]


@pytest.mark.parametrize("hash_first", [True, False])
def test_what_left_as_itself_and_as_a_hash_is_told_as_both(who, announces, says, told, hash_first):
    mail, hashed = who("email", email(1)), who("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
    for each in [hashed, mail] if hash_first else [mail, hashed]:
        announces([each], [mail])("sent")
    says(mail)
    [(word, values)] = told("teemo")
    assert (word, set(values)) == ("opt_out", {hashed.value, mail.value})


@FIRST_TO_LAST
@pytest.mark.parametrize("account_first", [True, False])
def test_of_rows_of_one_device_by_several_keys_none_of_which_left_nothing_is_kept(
    story, who, announces, says, told, account_first, first_to_last
):
    account, device = who("account", "a"), who("gaid", GAID)
    owns = [[device], [account, device]]
    rows = [announces([device], own) for own in (reversed(owns) if account_first else owns)]
    said(first_to_last, *((row, "not_sent") for row in rows))
    assert story.rows("SELECT count(*) FROM held") == [(1,)]
    says(account)
    says(device)
    assert told("teemo") == []


def test_a_row_that_was_held_back_leaves_no_key_behind_by_which_it_alone_was_known(who, announces, says, told):
    account, device = who("account", "a"), who("gaid", GAID)
    announces([device], [device])("sent")
    announces([device], [device, account])("not_sent")
    says(account)
    assert told("teemo") == []
    says(device)
    assert told("teemo") == [("opt_out", [GAID])]


@pytest.mark.parametrize("other", ["sent", "not_sent"])
def test_a_row_of_which_nobody_wrote_down_what_it_took_may_have_taken_all_of_it(
    story, who, announces, says, told, other
):
    """Before version 36."""
    device = who("gaid", GAID)
    rows = [announces([device], [device]) for _ in range(2)]
    story.do(lambda tx: tx.db.execute("UPDATE disclosure SET held = NULL").rowcount)
    story.do(lambda tx: tx.db.execute("UPDATE held SET kinds = NULL").rowcount)
    said(True, (rows[1], other), (rows[0], "not_sent"))
    says(device)
    assert told("teemo") == [("opt_out", [GAID])] * (other == "sent")


def test_whether_another_row_left_is_looked_for_among_those_of_the_person_not_of_the_recipient(story):
    for sql in (recipient_holdings.LAST, recipient_holdings.KNOWN_ROW):
        plan = story.rows("EXPLAIN QUERY PLAN " + sql.replace("?", "1"))
        [rows] = [row[3] for row in plan if row[3].startswith(("SEARCH d ", "SCAN d"))]
        assert rows == "SEARCH d USING INDEX disclosure_key (key=? AND recipient=?)"


def test_what_is_kept_of_one_thing_hides_nothing_else_that_was_only_counted(story, who, leaves, says, told):
    """The ad id was announced with the address beside it; a hash of the address went with another answer."""
    mail, device = who("email", email(1)), who("gaid", GAID)
    leaves("matching", device, mail)
    one = Counted(mail.key, "matching", ("sale",), ("email_hash",), "sent", story.now)
    story.do(lambda tx: disclosures.count_disclosures(tx, [one], story.at))
    says(mail)
    [(word, values)] = told("matching")
    digests = {hashlib.new(each, email(1).encode()).hexdigest() for each in ALGORITHMS}
    assert (word, set(values)) == ("opt_out", {GAID} | digests)


def test_of_what_is_kept_as_it_left_no_other_form_is_told(story, who, leaves, says, told):
    """R18: the recipient has the SHA-256 of it, however often that was counted besides."""
    mail = who("email", email(1))
    hashed = who("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
    leaves("matching", hashed, mail, classes=("email_hash",))
    one = Counted(mail.key, "matching", ("sale",), ("email_hash",), "sent", story.now)
    story.do(lambda tx: disclosures.count_disclosures(tx, [one], story.at))
    says(mail)
    assert told("matching") == [("opt_out", [hashed.value])]


@pytest.mark.parametrize("mode", [*Erasing])
def test_what_left_beside_another_s_is_forgotten_with_whose_it_is_and_told_no_more(
    story, who, leaves, says, told, mode
):
    """Its recipient was asked to delete it; of the other one nothing is forgotten."""
    mail, device = who("email", email(1)), who("gaid", GAID)
    leaves("teemo", mail, mail, device)
    leaves("teemo", device, device, mail)
    order = ErasureOrder(mode, [mail], story.at)
    [(person,)] = story.rows("SELECT person FROM held WHERE named = ?", mail.key)
    assert story.do(lambda tx: tx.persons.keys(person).details), "what seals it"
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    [(word, values)] = told("teemo")
    assert (word, email(1) in values) == ("delete", True)
    assert story.rows("SELECT named FROM held") == story.rows("SELECT key FROM held_key") == [(device.key,)]
    assert not story.do(lambda tx: tx.persons.keys(person).details)
    before = story.rows("SELECT word FROM informed WHERE named = ?", mail.key)
    says(device)
    assert [each for each in told("teemo") if each[0] != "delete"] == [("opt_out", [GAID])]
    assert story.rows("SELECT word FROM informed WHERE named = ?", mail.key) == before


def test_what_left_beside_whose_number_it_was_then_stays_theirs(story, who, leaves, says, told):
    """R5: the number has another holder since, who is unlinked."""
    number, old = who("phone", phone(1)), who("account", "old")
    story.links(old, number)
    leaves("teemo", number, number, old)
    story.at += timedelta(hours=1)
    story.releases(number)
    story.at += timedelta(hours=1)
    leaves("teemo", number, number, who("gaid", GAID))
    order = ErasureOrder(Erasing.UNLINK, [number], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.rows("SELECT key FROM held_key") == [(old.key,)]
    says(old)
    assert [each for each in told("teemo") if each[0] != "delete"] == [("opt_out", [phone(1)])]


def test_what_an_earlier_unlink_left_beside_another_s_goes_with_the_next(story, who, leaves):
    mail, device = who("email", email(1)), who("gaid", GAID)
    leaves("teemo", mail, mail, device)
    story.do(lambda tx: tx.db.execute("DELETE FROM held_key WHERE key = ?", (mail.key,)).rowcount)
    order = ErasureOrder(Erasing.UNLINK, [mail], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.rows("SELECT count(*) FROM held") == story.rows("SELECT count(*) FROM held_key") == [(0,)]


def test_an_erased_number_stands_in_the_suppression_file_by_the_digest_that_left(story, who, leaves, says):
    """With its plus; its other digests are of forms that no row of ours has."""
    number = who("phone", phone(1))
    digest = hashlib.sha256(phone(1).encode()).hexdigest()
    leaves("matching", who("phone_sha256", digest), number, classes=("phone_hash",))
    says(number)

    def listed():
        return [
            each.digest for each in story.do(lambda tx: suppression_of(tx, "matching", "sha256", [Purpose.SALE])).listed
        ]

    before = listed()
    order = ErasureOrder(Erasing.DETAILS, [number], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert before == listed() == [digest]


OF_ALL_KINDS = (
    ("gaid", GAID), ("idfv", IDFV), ("appset", IDFV), ("serial", "SN12345678"), ("email", email(1)), ("phone", phone(1)),
    ("account", "jane"), ("id:crm", "c-123456"), ("eid:ids.example", "Xyz-1234567890"), ("cookie:_ga", "GA1.2.3"),
)  # fmt: skip


@pytest.fixture
def listed(story):
    def read(algorithm):
        found = story.do(lambda tx: suppression_of(tx, "matching", algorithm, [Purpose.SALE]))
        return [(each.kind, each.digest) for each in found.listed], found.unnamed

    return read


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("by", ["age", "an erasure"])
def test_no_opt_out_leaves_a_suppression_file_by_getting_old_or_with_an_erasure(
    story, house, leaves, says, listed, by, algorithm
):
    """R19: whatever kind it is of, and whichever digest the recipient keys by, which the configuration may change."""
    people = [subject_of(identity.read_kept(kind, value), house.secrets) for kind, value in OF_ALL_KINDS]
    for each in people:
        leaves("matching", each, each)
        says(each)
    before = listed(algorithm)
    assert (len(before[0]), before[1]) == (len(people), 0)
    if by == "age":
        later = milliseconds(story.at + timedelta(days=1))
        story.do(lambda tx: suppression.keep_digests(tx, later, 0, 1000))
        story.do(lambda tx: recipient_holdings.prune_held(tx, later, 0, 1000))
    else:
        order = ErasureOrder(Erasing.DETAILS, people, story.at)
        story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.rows("SELECT 1 FROM held") == []
    assert listed(algorithm) == before


@pytest.fixture
def hands_back(story):
    """A row of somebody is handed back to be sent to a recipient. Returns how its caller says what became of it."""

    def act(recipient, who):
        row = Intended("r1", who.key, ("ad_id",), (Left(who.kind, who.value, who.key, who.keys),))

        def job(tx):
            batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], story.at, job=b"")
            disclosures.mark(tx, recipient, batch, [row], "possible")

        story.do(job)
        return lambda word: story.do(
            lambda tx: disclosures.acknowledge(tx, [Acknowledged(word, "", "r1", recipient)], story.at)
        )

    return act


def test_what_its_caller_says_did_not_leave_stands_in_no_file_until_it_says_that_it_did(who, hands_back, says, listed):
    became = hands_back("matching", who("gaid", GAID))
    became("not_sent")
    says(who("gaid", GAID))
    assert listed("sha256") == ([], 0)
    became("sent")
    assert len(listed("sha256")[0]) == 1


def test_what_its_caller_says_did_not_leave_goes_with_its_person(story, who, hands_back, told):
    became = hands_back("matching", who("gaid", GAID))
    became("not_sent")
    order = ErasureOrder(Erasing.DETAILS, [who("gaid", GAID)], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.rows("SELECT 1 FROM held UNION ALL SELECT 1 FROM held_key") == []
    assert [step.known for step in became("sent")] == [False]
    assert told("matching") == [("delete", [GAID])], "nothing is left by which a later word could be told"
    story.do(lambda tx: disclosures.forget_outcomes(tx, story.at + timedelta(hours=2, seconds=1)))
    assert story.rows("SELECT 1 FROM reported") == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_child_s_account_has_stays_in_the_file_though_the_account_alone_was_named(
    story, who, leaves, listed, algorithm
):
    child, device, stranger = who("account", "child"), who("gaid", GAID), who("gaid", gaid(2))
    story.links(child, device)
    leaves("matching", device, device, child)
    leaves("matching", stranger, stranger, child)
    hashed = hashlib.new(algorithm, GAID.encode()).hexdigest()
    order = ErasureOrder(Erasing.CHILD, [child], story.at)
    story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert [named for (named,) in story.rows("SELECT DISTINCT named FROM held")] == [stranger.key], "the control"
    assert listed(algorithm) == ([("ad_id", hashed)], 0)
    assert {key for (key,) in story.rows("SELECT key FROM suppression")} == {device.key}, "nor of whom it merely named"


def test_who_was_told_to_nobody_stays_in_the_file_once_what_left_is_pruned_and_is_not_shown_as_told(
    story, who, leaves, listed
):
    """Nobody was told: it left behind the no, for what the no is not about."""
    person = who("gaid", GAID)
    story.says(person)
    leaves("matching", person)
    before, later = listed("sha256"), milliseconds(story.at + timedelta(days=1))
    assert len(before[0]) == 1
    story.do(lambda tx: suppression.keep_digests(tx, later, 0, 1000))
    story.do(lambda tx: recipient_holdings.prune_held(tx, later, 0, 1000))
    assert story.rows("SELECT 1 FROM held") == []
    assert listed("sha256") == before
    [found] = story.do(lambda tx: suppression_of(tx, "matching", "sha256", [Purpose.SALE])).listed
    assert found.at is None
    assert story.do(lambda tx: tx.db.execute(access.INFORMED, (person.key, later)).fetchall()) == []


def test_who_said_no_long_ago_and_left_since_is_in_the_file_of_what_changed(story, who, leaves):
    person = who("gaid", GAID)
    story.says(person)

    def changed(earlier=""):
        found = story.do(lambda tx: suppression_of(tx, "matching", "sha256", [Purpose.SALE], earlier))
        return len(found.listed), found.position

    leaves("teemo", person)
    before = changed()
    assert before[0] == 0
    leaves("matching", person)
    assert changed(before[1])[0] == 1
    assert changed(changed()[1])[0] == 0, "the control"


def test_no_browsers_own_id_is_kept_for_a_file(story, house):
    browser = house.consent.people.browser("b" * 32)
    story.do(lambda tx: suppression.keep_suppression(tx, browser))
    assert story.rows("SELECT 1 FROM suppression") == []


def test_of_an_address_whose_hash_alone_goes_the_address_is_not_kept(house):
    """An ad server names the address and sends its hash; who is told of the no must not learn the address by it."""
    known, matching = house.consent.people, house.consent.recipients["matching"]
    own = known.name([named("email", email(1))]).keys
    [hashed] = people.named(known, [named("email", email(1))], ["email_hash"], own, matching)
    forms = {hashed.kind: hashed.value, **dict(hashed.further)}
    assert forms == {f"email_{each}": hashlib.new(each, email(1).encode()).hexdigest() for each in ALGORITHMS}
    assert hashed.named in own
    [plain] = people.named(known, [named("email", email(1))], ["contact", "email_hash"], own, matching)
    assert (plain.kind, plain.value) == ("email", email(1))


def test_a_partners_own_id_that_was_named_leaves_with_the_class_of_the_field_that_holds_it(house):
    known = people.People(house.secrets, house.consent.clock, ("appsflyer",))
    teemo = replace(
        house.consent.recipients["teemo"],
        fields={"device": DataClass.DEVICE_ID},
        held={"device": Holds(("id:appsflyer",))},
    )
    mine = [named("id:appsflyer", "1600000000000-1234567")]
    own = known.name(mine).keys
    [one] = people.named(known, mine, ["device_id"], own, teemo)
    assert (one.kind, one.value, one.named) == (*mine[0].values(), own[0])
    assert people.named(known, mine, ["ad_id"], own, teemo) == ()


def test_data_that_left_again_is_told_of_again(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID))
    says(who("gaid", GAID))
    says(who("gaid", GAID))
    assert len(told("teemo")) == 1
    leaves("teemo", who("gaid", GAID))
    says(who("gaid", GAID))
    assert len(told("teemo")) == 2


def test_the_next_holder_of_a_number_tells_nobody_of_the_one_before(story, who, leaves, says, told):
    """R5: the earlier holder's ad id stays theirs. The number itself is the number, whoever has it."""
    number, old_phone = who("phone", phone(1)), who("gaid", GAID)
    leaves("teemo", old_phone, number)
    leaves("matching", number, classes=("phone_hash",))
    story.releases(number)
    says(number)
    assert told("teemo") == []
    assert told("matching") == [("opt_out", [phone(1)])]


def test_one_account_never_tells_of_what_another_has(story, who, leaves, says, told):
    tablet, one, other = who("gaid", GAID), who("account", "a"), who("account", "b")
    theirs = who("gaid", gaid(2))
    story.links(one, tablet)
    story.links(other, tablet, theirs)
    leaves("teemo", theirs)
    says(one)
    assert told("teemo") == []


def test_a_link_tells_nothing_of_another_account_that_has_the_phone_and_came_back(story, who, leaves, says, told):
    """P5: bob came back by both acts, and the phone's own no stays. Then the backend links the phone to ann."""
    number, bobs, anns = who("phone", phone(1)), who("gaid", GAID), who("gaid", gaid(2))
    bob, ann = who("account", "bob"), who("account", "ann")
    story.links(bob, bobs, number)
    leaves("teemo", bobs)
    says(number)
    assert told("teemo") == [("opt_out", [GAID])]
    says(bob, "opt_in", Purpose.SALE)
    assert story.sales(bobs) == ["none"]
    leaves("teemo", bobs)
    story.links(ann, anns)
    leaves("teemo", anns)
    story.links(ann, number)
    assert (story.sales(bobs), story.sales(anns)) == (["none"], ["opted_out"])
    assert sorted(told("teemo")) == [("opt_out", [gaid(2)]), ("opt_out", [GAID])]


def test_a_name_that_is_learnt_tells_of_what_its_account_has_and_of_no_account_that_got_free_of_it(
    story, who, leaves, says, told
):
    """Of an address the account has one digest, another one said no; bob does not have it any more."""
    names = dict(identity.read_identifier("email", email(1)).names)
    md5, sha256 = (who(f"email_{each}", names[f"email_{each}"]) for each in ("md5", "sha256"))
    bob, bobs, ann, anns = who("account", "bob"), who("gaid", GAID), who("account", "ann"), who("gaid", gaid(2))
    story.links(ann, anns, md5)
    story.links(bob, bobs, md5)
    story.at += timedelta(minutes=1)
    story.unlinks(bob, md5)
    says(sha256)
    leaves("teemo", bobs)
    leaves("matching", anns)
    story.do(lambda tx: records.know_names(tx, who("email", email(1)), story.now))
    assert (story.sales(bobs), story.sales(anns)) == (["none"], ["opted_out"])
    assert (told("teemo"), told("matching")) == ([], [("opt_out", [gaid(2)])])


def test_another_spelling_that_is_met_tells_nothing_of_an_account_that_came_back(story, who, leaves, says, told):
    """What one spelling of a mailbox said holds for each, and went up to the account before it came back."""
    plain, dotted, further = (who("email", f"{each}@gmail.com") for each in ("janedoe", "jane.doe", "j.ane.doe"))
    bob, bobs = who("account", "bob"), who("gaid", GAID)
    story.links(bob, bobs, plain)
    leaves("teemo", bobs)
    says(dotted)
    says(plain)
    assert told("teemo") == [("opt_out", [GAID])]
    says(bob, "opt_in", Purpose.SALE)
    leaves("teemo", bobs)
    assert story.sales(bobs) == ["none"]
    story.do(lambda tx: records.know_names(tx, further, story.now))
    assert (story.sales(bobs), story.sales(further)) == (["none"], ["opted_out"])
    assert told("teemo") == [("opt_out", [GAID])]


def test_what_a_link_tells_costs_the_same_however_often_an_account_said_no(story, who, leaves, says, told):
    """Counted in statements of the writer, whom everybody waits for."""

    def statements(account, number, noes):
        owner, mine, new = who("account", account), who("gaid", gaid(number)), who("gaid", gaid(number + 1))
        story.links(owner, mine)
        for purpose in ALL_PURPOSES[:noes]:
            story.at += timedelta(minutes=1)
            says(owner, "opt_out", purpose)
        leaves("teemo", mine)
        leaves("matching", new)
        seen = []

        def job(tx):
            links.link_identifiers(tx, owner, [new], links.Span(0), story.now)
            tx.db.set_trace_callback(seen.append)
            try:
                recipients_to_tell.tell_carried(tx)
            finally:
                tx.db.set_trace_callback(None)

        story.do(job)
        return len(seen)

    few, many = statements("ann", 10, 1), statements("bob", 20, len(ALL_PURPOSES))
    assert len(told("matching")) == 2
    assert abs(many - few) <= 1, "one more where the digest's entries end in another piece of a run"


def test_an_erased_persons_rows_are_gone_and_their_keys_with_them(story, who, leaves):
    person = who("email", email(1))
    leaves("matching", person)
    [(vault,)] = story.rows("SELECT person FROM held")
    order = ErasureOrder(Erasing.DETAILS, [person], story.at)
    written = story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.do(lambda tx: erasure.done(tx, written.seq))
    assert story.rows("SELECT count(*) FROM held") == story.rows("SELECT count(*) FROM held_key") == [(0,)]
    assert story.do(lambda tx: tx.persons.keys(vault)).details is None


def test_what_left_long_ago_is_forgotten(story, who, leaves):
    leaves("teemo", who("gaid", GAID))
    story.at += timedelta(days=800)
    leaves("teemo", who("gaid", gaid(2)))
    story.do(lambda tx: recipient_holdings.prune_held(tx, milliseconds(story.at - timedelta(days=730)), 0, 1_000))
    [(named,)] = story.rows("SELECT named FROM held")
    assert named == who("gaid", gaid(2)).key


SALE, GEO, AD = {"sale"}, {"precise_geo"}, {"ad_id"}


@pytest.mark.parametrize(
    ("said", "purposes", "classes", "word"),
    [
        ({Purpose.SALE}, SALE, AD, ToldWord.OPT_OUT),
        ({Purpose.TARGETED_ADS}, {"profiling"}, AD, ToldWord.OPT_OUT),
        ({Purpose.SALE}, {"service", "security"}, AD, None),
        ({Purpose.SALE}, {"marketing_email"}, {"contact"}, ToldWord.OPT_OUT),
        ({Purpose.MARKETING_EMAIL}, {"marketing_email"}, {"contact"}, ToldWord.OPT_OUT),
        ({Purpose.MARKETING_EMAIL}, SALE, AD, None),
        ({Purpose.SENSITIVE}, SALE, GEO, ToldWord.LIMIT),
        ({Purpose.SENSITIVE}, SALE, AD, None),
        ({Purpose.SENSITIVE}, {"service"}, GEO, None),
        (set(ALL_PURPOSES), SALE, GEO, ToldWord.OPT_OUT),
        ({Purpose.CPNI_DISCLOSURE}, {"cpni_disclosure"}, {"cpni"}, ToldWord.OPT_OUT),
        ({Purpose.CPNI_DISCLOSURE}, SALE, {"ad_id", "cpni"}, ToldWord.LIMIT),
        ({Purpose.CPNI_DISCLOSURE}, SALE, AD, None),
        ({Purpose.CPNI_DISCLOSURE}, {"service"}, {"cpni"}, None),
        ({Purpose.CALL_LOCATION}, SALE, GEO, ToldWord.LIMIT),
        ({Purpose.CALL_LOCATION}, SALE, AD, None),
    ],
)
def test_whom_a_choice_is_about(said, purposes, classes, word):
    about = (frozenset(said), frozenset(purposes), frozenset(classes))
    assert recipients_to_tell.word_for(*about, third=True) == word


@pytest.mark.parametrize(
    ("said", "purposes", "word"),
    [
        ({Purpose.SALE}, {"marketing_email"}, None),
        ({Purpose.SALE}, {"profiling"}, None),
        ({Purpose.SALE}, SALE, ToldWord.OPT_OUT),
        ({Purpose.MARKETING_EMAIL}, {"marketing_email"}, ToldWord.OPT_OUT),
    ],
)
def test_whom_within_the_business_a_choice_is_about(said, purposes, word):
    about = (frozenset(said), frozenset(purposes), frozenset({"contact"}))
    assert recipients_to_tell.word_for(*about, third=False) == word


def test_a_limit_goes_out_as_an_opt_out_with_its_own_duty(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), classes=("ad_id", DataClass.PRECISE_GEO))
    says(who("gaid", GAID), "limit", Purpose.SENSITIVE)
    assert told("teemo") == [("opt_out", [GAID])]
    [body] = story.do(lambda tx: [item.body for item in outbox.read_messages(tx, "teemo")])
    assert "sensitive" in json.loads(body)["duty"]


def test_an_ad_id_whose_platform_nobody_told_is_found_under_each(house):
    """A row that lists one ad id and carries another: whoever opts out by either is found."""
    known = house.consent.people
    mine = known.name([named("gaid", GAID)]).subjects[0]
    fields = {"ad_id": DataClass.AD_ID}
    [one] = people.left(known, {"ad_id": GAID}, fields, ["gaid"], mine.keys)
    assert (one.kind, one.named) == ("gaid", mine.key)
    [other] = people.left(known, {"ad_id": gaid(2)}, fields, ["gaid"], mine.keys)
    wanted = {known.name([named(kind, gaid(2))]).subjects[0].key for kind in ("gaid", "idfa", "oaid")}
    assert wanted | set(mine.keys) <= set(other.keys)


def test_a_number_that_was_given_back_and_leaves_again_is_its_new_holders(story, who, leaves, says, told):
    number, old, new = who("phone", phone(1)), who("gaid", GAID), who("gaid", gaid(2))
    leaves("teemo", old, number)
    leaves("teemo", new, number)
    story.releases(number)
    leaves("teemo", new, number)
    says(number)
    assert told("teemo") == [("opt_out", [gaid(2)])]


def test_a_no_that_was_kept_beside_the_ledger_is_passed_on_once_it_is_entered(story, who, leaves, told):
    person = who("gaid", GAID)
    leaves("teemo", person)
    kept = KeptRequest(os.urandom(16), (person,), Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", story.at))
    assert story.do(kept.enter_once)
    assert not story.do(kept.enter_once)
    assert told("teemo") == [("opt_out", [GAID])]


def test_what_is_kept_under_the_number_of_somebody_erased_is_not_put_off_by_what_was_said_of_them(
    story, who, leaves, hands_back, told
):
    """A recipient is not told of what it never had (R18)."""
    first, second = who("phone", phone(1)), who("phone", phone(2))
    hands_back("teemo", first)("not_sent")
    for each in (first, second):
        if each is second:
            leaves("teemo", each, each, outcome="not_sent")
        order = ErasureOrder(Erasing.DETAILS, [each], story.at)
        story.do(lambda tx, order=order: erasure.erase(tx, order, os.urandom(16)))
    assert told("teemo") == [("delete", [phone(1)])]
    assert story.rows("SELECT 1 FROM held") == []
