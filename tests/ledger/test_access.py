import random
from datetime import UTC, datetime, timedelta
from hashlib import md5

import pytest
from support.people import GAID, email, gaid, phone

from gateway.desk import access, disclosures, documents, notices
from gateway.desk.disclosures import Intended
from gateway.desk.documents import Document
from gateway.desk.recipient_holdings import Left
from gateway.keys import secret_files
from gateway.keys.secret_files import PersonKeys
from gateway.ledger.acts import links, records
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.store import SqliteStore
from gateway.ledger.subjects import milliseconds
from gateway.terms import ChoiceKind, NoticeKind, Purpose, Told

HOUR = timedelta(hours=1)


@pytest.fixture
def report(folder, story):
    """What whoever proved these identifiers is shown."""

    def of(*proved):
        found = access.read_access(SqliteStore(folder), proved, story.at)
        people = story.do(lambda tx: {person: tx.persons.keys(person) for person in found.persons})
        return access.unseal_access(found, people)

    return of


@pytest.fixture
def said(report):
    """The same as (kind of identifier, word) a line."""
    return lambda *proved: [(entry.kind, entry.leaf["e"]) for entry in report(*proved).entries]


@pytest.fixture
def send(story):
    """Rows about a key leave for a recipient, with an outcome."""
    counter = iter(range(1000))

    def go(subject, outcome="sent", to="teemo", count=1, key=None, left=()):
        classes = ("ad_id", "coarse_geo")
        rows = [Intended(f"row-{next(counter)}", key or subject.key, classes, left) for _ in range(count)]

        def job(tx):
            batch = disclosures.intend(tx, to, [Purpose.SALE], rows, story.at)
            if outcome != "intended":
                disclosures.mark(tx, to, batch, rows, outcome)

        story.do(job)

    return go


@pytest.fixture
def number(who):
    return who("phone", phone(1))


def later(story, hours=1):
    story.at += hours * HOUR


class TestOneOwnIdentifier:
    def test_its_owner_sees_what_was_said_on_it_and_nobody_elses(self, story, who, said):
        mine, other = who("email", email(1)), who("email", email(2))
        story.says(mine)
        story.says(other)
        assert said(mine) == [("email", "opt_out")]

    def test_of_whom_nothing_is_known_nothing_is_shown(self, who, report):
        found = report(who("email", email(3)))
        assert (found.entries, found.received, found.linked, found.texts) == ((), (), (), {})
        assert (found.sources, found.age_band) == ([], None)

    def test_what_is_held_comes_with_its_details_and_the_text_that_was_shown(self, story, who, report):
        shown = Document("choices", "7", "en", b"You opt out.\n")
        story.do(lambda tx: documents.log(tx, shown, story.at))
        mine = who("email", email(1))
        story.says(mine, notice=shown.notice, details={"made_at": "then"}, received=story.at - HOUR)
        [entry] = report(mine).entries
        assert entry.at == story.at
        assert entry.details["made_at"] == "then"
        assert entry.details["received"] == (story.at - HOUR).isoformat()
        assert list(report(mine).texts.values()) == [shown]
        assert report(mine).sources == ["api"]

    def test_details_that_were_forgotten_leave_the_bare_entry(self, story, folder, who):
        mine = who("email", email(1))
        story.says(mine)
        found = access.read_access(SqliteStore(folder), [mine], story.at)
        forgotten = {person: PersonKeys(person, None, None) for person in found.persons}
        [entry] = access.unseal_access(found, forgotten).entries
        assert (entry.leaf["e"], entry.details) == ("opt_out", {})

    def test_what_was_said_by_its_digest_is_said_of_it(self, story, who, said):
        digest = who("email_md5", md5(email(1).encode()).hexdigest())
        story.says(digest)
        assert said(who("email", email(1))) == [("email_md5", "opt_out")]
        story.says(who("email", email(1)))
        assert said(digest) == [("email_md5", "opt_out")]  # a digest is not the address: no way leads back

    def test_age_and_notices_are_shown_as_they_were_last_said(self, story, who, report):
        mine = who("account", "a")
        for band in ("adult", "16_17"):
            story.do(lambda tx, band=band: records.say_age(tx, mine, band, story.at, b"r" * 16))
        day = story.at.date()
        story.do(lambda tx: notices.note_told(tx, mine, NoticeKind.PRIVACY, day, Told.SENT, story.at, b"s" * 16))
        found = report(mine)
        assert found.age_band == "16_17"
        assert found.entries[-1].leaf["k"] == "privacy"

    def test_it_holds_after_the_pepper_was_rotated(self, story, folder, house, who, said, send, report):
        mine = who("email", email(1))
        story.says(mine)
        send(mine)
        from gateway.ledger.acts import office_acts

        fresh = (bytes(32),)
        mark = secret_files.load_secrets(folder).marks[0]
        story.do(lambda tx: office_acts.rewrap(tx, lambda key: secret_files.wrap(key, fresh), 1, mark))
        assert said(mine) == []  # the control: under the old keys nobody is found
        assert mine.value == email(1)
        wrapped = type(mine)(mine.kind, mine.value, tuple(secret_files.wrap(key, fresh) for key in mine.keys))
        assert said(wrapped) == [("email", "opt_out")]
        assert len(report(wrapped).received) == 1


