"""What is forgotten of a person, what stays, and whose it never is (R5, R12, R14, R19)."""

import asyncio
import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from support.people import GAID, IDFV, email, gaid, phone

import gateway
from gateway.choice import identity
from gateway.desk import disclosures, history, outbox, suppression
from gateway.desk.disclosures import Intended
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.recipient_holdings import Left
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.office_acts import KEYED
from gateway.ledger.subjects import milliseconds
from gateway.terms import CHOOSABLE, Erasing, Purpose

MANUAL = (Path(gateway.__file__).parent / "manual" / "erasure.md").read_text()
OF_LISTS = {"deletion_row", "deletion_abroad"}  # for whom a state asks: no erasure takes these away


def test_the_manual_names_each_table_that_a_server_keeps_dead_rows_of_somebody_unlinked_in():
    assert [table for table in KEYED if table not in OF_LISTS and f"`{table}`" not in MANUAL] == []


@pytest.fixture
def erase(story):
    """Erases and gives the number of the first entry; it is done when this returns."""

    def act(mode, *subjects):
        order = ErasureOrder(Erasing(mode), subjects, story.at)
        written = story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
        assert story.do(lambda tx: erasure.done(tx, written.seq))
        return written

    return act


@pytest.fixture
def seen(story, folder):
    """(word, proved, details) of what is on record about somebody, for the desk or for the person."""

    def read(subject, *, person=False):
        people = {each for (each,) in story.rows("SELECT person FROM detail")}
        keys = story.do(lambda tx: {each: tx.persons.keys(each) for each in people})
        whose = (folder, subject.key, keys.__getitem__, (subject.kind, subject.value))
        found = asyncio.run(history.events(*whose, now=story.at if person else None))
        return [(event.body["e"], event.proved, event.details) for event in found]

    return read


def again(story, subject):
    """What stands by what was said of a person and of whoever is connected with them, and nothing else."""
    return story.do(lambda tx: FoldedPeople(tx.db, [subject.key])).standing(subject.key, story.now)


def tables_with(story, keys):
    """Where any of these lies, also within what lies there packed."""
    found = set()
    for (table,) in story.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        values = [value for row in story.rows(f"SELECT * FROM {table}") for value in row if isinstance(value, bytes)]
        found |= {table for value in values for key in keys if key in value}
    return found


def shares(story, subject, recipient, *classes, outcome="sent"):
    """One row of the subject went to a recipient."""
    row = Intended(f"row {recipient} {subject.value}", subject.key, classes)

    def job(tx):
        batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], story.at)
        disclosures.mark(tx, recipient, batch, [row], outcome)

    story.do(job)


def told(story):
    """{recipient: [what it is to be told]}."""

    def job(tx):
        names = [row.recipient for row in outbox.waiting(tx.db)]
        return {name: [json.loads(message.body) for message in outbox.read_messages(tx, name)] for name in names}

    return story.do(job)


