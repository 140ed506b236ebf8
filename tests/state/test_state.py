"""The state opened, gone on with, refused and made anew: what nobody vouches for is not answered from."""

import contextlib
import random
import shutil
import threading
from itertools import islice
from types import SimpleNamespace

import pytest
from support.folding import Log
from support.state_processes import Told as Asked
from support.state_processes import answers
from support.states import ListedLog, as_dict, unpack_row, wrongs

from gateway.choice.standing import Standing
from gateway.fold import fold
from gateway.fold.record import NamesLearnt, Record, SaidOut
from gateway.fold.state import HEAD
from gateway.state import environment, lookup, packed_rows, transactions, upkeep
from gateway.state.environment import COPY, CURRENT, MARK, STATE, StateForeign, StateRefused
from gateway.state.lookup import Reached
from gateway.state.packed_rows import HEAD_KEY, NotAState
from gateway.state.transactions import read_head
from gateway.state.upkeep import HostState, Making
from gateway.terms import Purpose

LATER = 10**13
OTHER_BOOT = b"another boot ..."


class Told(Log):
    """People's acts, kept as records; the read log counts from where it was read."""

    def __init__(self):
        super().__init__()
        self.log, self.read_from = ListedLog(), []

    def say(self, name, said, at=None):
        changes = super().say(name, said, at)
        key = of(name) if name else b""
        self.log.extend([Record(self.seq - 1, self.at if at is None else at, key, said, name in {"ann", "bob"})])
        return changes

    name = ListedLog.name

    @property
    def records(self):
        return self.log.records

    @property
    def head(self):
        return self.log.head

    def root(self, position):
        return self.log.root(position)

    def changed(self, after):
        return self.log.changed(after)

    def kinds(self, keys):
        return ()

    def entries(self, position):
        return self.log.entries(position)

    def read(self, after):
        self.read_from.append(after)
        return self.log.read(after)


@pytest.fixture
def told():
    """Ann's phone says no, and she has it and a tablet."""
    log = Told()
    log.no("phone")
    log.link("ann", "phone")
    log.link("ann", "tablet")
    log.named("phone", "digest")
    log.no("browser", Purpose.SENSITIVE)
    return log


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def opened(folder):
    """Opens the state anew each time, as the process after the last one; after a boot if told so."""
    held = []

    def again(*, boot=None, **how):
        while held:
            held.pop().close()
        if boot:
            patch.setattr(environment, "boot_id", lambda: boot)
        held.append(HostState(folder, **how))
        return held[0]

    with pytest.MonkeyPatch.context() as patch:
        yield again
        while held:
            held.pop().close()


def current(folder):
    return folder / STATE / (folder / STATE / CURRENT).read_text()


def of(name):
    return name.encode().ljust(16, b".")


def standing(state, name):
    with state.moment() as moment:
        return moment.standing(of(name), LATER)


def changed_last(state, *names):
    """The position of the last change of all that stands of these."""
    with state.moment() as moment:
        for name in names:
            moment.standing(of(name), LATER)
        return moment.latest


def refuses(state):
    with pytest.raises(StateRefused), state.moment():
        pass
    return True


def test_what_one_says_is_read_through_the_other_and_a_stranger_has_nothing(opened, told):
    state = opened()
    assert state.catch_up(told) == len(told.records)
    assert wrongs(state, told.records, LATER) == []
    assert standing(state, "tablet").denies(Purpose.SALE), "through her account, from her phone"
    assert standing(state, "digest").denies(Purpose.SALE)
    assert standing(state, "browser").denies(Purpose.SENSITIVE)
    assert standing(state, "somebody") is None


def test_a_check_learns_when_what_it_rests_on_changed_last(opened, told):
    state = opened()
    state.catch_up(told)
    assert changed_last(state, "tablet") == 3, "when it was linked: a name that her phone got adds nothing"
    assert changed_last(state, "browser", "somebody") == 5
    with state.moment() as moment:
        before = moment.reached
    told.no("phone", Purpose.SENSITIVE)
    state.catch_up(told)
    assert changed_last(state, "tablet", "browser") == 6
    with state.moment() as moment:
        assert moment.reached.position == moment.head.entries == 6
        assert not moment.moved([of("browser"), of("somebody")], before)
        assert moment.moved([of("browser"), of("tablet")], before)
    with state.moment() as moment:
        assert moment.moved([], Reached("another generation", 6)), "nobody knows which of two is the later"