class TestANumberThatPassedOn:
    """R5."""

    def test_its_holder_of_now_sees_nothing_of_the_one_before(self, story, number, said, send, report):
        story.says(number)
        send(number)
        later(story)
        story.releases(number)
        later(story)
        story.says(number, "limit")
        send(number, to="matching")
        assert said(number) == [("phone", "limit")]
        assert [each.recipient for each in report(number).received] == ["matching"]

    def test_control_proves_nothing_about_the_time_before_its_present_link(
        self, story, who, number, said, send, report
    ):
        story.says(number)
        send(number)
        assert said(number) == [("phone", "opt_out")]  # the control: while nobody's link says otherwise
        later(story)
        story.links(who("account", "b"), number)
        later(story)
        story.says(number, "limit")
        assert said(number) == [("phone", "limit")]
        assert report(number).received == ()

    def test_who_has_it_after_an_account_let_it_go_sees_nothing_of_that_account(self, story, who, number, said):
        account = who("account", "a")
        story.links(account, number)
        later(story)
        story.says(number)
        later(story)
        story.unlinks(account, number)
        later(story)
        story.says(number, "limit")
        assert said(number) == [("phone", "limit")]

    def test_the_old_account_keeps_its_own_time_and_sees_nothing_of_the_new_holder(
        self, story, who, number, said, send, report
    ):
        old, new = who("account", "old"), who("account", "new")
        story.links(old, number)
        later(story)
        story.says(number)
        send(number)
        later(story)
        story.releases(number)
        later(story)
        story.links(new, number)
        later(story)
        story.says(number, "limit")
        send(number, to="matching")
        assert said(old) == [("phone", "opt_out")]
        assert [each.recipient for each in report(old).received] == ["teemo"]
        assert said(new) == [("phone", "limit")]
        assert [each.recipient for each in report(new).received] == ["matching"]

    def test_a_link_told_to_have_begun_before_the_release_crosses_nothing(self, story, who, number, said):
        story.links(who("account", "old"), number)
        later(story)
        story.says(number)
        story.releases(number)
        new = who("account", "new")
        start = milliseconds(story.at - 100 * HOUR)
        story.do(lambda tx: links.link_identifiers(tx, new, [number], links.Span(start), story.now))
        later(story)
        assert said(new) == []

    def test_a_number_that_nobody_had_when_it_was_given_back_crosses_nothing_either(self, story, who, number, said):
        story.says(number)
        story.releases(number)
        new = who("account", "new")
        story.do(lambda tx: links.link_identifiers(tx, new, [number], links.Span(0), story.now))
        assert said(new) == []

    def test_an_account_that_had_it_twice_sees_both_times_and_not_what_was_between(self, story, who, number, said):
        account = who("account", "a")
        for kind in ("opt_out", "withdraw"):
            later(story)
            story.links(account, number)
            later(story)
            story.says(number, kind)
            later(story)
            story.unlinks(account, number)
            later(story)
            story.says(number, "limit")
        assert said(account) == [("phone", "opt_out"), ("phone", "withdraw")]

    def test_its_age_on_record_is_not_told_to_who_gets_it(self, story, number, report):
        story.do(lambda tx: records.say_age(tx, number, "under_13", story.at, b"r" * 16))
        assert report(number).age_band == "under_13"
        story.releases(number)
        assert story.standing(number).age_band == "under_13"  # enforcement keeps it
        assert report(number).age_band is None