class TestErasingDetails:
    def test_forgets_the_details_and_keeps_the_no_with_its_proof(self, story, who, erase, seen):
        person = who("email", email(1))
        story.says(person, details={"note": "called twice"})
        assert seen(person)[0][2]["note"] == "called twice"
        erase("erase_details", person)
        assert seen(person) == [("opt_out", True, {}), ("erased", True, {})]
        assert story.sales(person) == ["opted_out"]
        assert story.rows("SELECT count(*) FROM detail WHERE sealed IS NOT NULL") == [(0,)]

    def test_destroys_the_key_of_the_details_and_not_that_of_the_openings(self, story, who, erase):
        person = who("email", email(1))
        story.says(person)
        [(vault,)] = story.rows("SELECT DISTINCT person FROM detail")
        erase("erase_details", person)
        keys = story.do(lambda tx: tx.persons.keys(vault))
        assert keys.details is None
        assert keys.openings

    def test_shows_whoever_registers_again_nothing_from_before(self, story, who, erase, seen):
        person = who("email", email(1))
        story.says(person)
        erase("erase_details", person)
        assert seen(person, person=True) == []
        story.says(person, "opt_out", Purpose.PROFILING)
        assert [(word, proved) for word, proved, _ in seen(person, person=True)] == [("opt_out", True)]
        assert seen(person)[-1][2]["at"], "what is said afterwards has its details"

    def test_names_no_other_entry_and_nobody(self, story, who, erase):
        person = who("phone", phone(1))
        story.says(person)
        erase("erase_details", person)
        leaf = story.leaves()[-1]
        assert set(leaf) == {"v", "i", "e", "t", "s", "d", "r"}
        assert phone(1) not in json.dumps(leaf)

    def test_is_the_same_for_somebody_who_is_not_known(self, story, who, erase):
        erase("erase_details", who("email", email(1)))
        story.says(who("email", email(2)))
        erase("erase_details", who("email", email(2)))
        first, _, second = story.leaves()
        assert set(first) == set(second)

    def test_leaves_an_account_that_merely_has_it_alone(self, story, who, erase, seen):
        account, tablet, number = who("account", "parent"), who("gaid", GAID), who("phone", phone(1))
        story.links(account, tablet, number)
        story.says(account)
        erase("erase_details", tablet)
        assert seen(account)[0][2]["at"]
        assert seen(number)[0][2]["at"]
        assert seen(tablet)[0][2] == {}

    def test_leaves_what_was_said_on_a_number_before_it_was_given_back(self, story, who, erase, seen):
        """R5: the next holder's erasure touches nothing of the one before."""
        number = who("phone", phone(1))
        story.says(number, details={"of": "the first holder"})
        story.releases(number)
        story.says(number, details={"of": "the second"})
        erase("erase_details", number)
        words = [(word, details.get("of")) for word, _, details in seen(number)]
        assert words == [
            ("opt_out", "the first holder"),
            ("number_released", None),
            ("opt_out", None),
            ("erased", None),
        ]
        assert seen(number)[1][2]["at"]

    def test_reaches_what_was_said_by_a_digest_of_the_same_address(self, story, who, erase, seen):
        digest = who("email_sha256", dict(identity.read_identifier("email", email(1)).names)["email_sha256"])
        story.says(digest, details={"note": "by digest"})
        erase("erase_details", who("email", email(1)))
        assert seen(digest)[0][2] == {}

    def test_the_same_life_is_still_made_again_from_the_log(self, story, who, erase):
        person, account, device = who("email", email(1)), who("account", "a"), who("gaid", GAID)
        story.links(account, person, device)
        story.says(person)
        erase("erase_details", person)
        for each in (person, account, device):
            assert replace(again(story, each), seq=None) == replace(story.standing(each), seq=None)

    def test_forgets_a_second_time_what_came_in_between(self, story, who, erase, seen):
        person = who("email", email(1))
        for _ in range(2):
            story.says(person)
            erase("erase_details", person)
        assert [details for _, _, details in seen(person)] == [{}] * 4