def test_a_void_reaches_whoever_rests_on_that_screen_and_no_row_is_written(opened, told):
    told.yes("browser", Purpose.SENSITIVE, screen="dark")
    state = opened()
    state.catch_up(told)
    assert not standing(state, "browser").denies(Purpose.SENSITIVE)
    told.void("dark")
    state.catch_up(told)
    assert standing(state, "browser").denies(Purpose.SENSITIVE)
    assert changed_last(state, "browser") == len(told.records)


def test_the_next_process_goes_on_from_where_the_last_one_was_killed(opened, told):
    opened().catch_up(told)
    told.no("tablet", Purpose.SENSITIVE)
    assert opened().catch_up(told) == 6
    assert told.read_from[-1] == 5


@pytest.mark.parametrize("clean", [True, False])
def test_after_a_boot_it_goes_on_only_from_a_clean_stop(opened, told, clean):
    state = opened()
    state.catch_up(told)
    if clean:
        state.stop()
    state = opened(boot=OTHER_BOOT)
    assert standing(state, "tablet") if clean else refuses(state)
    told.no("tablet", Purpose.SENSITIVE)
    state.catch_up(told)
    assert told.read_from[-1] == (5 if clean else 0)
    assert wrongs(state, told.records, LATER) == []


def test_what_was_written_behind_a_clean_stop_is_not_vouched_for(opened, told):
    state = opened()
    state.catch_up(told)
    state.stop()
    told.no("tablet", Purpose.SENSITIVE)
    state.catch_up(told)
    assert refuses(opened(boot=OTHER_BOOT))


def test_after_a_power_cut_it_goes_on_from_the_copy(opened, told):
    state = opened()
    state.catch_up(told)
    state.copy()
    told.no("tablet", Purpose.SENSITIVE)
    state.catch_up(told)
    state = opened(boot=OTHER_BOOT)
    assert state.catch_up(told) == 6
    assert 5 in told.read_from[-2:]
    assert 0 not in told.read_from[1:]
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("copied", [True, False])
def test_a_log_with_another_root_is_folded_anew_and_nothing_of_the_one_before_stays(opened, told, folder, copied):
    state = opened()
    state.catch_up(told)
    if copied:
        state.copy()
    other = Told()
    other.no("tablet")
    other.link("bob", "tablet")
    for _ in range(5):
        other.no("browser")
    assert state.catch_up(other) == 7
    assert wrongs(state, other.records, LATER) == []
    assert standing(state, "phone") is None
    assert [each for each in (folder / STATE).iterdir() if each.is_dir()] == [current(folder)]


def test_a_log_of_another_name_is_folded_anew(opened, told):
    state = opened()
    state.catch_up(told)
    told.name = "other.example.com"
    state.catch_up(told)
    assert told.read_from[-1] == 0


def test_a_log_that_lost_its_end_is_folded_anew(opened, told):
    state = opened()
    state.catch_up(told)
    told.log.replace(told.records[:3])
    assert state.catch_up(told) == 3
    assert wrongs(state, told.records, LATER) == []


def cut_short(folder):
    file = current(folder) / "data.mdb"
    length = file.stat().st_size
    with file.open("r+b") as cut:
        cut.truncate(random.Random(length).randrange(length))


def end_cut_off(folder):
    with (current(folder) / "data.mdb").open("r+b") as cut:
        cut.truncate((current(folder) / "data.mdb").stat().st_size - 1)