class TestWhatIsLinked:
    """R12: a report follows links from a proved account, and no others."""

    def test_an_account_sees_what_was_said_and_sent_about_what_it_has(self, story, who, number, said, send, report):
        account, device = who("account", "a"), who("gaid", GAID)
        story.links(account, number, device)
        later(story)
        story.says(number)
        story.says(device, "limit")
        send(device)
        found = report(account)
        assert said(account) == [("phone", "opt_out"), ("gaid", "limit")]
        assert [each.recipient for each in found.received] == ["teemo"]
        assert sorted(each.kind for each in found.linked) == ["gaid", "phone"]
        assert {each.until for each in found.linked} == {None}

    def test_a_number_does_not_show_its_account_nor_that_it_has_one(self, story, who, number, said, report):
        account = who("account", "a")
        story.links(account, number)
        story.says(account)
        later(story)
        assert said(number) == []
        assert report(number).linked == ()

    def test_on_a_family_tablet_nobodys_report_shows_anothers_acts(self, story, who, said, send, report):
        one, two, tablet = who("account", "one"), who("account", "two"), who("gaid", GAID)
        story.links(one, tablet)
        later(story)
        story.says(tablet)
        later(story)
        story.links(two, tablet)
        later(story)
        story.says(tablet, "limit")
        story.says(two)
        send(tablet)
        assert said(one) == [("gaid", "opt_out")]
        assert said(two) == [("account", "opt_out")]
        assert report(one).received == report(two).received == ()
        assert said(tablet) == [("gaid", "opt_out"), ("gaid", "limit")]  # whoever proves the tablet itself
        assert len(report(tablet).received) == 1

    def test_a_number_that_was_only_typed_beside_is_nobodys(self, story, who, number, said):
        account = who("account", "a")
        story.says(account)
        story.says(number)
        assert said(account) == [("account", "opt_out")]

    def test_several_proofs_show_an_entry_once_in_the_order_of_the_log(self, story, who, number, said):
        account = who("account", "a")
        story.links(account, number)
        later(story)
        story.says(number)
        story.says(account)
        assert said(account, number) == [("phone", "opt_out"), ("account", "opt_out")]

    def test_the_times_of_links_are_as_they_were_told(self, story, folder, who, number, report):
        account = who("account", "a")
        story.links(account, number)
        began = story.at - timedelta(seconds=1)
        later(story)
        story.unlinks(account, number)
        [each] = report(account).linked
        assert (each.kind, each.start, each.until) == ("phone", began, story.at)

    def test_a_link_that_is_yet_to_begin_shows_nothing(self, story, who, number, said, report):
        account = who("account", "a")
        story.says(number)
        span = links.Span(milliseconds(story.at + HOUR))
        story.do(lambda tx: links.link_identifiers(tx, account, [number], span, story.now))
        assert (said(account), report(account).linked) == ([], ())


def test_an_entry_whose_body_is_no_longer_kept_is_told_and_a_link_is_still_not(story, who, number, report):
    """R12 after the bodies' time is over."""
    account = who("account", "a")
    story.links(account, number)
    later(story)
    story.says(number)
    story.says(who("email", email(1)))  # the last entry is always there

    def forget(tx):
        tx.db.execute("DROP TRIGGER entry_kept")
        return tx.db.execute("DELETE FROM entry WHERE seq < 2").rowcount

    assert story.do(forget) == 2
    [entry] = report(number).entries
    assert (entry.kind, entry.leaf) == ("phone", {})
    assert len(report(account).entries) == 1