class TestUnlinking:
    @pytest.mark.parametrize("alone", [True, False])
    def test_leaves_no_row_with_any_key_of_the_person(self, story, who, erase, alone):
        """Nor within one; `alone`: each was linked by a call of its own, whose entry brings its names."""
        person, account, device = who("email", email(1)), who("account", "a"), who("gaid", GAID)
        for some in [[person], [device]] if alone else [[person, device]]:
            story.links(account, *some)
        story.says(person)
        story.says(account, "opt_in")
        everything = {key for each in (person, account, device) for key in each.keys}
        erase("unlink", person, account, device)
        assert tables_with(story, everything) == set()

    def test_of_an_account_leaves_the_names_that_came_with_its_link(self, story, who, erase):
        """By a digest of it a no still reaches the identifier."""
        person, account = who("email", email(1)), who("account", "a")
        story.links(account, person)
        assert tables_with(story, person.keys[1:]) == {"side", "mention_piece"}, "they came with it"
        erase("unlink", account)
        assert tables_with(story, account.keys) == set()
        story.says(who("email_sha256", sha256(email(1).encode()).hexdigest()))
        assert story.sales(person) == ["opted_out"]

    def test_keeps_every_receipt(self, story, who, erase, house):
        person = who("email", email(1))
        events = [story.says(person).event for _ in range(3)]
        before = [receipt.entry for receipt in house.consent.log_reader.receipts(events)]
        written = erase("unlink", person)
        after = house.consent.log_reader.receipts([*events, written.event])
        assert [receipt.entry for receipt in after[:3]] == before
        assert after[3] is not None

    def test_the_person_is_nobody_again(self, story, who, erase, seen):
        person = who("email", email(1))
        story.says(person)
        erase("unlink", person)
        assert story.sales(person) == ["none"]
        assert seen(person) == []

    def test_what_others_had_got_from_the_person_stays_theirs(self, story, who, erase):
        person, account, tablet = who("phone", phone(1)), who("account", "family"), who("gaid", GAID)
        story.links(account, person, tablet)
        story.says(person)
        erase("unlink", person)
        assert story.sales(person, account, tablet) == ["none", "opted_out", "opted_out"]
        for each in (account, tablet):
            assert again(story, each).states()["sale"] == "opted_out"

    def test_the_devices_of_an_account_that_goes_stay_denied_and_young(self, story, who, erase):
        account, tablet = who("account", "child"), who("gaid", GAID)
        story.links(account, tablet)
        story.says(account)
        story.do(lambda tx: records.say_age(tx, account, "13_15", story.at, os.urandom(16)))
        erase("unlink", account)
        assert story.sales(tablet) == ["opted_out"]
        assert story.standing(tablet).age_band == "13_15"
        alone = again(story, tablet)
        assert (alone.states()["sale"], alone.age_band) == ("opted_out", "13_15")

    def test_a_form_of_the_address_that_only_others_hash_is_free_again(self, story, who, erase):
        person = who("email", "per.son1@gmail.com")
        form = who(*identity.read_identifier("email", person.value).looser[0])
        story.says(person)
        assert story.sales(form) == ["opted_out"]
        erase("unlink", person)
        assert story.sales(form) == ["none"]

    def test_the_numbers_no_of_the_holder_before_stays(self, story, who, erase, seen):
        number = who("phone", phone(1))
        story.says(number)
        story.releases(number)
        story.says(number, "opt_out", Purpose.PROFILING)
        erase("unlink", number)
        assert story.sales(number) == ["opted_out"]
        assert story.standing(number).states()["profiling"] == "none"
        assert [word for word, _, _ in seen(number)] == ["opt_out", "number_released"]
        assert seen(number, person=True) == []

    def test_the_numbers_no_of_the_holder_before_stays_where_the_clock_is_a_day_behind(self, story, who, erase):
        number = who("phone", phone(1))
        story.says(number)
        story.releases(number)
        story.links(who("account", "b"), number)
        story.at -= timedelta(days=1)
        erase("unlink", number)
        story.at += timedelta(days=1)
        assert story.sales(number, who("account", "b")) == ["opted_out", "none"]

    def test_the_earlier_holders_no_is_there_again_where_a_later_one_had_said_the_same(self, story, who, erase):
        number = who("phone", phone(1))
        before = story.says(number)
        story.releases(number)
        story.says(number)
        erase("unlink", number)
        assert story.sales(number) == ["opted_out"]
        assert story.standing(number).seq == before.seq

    def test_destroys_every_key_that_there_ever_was(self, story, who, erase):
        person = who("email", email(1))
        story.says(person)
        erase("erase_details", person)
        story.says(person)
        people = [each for (each,) in story.rows("SELECT DISTINCT person FROM detail")]
        assert len(people) > 1
        erase("unlink", person)
        keys = story.do(lambda tx: [tx.persons.keys(each) for each in people])
        assert {(each.details, each.openings) for each in keys} == {(None, None)}


class TestAChildWasFound:
    def test_everything_is_denied_at_once_and_for_good(self, story, who, erase):
        account, device, mail = who("account", "child"), who("gaid", GAID), who("email", email(1))
        story.links(account, device, mail)
        erase("child_found", account)
        for each in (account, device, mail):
            assert {story.standing(each).states()[purpose] for purpose in CHOOSABLE} == {"opted_out"}
            assert story.standing(each).age_band == "under_13"

    def test_no_word_makes_them_older(self, story, who, erase):
        device = who("idfv", IDFV)
        erase("child_found", device)
        said = story.do(lambda tx: records.say_age(tx, device, "adult", story.at, os.urandom(16), may_rise=True))
        assert said is None
        assert story.standing(device).age_band == "under_13"

    def test_the_device_stays_denied_for_the_next_account_that_signs_in_on_it(self, story, who, erase):
        account, device, other = who("account", "child"), who("gaid", GAID), who("account", "new")
        story.links(account, device)
        erase("child_found", account)
        story.links(other, device)
        story.do(lambda tx: records.say_age(tx, other, "adult", story.at, os.urandom(16), may_rise=True))
        assert story.sales(device) == ["opted_out"]
        assert story.standing(device).age_band == "under_13"

    def test_the_details_of_what_the_account_has_are_forgotten_too(self, story, who, erase, seen):
        account, device = who("account", "child"), who("gaid", GAID)
        story.links(account, device)
        erase("child_found", account)
        assert [details for _, _, details in seen(device)] == [{}]

    def test_the_system_of_accounts_is_told_which_account_by_its_digest(self, story, who, erase):
        erase("child_found", who("account", "of-a-child"))
        [message] = told(story)["account_backend"]
        assert [each["type"] for each in message["identifiers"]] == ["account_sha256"]
        assert "of-a-child" not in json.dumps(message).replace(message["identifiers"][0]["value"], "")

    def test_the_same_life_is_made_again_from_the_log(self, story, who, erase):
        account, device = who("account", "child"), who("gaid", GAID)
        story.links(account, device)
        erase("child_found", account)
        for each in (account, device):
            assert replace(again(story, each), seq=None) == replace(story.standing(each), seq=None)