DAMAGES = {
    "cut short": cut_short,
    "its last byte": end_cut_off,
    "empty": lambda folder: (current(folder) / "data.mdb").write_bytes(b""),
    "of zeros": lambda folder: (current(folder) / "data.mdb").write_bytes(bytes(2**16)),
    "gone": lambda folder: (current(folder) / "data.mdb").unlink(),
    "without its mark": lambda folder: (current(folder) / MARK).unlink(),
    "with half a mark": lambda folder: (current(folder) / MARK).write_bytes(b"half"),
    "a folder that is gone": lambda folder: shutil.rmtree(current(folder)),
    "without a name": lambda folder: (folder / STATE / CURRENT).unlink(),
    "with a name that cannot be read": lambda folder: (folder / STATE / CURRENT).write_bytes(b"\xff\0"),
    "with the name of none": lambda folder: (folder / STATE / CURRENT).write_text("none"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_refused_and_made_anew(opened, told, folder, name):
    opened().catch_up(told)
    opened().close()
    DAMAGES[name](folder)
    state = opened()
    assert refuses(state)
    assert state.catch_up(told) == 5
    assert wrongs(state, told.records, LATER) == []


def half_torn(packed):
    half = len(packed) // 2
    return packed[:half] + b"\xff" * (len(packed) - half)


def torn_row(folder, state, name, torn):
    """What lies there of somebody becomes something else, under the feet of whoever has it open."""
    with state.moment() as moment:
        packed = moment.packed(of(name))
    file = current(folder) / "data.mdb"
    whole = file.read_bytes()
    assert whole.count(packed) >= 1
    assert len(torn(packed)) == len(packed)
    assert torn(packed) != packed
    with file.open("r+b") as disk:
        at = whole.find(packed)
        while at >= 0:
            disk.seek(at)
            disk.write(torn(packed))
            at = whole.find(packed, at + 1)


@pytest.fixture
def torn(opened, told, folder):
    """A state that has followed, and in which what lies there of the phone is torn."""

    def tear(how="half of it"):
        state = opened()
        state.catch_up(told)
        torn_row(folder, state, "phone", TORN[how])
        return state

    return tear


def beyond_all_days(packed):
    """Somebody was told something on a day that no calendar has."""
    at = packed_rows.BEGINNING.size + 17
    return packed[:at] + b"\xff" * 4 + packed[at + 4 :]


TORN = {
    "half of it": half_torn,
    "a text": lambda packed: packed.replace(b"form", b"\xff" * 4),
    "a day": beyond_all_days,
}


def test_a_torn_page_that_only_a_check_meets_denies_all_on_the_host_until_it_is_made_anew(torn, told, folder):
    state = torn()
    with pytest.raises(StateRefused), state.moment() as moment:
        moment.get(of("phone"))
    assert refuses(state)
    other = HostState(folder)
    assert other.denies()
    other.close()
    with pytest.raises(StateRefused):  # who follows does not take it for whole, nor says so
        state.follow(told)
    assert refuses(state)
    assert state.catch_up(told) == 5
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("how", TORN)
def test_a_torn_page_that_only_a_fold_meets_is_no_reason_to_deny_for_ever(torn, told, how):
    state = torn(how)
    told.no("phone", Purpose.TARGETED_ADS)
    assert state.catch_up(told) == 6
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("how", TORN)
def test_whatever_lies_on_a_torn_page_is_refused(torn, how):
    state = torn(how)
    with pytest.raises(StateRefused), state.moment() as moment:
        moment.standing(of("phone"), LATER)
        moment.get(of("phone"))
    assert refuses(state)


def test_what_lay_on_a_torn_page_does_not_come_back_by_a_copy_that_was_made_of_it(torn, told):
    state = torn()
    state.copy()
    with pytest.raises(StateRefused), state.moment() as moment:
        moment.get(of("phone"))
    assert state.catch_up(told) == 5
    assert wrongs(state, told.records, LATER) == []


def test_a_process_of_another_format_takes_nothing_out_of_force(opened, told, folder):
    state = opened()
    state.catch_up(told)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_rows, "FORMAT", packed_rows.FORMAT - 1)
        other = HostState(folder)
        assert refuses(other)
        other.close()
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("name", ["cut short", "gone", "without its mark"])
def test_a_damaged_copy_is_not_begun_with(opened, told, folder, name):
    state = opened()
    state.catch_up(told)
    state.copy()
    opened().close()
    shutil.rmtree(current(folder))
    shutil.copyfile(folder / STATE / COPY, folder / STATE / CURRENT)
    DAMAGES[name](folder)
    assert opened().catch_up(told) == 5
    assert told.read_from[-1] == 0


def made_by_other_rules(state, told):
    """A state whose fold overlooks each no, and says so by its number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transactions, "fold", lambda said, get: {} if isinstance(said.said, SaidOut) else fold(said, get))
        state.catch_up(told)
        write_head(state, fold=packed_rows.FOLD + 1)


def write_head(state, **said):
    with state.moment() as moment:
        head = moment.head
    with state._current().begin_writing() as txn:
        txn.put(HEAD_KEY, head._replace(**said).pack())


def gone_on_with(state, told):
    """Whether its answers are those of our rules, once it has caught up."""
    told.no("browser", Purpose.SALE)
    state.catch_up(told)
    return wrongs(state, told.records, LATER) == []


def test_one_that_other_rules_made_is_not_gone_on_with(opened, told):
    state = opened()
    made_by_other_rules(state, told)
    with pytest.raises(StateForeign), state.moment():
        pass
    assert gone_on_with(state, told)


def test_the_control_a_foreign_fold_number_that_is_accepted_answers_by_its_rules(opened, told, monkeypatch):
    state = opened()
    made_by_other_rules(state, told)
    monkeypatch.setattr(lookup, "prove_made_here", lambda *_: None)
    monkeypatch.setattr(upkeep, "prove_made_here", lambda *_: None)
    assert not gone_on_with(state, told)


def test_one_of_another_pepper_epoch_is_not_answered_from(opened, told):
    opened().catch_up(told)
    state = opened(epoch=1)
    with pytest.raises(StateForeign), state.moment():
        pass
    state.catch_up(told)
    assert told.read_from[-1] == 0
    with state.moment() as moment:
        assert moment.head.epoch == 1


def many(told, count):
    """People of one browser each, and now and then an account."""
    for number in range(count):
        told.no(f"browser {number}")
        if number % 5 == 0:
            told.link("ann", f"browser {number}")


def test_what_it_may_take_is_there_from_the_beginning_and_nothing_is_resized_while_anybody_reads_or_copies(
    opened, told
):
    """Resized under a copy it killed the process."""
    state = opened()
    state.catch_up(told)
    held, over = state._current(), threading.Event()

    def copies():
        while not over.is_set():
            state.copy()

    copying = threading.Thread(target=copies)
    copying.start()
    with state.moment() as moment:
        many(told, 300)
        state.catch_up(told)
        assert moment.standing(of("browser"), LATER) is not None
    over.set()
    copying.join()
    assert held.env.info()["map_size"] == environment.MOST
    assert state._current() is held
    assert wrongs(state, told.records, LATER) == []
    assert 0 < state.used() < 1


def test_one_that_was_replaced_gives_its_address_space_back_once_nobody_reads_in_it(opened, told):
    """Of which there is enough for some hundred."""
    state = opened()
    state.catch_up(told)
    with state.moment() as reading:
        for _ in range(200):
            state.prepare(told, Making.COMPACT)
            state.follow(told)
        assert reading.standing(of("tablet"), LATER).denies(Purpose.SALE)
    assert standing(state, "tablet").denies(Purpose.SALE)


@pytest.mark.parametrize("rows", [True, False], ids=["", "control: LMDB's own copy, whose inner pages name them"])
def test_rows_that_are_gone_are_named_nowhere_in_one_whose_pages_are_made_anew(opened, told, folder, monkeypatch, rows):
    state, keys = opened(), [of(f"browser {number}") for number in range(600)]
    state.catch_up(told)
    gone = keys[::2]
    with state._current().begin_writing() as txn:
        assert all(txn.put(key, bytes(100)) for key in keys)
    with state._current().begin_writing() as txn:
        assert all(txn.delete(key) for key in gone)
    if not rows:
        monkeypatch.setattr(environment, "_copied", copied_by_lmdb)
    for make in (environment.make_compact, environment.make_copy):
        made = make(folder, state._current())
        pages = ((made if make is environment.make_copy else made.folder) / environment.FILE).read_bytes()
        assert (not any(key in pages for key in gone)) == rows


def copied_by_lmdb(data, held, *_):
    folder = environment._new_folder(data)
    held.env.copy(str(folder), compact=True)
    return folder


@pytest.mark.parametrize("torn", [lambda rows: rows[::-1], lambda rows: rows[1:]], ids=["in no order", "lacks a row"])
def test_one_whose_pages_do_not_tell_all_rows_is_copied_by_nobody_and_answers_nobody(opened, told, monkeypatch, torn):
    state = opened()
    state.catch_up(told)
    state.copy()
    reads = SimpleNamespace(islice=lambda rows, most: torn([*islice(rows, most)]))
    monkeypatch.setattr(environment, "itertools", reads)
    with pytest.raises(StateRefused, match="torn"):
        state.copy()
    assert state._current().mark.is_torn
    monkeypatch.undo()
    state.catch_up(told)
    assert standing(state, "tablet").denies(Purpose.SALE)


@pytest.mark.parametrize(("since", "left"), [(True, 0), (False, 360)], ids=["", "control"])
def test_what_came_while_one_was_made_is_in_it_before_opt_outs_wait_for_it(opened, told, monkeypatch, since, left):
    state, make = opened(), environment.make_compact
    state.catch_up(told)

    def made_while_many_speak(*given):
        made = make(*given)
        many(told, 300)
        return made

    monkeypatch.setattr(environment, "make_compact", made_while_many_speak)
    state.prepare(told, Making.COMPACT, (lambda: contextlib.nullcontext(told)) if since else None)
    assert told.head - read_head(state._made)[0].position == left
    state.follow(told)
    assert wrongs(state, told.records, LATER) == []


def test_one_that_lacks_a_void_of_many_is_put_in_force_once_that_was_folded_beside(opened, told, monkeypatch):
    state = opened()
    many(told, 30)
    state.catch_up(told)
    state.prepare(told, Making.COMPACT)
    before = state._current()
    many_keys, until = frozenset(of(f"browser {number}") for number in range(30)), told.head
    monkeypatch.setattr(type(told), "changed", lambda _, after: many_keys if after <= until else frozenset())
    about = lambda _, keys: [each for each in told.records if each.key in keys]  # noqa: E731
    monkeypatch.setattr(type(told), "records_about", about, raising=False)
    told.no("tablet", Purpose.SENSITIVE)
    going_on = state.hold_back(told)
    state.follow(told)
    assert state._current() is before
    assert wrongs(state, told.records, LATER) == []
    going_on(lambda: contextlib.nullcontext(told))
    assert state.hold_back(told) is None
    state.follow(told)
    assert state._current() is not before
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("patience", [0, 1])
def test_it_is_held_back_a_few_times_alone_and_given_up_where_it_cannot_go_on(opened, told, monkeypatch, patience):
    monkeypatch.setattr(upkeep, "FEW", -1)
    monkeypatch.setattr(upkeep, "PATIENCE", patience)
    state = opened()
    state.catch_up(told)
    state.prepare(told, Making.COMPACT)
    going_on = state.hold_back(told)
    assert (going_on is not None) == patience
    if going_on:
        with pytest.raises(InterruptedError):
            going_on(interrupted)
        assert not state.waits
        state.prepare(told, Making.COMPACT)  # the next one is not kept from being made
    state.follow(told)
    assert wrongs(state, told.records, LATER) == []


def interrupted():
    raise InterruptedError


def test_who_had_to_wait_does_not_wait_for_the_files_of_the_one_before(opened, told, folder):
    state = opened()
    state.catch_up(told)
    state.prepare(told, Making.COMPACT)
    state.follow(told)
    assert state.unswept
    assert len([each for each in (folder / STATE).iterdir() if each.is_dir()]) == 2
    state.sweep()
    assert not state.unswept
    assert [each for each in (folder / STATE).iterdir() if each.is_dir()] == [state._current().folder]


def test_a_process_that_may_not_have_so_much_says_what_helps(opened, told, folder):
    opened().catch_up(told)
    state = opened(most=2**60)
    with pytest.raises(StateRefused, match="ulimit -v"), state.moment():
        pass


def test_one_that_may_have_no_more_denies_until_there_is_room(opened, told, folder):
    state = opened(most=2**16)
    state.catch_up(told)
    many(told, 300)
    for _ in range(3):
        with pytest.raises(StateRefused, match="full"):
            state.catch_up(told)
    assert refuses(state)
    assert refuses(opened(most=2**16)), "and so it does in the next process"
    assert len([each for each in (folder / STATE).iterdir() if each.is_dir()]) <= 2, "what was tried does not pile up"
    state = opened()
    assert state.catch_up(told) == len(told.records)
    assert wrongs(state, told.records, LATER) == []


def test_whatever_goes_wrong_while_it_catches_up_it_denies_until_it_has(opened, told, monkeypatch):
    state = opened()
    state.catch_up(told)
    told.no("tablet")
    with monkeypatch.context() as broken:
        broken.setattr(told, "read", lambda after: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            state.catch_up(told)
    assert refuses(state)
    assert state.catch_up(told) == 6
    assert standing(state, "tablet").own_denies(Purpose.SALE)


def test_a_slice_ends_between_records_and_the_state_has_each_once(opened, told, monkeypatch):
    monkeypatch.setattr(upkeep, "SLICE", 2)
    many(told, 10)
    state = opened()
    assert state.catch_up(told) == len(told.records)
    assert wrongs(state, told.records, LATER) == []


@pytest.mark.parametrize("ask", ["standing", "get"])
def test_whoever_reads_through_a_row_that_cannot_be_read_gets_no_answer(opened, told, ask):
    state = opened()
    state.catch_up(told)
    with state._current().begin_writing() as txn:
        txn.put(of("phone"), b"short")
    with pytest.raises(StateRefused), state.moment() as moment:
        moment.standing(of("phone"), LATER) if ask == "standing" else moment.get(of("phone"))
    told.no("phone", Purpose.SENSITIVE)
    state.catch_up(told)
    assert wrongs(state, told.records, LATER) == [], "whoever writes made it anew"


@pytest.mark.parametrize("packed", [None, b"", b"\x01short", b"\xff" * 90])
def test_a_head_that_cannot_be_read_is_none(packed):
    with pytest.raises(NotAState):
        packed_rows.unpack_head(packed)


def test_every_member_of_a_row_and_an_edge_comes_back_as_it_was(told):
    told.say("phone", NamesLearnt(looser=(b"looser..........",), mailbox=b"box............."))
    told.end("ann", "phone")
    told.yes("phone", screen="s")
    state = as_dict(told.records)
    assert any(isinstance(each, tuple) for each in state)
    for place, lies in state.items():
        if place != HEAD and isinstance(place, bytes):
            assert unpack_row(packed_rows.no_front(7) + packed_rows.pack_tail(lies)) == (lies, 7)
        elif place != HEAD:
            assert packed_rows.unpack_edge(packed_rows.pack_edge(lies, 8)) == (lies, 8)


class Killed(BaseException):
    """In place of the end of a process: nothing is done after it."""


@contextlib.contextmanager
def killed_at(name):
    """Where it would call a function of the environment."""

    def dies(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(environment, name, dies)
        patch.setattr(HostState, "deny", lambda its: None)
        yield


@pytest.fixture
def elsewhere(folder):
    """Another process that has the state open, and tells up to where it answers."""
    other = Asked(answers, folder)
    yield other
    other.end()


@pytest.mark.parametrize("where", ["_lead", "retire_others"])
def test_whoever_puts_another_in_force_and_ends_on_the_way_leaves_nobody_with_the_one_before(
    opened, told, elsewhere, where
):
    state = opened()
    state.catch_up(told)
    assert elsewhere() == 5
    state.prepare(told, Making.COMPACT)
    with killed_at(where):
        state.follow(told)
    told.no("tablet", Purpose.SENSITIVE)
    assert opened().follow(told) == 6
    assert elsewhere() == 6


def test_where_the_path_to_it_is_taken_away_nobody_goes_on_answering_from_it(opened, told, elsewhere, folder):
    opened().catch_up(told)
    assert elsewhere() == 5
    state = opened()
    (folder / STATE / CURRENT).unlink()
    told.no("tablet", Purpose.SENSITIVE)
    state.catch_up(told)
    assert elsewhere() == 6


def test_whoever_follows_does_so_in_the_one_that_the_path_leads_to(opened, told, folder):
    state = opened()
    state.catch_up(told)
    made = environment.make_compact(folder, state._current())
    made.close()
    (folder / STATE / CURRENT).write_text(made.folder.name)
    told.no("tablet", Purpose.SENSITIVE)
    state.follow(told)
    assert state._current().folder == made.folder
    assert standing(state, "tablet").own_denies(Purpose.SENSITIVE)


def test_the_one_in_force_is_not_swept_away_where_the_disk_does_not_tell_which_that_is(
    opened, told, folder, monkeypatch
):
    state = opened()
    state.catch_up(told)
    with monkeypatch.context() as broken:
        broken.setattr(environment.Path, "read_text", fails)
        with pytest.raises(StateRefused, match="Input/output error"):
            environment.make_generation(folder)
    assert standing(opened(), "tablet").denies(Purpose.SALE)


def fails(*_, **__):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    "standing",
    [
        Standing(0, 0, held=frozenset(f"a source of a long name {number}" for number in range(20))),
        Standing(0, 0, held=frozenset({"one, and another"})),
        Standing(0, 0, age_band="of no law"),
        Standing(2**32, 0),
    ],
)
def test_what_a_front_cannot_hold_is_read_each_time(standing):
    assert packed_rows.pack_front(7, 8, standing, 0, 0) == packed_rows.no_front(7)
    assert packed_rows.pack_front(7, 8, Standing(0, 0), 2**70, 0) == packed_rows.no_front(7)


def test_two_generations_and_the_copy_are_all_that_is_ever_kept(opened, told, folder):
    state = opened()
    for number in range(4):
        told.name = f"log{number}.example.com"
        state.catch_up(told)
        state.copy()
    assert len([each for each in (folder / STATE).iterdir() if each.is_dir()]) <= 3
    assert state.check_readers() == 0


def test_other_threads_read_on_while_it_is_written_and_made_anew(opened, told):
    state, over, wrong = opened(), threading.Event(), []
    state.catch_up(told)

    def reads():
        while not over.is_set():
            with contextlib.suppress(StateRefused):  # while it is made anew
                wrong.extend([] if standing(state, "tablet").denies(Purpose.SALE) else ["allowed"])

    threads = [threading.Thread(target=reads) for _ in range(2)]
    for each in threads:
        each.start()
    for number in range(3):
        many(told, 100)
        state.catch_up(told)
        told.name = f"log{number}.example.com"
        state.catch_up(told)
    over.set()
    for each in threads:
        each.join()
    assert wrong == []
    assert standing(state, "tablet").denies(Purpose.SALE)


def test_no_check_waits_for_the_disk_while_another_one_is_put_in_force(opened, told, monkeypatch):
    """The one before denies by then, so each looks where the path leads to: in the event loop."""
    state, leads, found = opened(), environment._lead, []
    state.catch_up(told)
    state.prepare(told, Making.COMPACT)

    def slow(*given):
        state.deny()
        looking = threading.Thread(target=lambda: found.append(state._current()))
        looking.start()
        looking.join(30)
        assert found, "it waits for the disk"
        leads(*given)

    monkeypatch.setattr(environment, "_lead", slow)
    state.follow(told)
    assert wrongs(state, told.records, LATER) == []