class TestWhatWasErased:
    """R19: whoever registers again is shown nothing from before."""

    @pytest.fixture
    def erase(self, story):
        def act(*subjects):
            rows = [(subject.key,) for subject in subjects]
            sql = "INSERT INTO erased VALUES (?, (SELECT size FROM head)) ON CONFLICT DO UPDATE SET seq = excluded.seq"
            story.do(lambda tx: tx.db.executemany(sql, rows).rowcount)

        return act

    def test_is_not_shown_again_by_the_identifier_nor_by_its_account(
        self, story, who, number, said, send, erase, report
    ):
        account = who("account", "a")
        story.links(account, number)
        later(story)
        story.says(number)
        send(number)
        erase(number)
        later(story)
        story.says(number, "limit")
        assert said(number) == said(account) == [("phone", "limit")]
        assert report(account).received == ()

    def test_of_an_account_takes_what_came_through_it(self, story, who, number, said, erase):
        account = who("account", "a")
        story.links(account, number)
        later(story)
        story.says(number)
        story.says(account)
        erase(account)
        later(story)
        story.says(account, "limit")
        assert said(account) == [("account", "limit")]
        assert said(number) == [("phone", "opt_out")]  # the number itself was not erased

    @pytest.mark.parametrize("passes", ["given back", "by its date", "to another account"])
    @pytest.mark.parametrize("hours", [2, 24])
    def test_is_not_shown_to_who_had_it_behind_an_entry_of_a_clock_that_was_ahead(
        self, story, who, number, said, send, erase, report, passes, hours
    ):
        old, stranger = who("account", "old"), who("email", email(1))
        date = story.now + 2 * HOUR // timedelta(milliseconds=1) if passes == "by its date" else None
        story.links(old, number, until=date)
        story.says(number)
        send(number)
        later(story, 1 + hours)
        story.says(stranger)
        later(story, -hours)
        story.says(number, "limit")  # an erasure has entries of its own
        erase(number)
        story.says(number, "limit")
        later(story)
        if passes == "given back":
            story.releases(number)
        elif passes == "to another account":
            story.links(who("account", "new"), number)
        later(story, 3)
        story.says(stranger)
        assert said(old) == [("phone", "limit")]
        assert report(old).received == ()

    @pytest.mark.parametrize("what", ["a link of a clock that was ahead", "a no that waited"])
    def test_by_the_next_holder_takes_nothing_from_the_one_before_beside(self, story, who, number, said, erase, what):
        """R5."""
        old, stranger = who("account", "old"), who("email", email(1))
        story.links(old, number)
        story.says(number)
        ahead = 24 if what == "a link of a clock that was ahead" else 0
        later(story)
        if not ahead:
            story.unlinks(old, number)
        later(story, ahead)
        story.links(who("account", "new"), number)
        later(story, 1 - ahead)
        story.says(number, "limit")
        erase(number)
        later(story, -1.5)
        story.says(stranger)
        later(story, 3)
        assert ("phone", "opt_out") in said(old)

    def test_by_the_next_holder_of_a_number_takes_nothing_from_the_one_before(self, story, who, number, said, erase):
        """R5."""
        old = who("account", "old")
        story.links(old, number)
        later(story)
        story.says(number)
        later(story)
        story.releases(number)
        later(story)
        story.says(number, "limit")
        erase(number)
        assert said(number) == []
        assert said(old) == [("phone", "opt_out")]