class TestTellingRecipients:
    def test_a_recipient_is_told_in_the_form_in_which_it_got_the_identifier(self, story, who, erase):
        device, mail = who("gaid", GAID), who("email", email(1))
        shares(story, device, "teemo", "precise_geo", "ad_id")
        shares(story, mail, "matching", "email_hash")
        erase("erase_details", device, mail)
        found = told(story)
        assert [each["identifiers"] for each in found["teemo"]] == [[{"type": "gaid", "value": GAID}]]
        [message] = found["matching"]
        assert {each["type"] for each in message["identifiers"]} == {"email_md5", "email_sha1", "email_sha256"}
        assert set(message) == {"type", "identifiers", "date", "duty"}
        assert (message["type"], message["date"]) == ("delete", "2026-11-24")
        assert email(1) not in json.dumps(message)

    def test_a_recipient_that_never_had_it_learns_nothing(self, story, who, erase):
        device, mail = who("gaid", GAID), who("email", email(1))
        shares(story, device, "teemo", "precise_geo")  # a point, and no id
        shares(story, device, "advertisers", "ad_id", outcome="not_sent")
        shares(story, who("gaid", gaid(2)), "matching", "ad_id")
        erase("erase_details", device, mail)
        assert told(story) == {}

    def test_bytes_that_may_have_left_count(self, story, who, erase):
        shares(story, who("gaid", GAID), "teemo", "ad_id", outcome="unknown")
        erase("erase_details", who("gaid", GAID))
        assert set(told(story)) == {"teemo"}

    def test_the_rows_go_and_their_entry_stays(self, story, who, erase):
        shares(story, who("gaid", GAID), "teemo", "ad_id")
        erase("erase_details", who("gaid", GAID))
        assert story.rows("SELECT count(*) FROM disclosure") == [(0,)]
        assert "disclosure" in [leaf["e"] for leaf in story.leaves()]

    def test_what_went_out_under_an_earlier_holder_is_not_this_ones_to_delete(self, story, who, erase):
        number = who("phone", phone(1))
        shares(story, number, "matching", "phone_hash")
        story.releases(number)
        erase("erase_details", number)
        assert told(story) == {}
        assert story.rows("SELECT count(*) FROM disclosure") == [(1,)]

    def test_a_key_that_nobody_can_name_keeps_its_rows_until_a_call_names_it(self, story, who, erase):
        account, device = who("account", "child"), who("gaid", GAID)
        story.links(account, device)
        shares(story, device, "teemo", "ad_id")
        erase("child_found", account)
        assert "teemo" not in told(story)
        erase("child_found", device)
        assert told(story)["teemo"][0]["identifiers"] == [{"type": "gaid", "value": GAID}]

    def test_what_was_erased_before_is_still_named_by_its_digest_in_the_outbox_and_nowhere_else(
        self, story, who, erase
    ):
        account, mail = who("account", "child"), who("email", email(1))
        story.links(account, mail)
        erase("erase_details", mail)
        shares(story, mail, "matching", "email_hash")
        erase("child_found", account)
        [message] = told(story)["matching"]
        assert {each["type"] for each in message["identifiers"]} == {"email_md5", "email_sha1", "email_sha256"}

    def test_a_taken_message_has_no_body_left(self, story, who, erase):
        shares(story, who("gaid", GAID), "teemo", "ad_id")
        erase("erase_details", who("gaid", GAID))
        [message] = story.do(lambda tx: outbox.read_messages(tx, "teemo"))
        story.do(lambda tx: outbox.taken(tx, message.id, milliseconds(story.at)))
        assert story.rows("SELECT body, person FROM outbox") == [(None, None)]
        assert told(story) == {}