class TestWhoReceivedWhat:
    """1798.115: recipients, classes, purposes, and when."""

    def test_a_day_at_a_recipient_is_one_line_with_its_first_and_last_time(self, story, who, send, report):
        mine = who("gaid", GAID)
        first = story.at
        send(mine, count=2)
        later(story, 2)
        send(mine)
        later(story, 24)
        send(mine, to="matching")
        one, two = report(mine).received
        assert (one.recipient, one.purposes, one.classes) == ("teemo", ("sale",), ("ad_id", "coarse_geo"))
        assert (one.first, one.last, one.count, one.outcome) == (first, first + 2 * HOUR, 3, "sent")
        assert (two.recipient, two.count, two.first) == ("matching", 1, story.at)

    @pytest.mark.parametrize(
        ("outcome", "shown"),
        [("sent", ["sent"]), ("unknown", ["unknown"]), ("intended", ["unknown"]), ("not_sent", [])],
    )
    def test_what_may_have_arrived_is_told_as_such_and_what_did_not_leave_is_not(
        self, who, send, report, outcome, shown
    ):
        mine = who("gaid", GAID)
        send(mine, outcome)
        assert [each.outcome for each in report(mine).received] == shown

    @pytest.mark.parametrize(("outcome", "shown"), [("sent", ["unknown"]), ("not_sent", [])])
    def test_an_address_that_left_beside_an_ad_id_is_told_to_whoever_proves_the_address(
        self, story, who, send, report, outcome, shown
    ):
        """The row is kept under the ad id; that the address went with it is known too, and not what became of it."""
        phone_of, mine = who("gaid", GAID), who("email", email(1))
        own = (phone_of.key, mine.key)
        left = (Left("email_sha256", "0" * 64, mine.key, own), Left("gaid", GAID, phone_of.key, own))
        send(phone_of, outcome, left=left)
        assert [(each.recipient, each.outcome) for each in report(mine).received] == [("teemo", word) for word in shown]
        assert len(report(mine, phone_of).received) == len(shown), "one row is one, whoever of it is proved"
        story.says(mine)
        only_named = (Left("gaid", GAID, phone_of.key, (phone_of.key, who("email", email(2)).key)),)
        send(phone_of, left=only_named)
        assert report(who("email", email(2))).received == (), "it was named in the row, and did not leave"

    def test_rows_of_somebody_else_are_not_counted(self, who, send, report):
        send(who("gaid", gaid(1)))
        assert report(who("gaid", gaid(2))).received == ()

    def test_rows_by_a_digest_of_the_address_are_about_the_address(self, story, who, send, report):
        mine = who("email", email(1))
        story.says(mine)
        send(mine, key=mine.keys[1])
        assert len(report(mine).received) == 1


def test_a_ledger_that_cannot_be_read_is_said_to_be_away(tmp_path, who):
    with pytest.raises(StoreUnavailable):
        access.read_access(SqliteStore(tmp_path / "nowhere"), [], datetime.now(UTC))


def test_reading_writes_nothing(story, who, number, report):
    account = who("account", "a")
    story.links(account, number)
    story.says(number)
    before = story.rows("SELECT total_changes()"), story.rows("SELECT size FROM head")
    report(account, number)
    assert (story.rows("SELECT total_changes()"), story.rows("SELECT size FROM head")) == before
    assert {ChoiceKind.LINKED} <= access.NOT_SHOWN


@pytest.mark.parametrize("seed", range(20))
def test_however_numbers_pass_from_hand_to_hand_each_sees_their_own_time_and_no_others(story, who, report, seed):
    """R5, by chance: three accounts, two numbers, each held by one account at a time or by nobody."""
    chance = random.Random(seed)
    accounts = [who("account", name) for name in ("a", "b", "c")]
    numbers = [who("phone", phone(1)), who("phone", phone(2))]
    holder, theirs, present = {0: None, 1: None}, {0: set(), 1: set(), 2: set(), None: set()}, {0: set(), 1: set()}
    for _ in range(40):
        later(story)
        n, a = chance.randrange(2), chance.randrange(3)
        match chance.choice(["take", "release", "unlink", "say", "say", "say"]):
            case "take" if holder[n] is None:
                story.links(accounts[a], numbers[n])
                holder[n], present[n] = a, set()
            case "release":
                story.releases(numbers[n])
                holder[n], present[n] = None, set()
            case "unlink" if holder[n] is not None:
                story.unlinks(accounts[holder[n]], numbers[n])
                holder[n], present[n] = None, set()
            case "say":
                seq = story.says(numbers[n], chance.choice(["opt_out", "limit", "withdraw"])).seq
                theirs[holder[n]].add(seq)
                present[n].add(seq)
    later(story)
    for a, account in enumerate(accounts):
        assert {entry.seq for entry in report(account).entries} == theirs[a]
    for n, number in enumerate(numbers):
        assert {entry.seq for entry in report(number).entries} == present[n]