class TestTheSuppressionRecord:
    @pytest.mark.parametrize(
        ("kind", "value", "kinds"),
        [("email", email(1), {"email_sha256", "email_sha1", "email_md5"}), ("phone", phone(1), {"phone_sha256", "phone_sha1", "phone_md5"}),
         ("gaid", GAID, {"ad_id_sha256", "ad_id_sha1", "ad_id_md5"}), ("idfv", IDFV, set()), ("account", "a", set())],
    )  # fmt: skip
    def test_holds_for_messages_what_recipients_may_be_told_and_nothing_else(
        self, story, who, erase, kind, value, kinds
    ):
        erase("erase_details", who(kind, value))
        assert set(story.do(lambda tx: suppression.read_suppression(tx, who(kind, value).key))) == kinds

    @pytest.mark.parametrize("had", [False, True])
    @pytest.mark.parametrize(("kind", "value"), [("idfv", IDFV), ("account", "a")])
    def test_is_kept_of_what_recipients_key_by_no_digest_only_where_one_of_them_had_it(
        self, story, who, erase, kind, value, had
    ):
        if had:
            shares(story, who(kind, value), "teemo", "device_id" if kind == "idfv" else "account")
        erase("erase_details", who(kind, value))
        assert story.rows("SELECT count(*) FROM suppression") == [(int(had),)]

    def test_is_sealed(self, story, who, erase):
        erase("erase_details", who("email", email(1)))
        known = story.do(lambda tx: suppression.read_suppression(tx, who("email", email(1)).key))
        [(sealed,)] = story.rows("SELECT sealed FROM suppression")
        assert known
        assert not any(value.encode() in sealed or bytes.fromhex(value) in sealed for value in known.values())

    def test_goes_with_an_unlink(self, story, who, erase):
        erase("erase_details", who("email", email(1)))
        erase("unlink", who("email", email(1)))
        assert story.rows("SELECT * FROM suppression") == []

    def test_is_read_by_the_outbox_alone(self):
        """Which of our modules name the table or the room."""
        used = re.compile(r"(FROM|INTO) suppression|suppression\.\w+\(|import suppression$", re.MULTILINE)
        files = [path for path in Path(gateway.__file__).parent.rglob("*.py") if used.search(path.read_text())]
        names = {path.name for path in files} - {"suppression.py", "root.py"}
        assert names <= {
            "recipients_to_tell.py",
            "deletion_orders.py",  # writes it with its erasure
            "erasure.py",
            "erasure_by_unlink.py",
            "late_sends.py",  # writes it too, of who was erased before what went was heard of
        }


@pytest.mark.parametrize("mode", ["child_found", "erase_details", "unlink"])
def test_a_row_is_on_record_no_more_whichever_of_whom_it_names_was_erased(story, who, erase, mode):
    """A file that was made before is not handed over with them; who is first in it is on record still."""
    first, second = who("gaid", GAID), who("phone", phone(1))
    keys = (*first.keys, *second.keys)
    left = (Left("gaid", GAID, first.key, keys), Left("phone", phone(1), second.key, keys))
    rows = [Intended("both", first.key, ("ad_id", "contact"), left), Intended("one", first.key, ("ad_id",), left[:1])]
    batch = story.do(lambda tx: disclosures.intend(tx, "teemo", [Purpose.SALE], rows, story.at))
    marks = [(row.row, batch) for row in rows]
    assert story.do(lambda tx: disclosures.gone_of(tx, "teemo", marks)) == []
    erase(mode, second)
    assert story.do(lambda tx: disclosures.gone_of(tx, "teemo", marks)) == marks[:1]
    third = who("phone", phone(2))
    later = [Intended("later", third.key, ("contact",), (Left("phone", phone(2), third.key, third.keys),))]
    story.do(lambda tx: disclosures.intend(tx, "teemo", [Purpose.SALE], later, story.at))
    assert story.rows("SELECT max(id) FROM held") == [(2,)], "what leaves next has the number that was theirs"
    assert story.do(lambda tx: disclosures.gone_of(tx, "teemo", marks)) == marks[:1]
