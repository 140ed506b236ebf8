import base64
import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from gateway.keys import seals
from gateway.keys.seals import BrowserCookie, OpeningFailed, Tokens
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose

OLD, NEW = b"o" * 32, b"n" * 32
BROWSER = bytes(range(16))
COOKIE = BrowserCookie(BROWSER, 20_000, frozenset(SIGNAL_PURPOSES))
LABELS = (seals.COOKIE, seals.TOKEN, b"confirm/1", b"person/1")


def raw(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(box):
    return base64.urlsafe_b64encode(box).rstrip(b"=").decode()


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_to_the_same(content):
    assert seals.open_seal([NEW], b"confirm/1", seals.seal_box(NEW, b"confirm/1", content)) == content


@pytest.mark.parametrize(("made", "opened"), [*itertools.permutations(LABELS, 2)])
def test_one_kind_of_seal_is_never_taken_for_another(made, opened):
    with pytest.raises(OpeningFailed):
        seals.open_seal([NEW], opened, seals.seal_box(NEW, made, b"content"))


def test_any_flipped_bit_is_refused():
    box = seals.seal_box(NEW, b"confirm/1", b"content")
    for position in range(8 * len(box)):
        flipped = bytearray(box)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(OpeningFailed):
            seals.open_seal([NEW], b"confirm/1", bytes(flipped))


@pytest.mark.parametrize("box", [b"", b"x", b"x" * 12, b"x" * 27, b"x" * 28, b"x" * 1000])
def test_what_was_never_a_seal_is_refused(box):
    with pytest.raises(OpeningFailed):
        seals.open_seal([NEW], b"confirm/1", box)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_many_boxes_open_to_what_each_opens_to(contents):
    boxes = [(bytes([place]), seals.seal_box(NEW, bytes([place]), content)) for place, content in enumerate(contents)]
    assert seals.open_many(NEW, boxes) == contents
    assert seals.open_each((NEW, *box) for box in boxes) == contents


@pytest.mark.parametrize(
    "wrong",
    [b"", b"x" * 12, b"x" * 60, seals.seal_box(OLD, b"a", b"content"), seals.seal_box(NEW, b"b", b"")],
    ids=["nothing", "too short", "nobody's", "an older key's", "another place's"],
)
def test_of_many_boxes_one_that_is_not_ours_refuses_all(wrong):
    boxes = [(b"a", seals.seal_box(NEW, b"a", b"content")), (b"a", wrong)]
    with pytest.raises(OpeningFailed):
        seals.open_many(NEW, boxes)
    with pytest.raises(OpeningFailed):
        seals.open_each((NEW, *box) for box in boxes)


def test_an_older_key_still_opens_and_a_strangers_never_does():
    box = seals.seal_box(OLD, b"confirm/1", b"content")
    assert seals.open_seal([OLD, NEW], b"confirm/1", box) == b"content"
    for keys in ([NEW], []):
        with pytest.raises(OpeningFailed):
            seals.open_seal(keys, b"confirm/1", box)


class TestTheBrowserCookie:
    @pytest.mark.parametrize(
        "denied", [(), SIGNAL_PURPOSES, CHOOSABLE, (Purpose.SALE,), (CHOOSABLE[-1],), (Purpose.PROFILING,)]
    )
    def test_brings_back_what_was_denied(self, denied):
        cookie = BrowserCookie(BROWSER, 20_000, frozenset(denied))
        assert seals.open_cookie([NEW], seals.seal_cookie([NEW], cookie)) == cookie

    def test_a_flag_names_no_browser(self):
        flag = seals.open_cookie([NEW], seals.seal_cookie([NEW], BrowserCookie(seals.NO_ID, 1, frozenset())))
        assert flag.value == ""
        assert COOKIE.value == BROWSER.hex()

    def test_is_made_with_the_newest_key_and_opens_with_any(self):
        made = seals.seal_cookie([OLD, NEW], COOKIE)
        assert seals.open_cookie([NEW], made) == COOKIE
        assert seals.open_cookie([OLD, NEW], seals.seal_cookie([OLD], COOKIE)) == COOKIE

    def test_no_two_are_alike_and_none_shows_the_id(self):
        made = [seals.seal_cookie([NEW], COOKIE) for _ in range(50)]
        assert len(set(made)) == 50
        assert not any(BROWSER.hex() in one or BROWSER in raw(one) for one in made)
        assert max(map(len, made)) < 100

    def test_of_an_unknown_version_or_length_is_refused(self):
        content = seals.COOKIE_FORM.pack(2, 1, 0, BROWSER)
        for odd in (content, content + b"x", content[:-1], b""):
            with pytest.raises(OpeningFailed):
                seals.open_cookie([NEW], text(seals.seal_box(NEW, seals.COOKIE, odd)))


class TestTheBrowserToken:
    def test_names_the_browser_until_it_is_over(self):
        token = seals.seal_browser([NEW], BROWSER, 1000)
        assert seals.open_browser([NEW], token, 999).value == BROWSER.hex()
        assert seals.open_browser([NEW], token, 1000).value == BROWSER.hex()
        with pytest.raises(OpeningFailed):
            seals.open_browser([NEW], token, 1001)

    def test_no_two_of_one_browser_are_alike(self):
        tokens = [seals.seal_browser([NEW], BROWSER, 1000) for _ in range(50)]
        assert len(set(tokens)) == 50
        assert len({raw(token)[:12] for token in tokens}) == 50
        assert not any(a == b for a, b in itertools.pairwise(token[16:40] for token in tokens))

    def test_the_cookie_itself_does_as_well_and_a_flag_does_not(self):
        assert seals.open_browser([NEW], seals.seal_cookie([NEW], COOKIE), 0).value == BROWSER.hex()
        with pytest.raises(OpeningFailed):
            seals.open_browser([NEW], seals.seal_cookie([NEW], BrowserCookie(seals.NO_ID, 1, frozenset())), 0)

    def test_is_no_cookie(self):
        with pytest.raises(OpeningFailed):
            seals.open_cookie([NEW], seals.seal_browser([NEW], BROWSER, 1000))

    def test_any_flipped_bit_is_refused(self):
        box = raw(seals.seal_browser([NEW], BROWSER, 1000))
        for position in range(8 * len(box)):
            flipped = bytearray(box)
            flipped[position // 8] ^= 1 << position % 8
            with pytest.raises(OpeningFailed):
                seals.open_browser([NEW], text(bytes(flipped)), 0)

    @given(st.text(max_size=120))
    def test_whatever_a_stranger_sends_is_refused_and_never_raises_anything_else(self, said):
        with pytest.raises(OpeningFailed):
            seals.open_browser([NEW], said, 0)


class TestFormTokens:
    def test_a_form_comes_back_with_what_it_held(self):
        tokens = Tokens([NEW], "form")
        assert tokens.read(tokens.make({"a": [1, "b"]}), 60) == {"a": [1, "b"]}

    def test_a_token_for_one_use_is_nothing_for_another(self):
        assert Tokens([NEW], "confirm").read(Tokens([NEW], "form").make("x"), 60) is None

    def test_a_changed_or_foreign_token_is_nothing(self):
        token = Tokens([NEW], "form").make("x")
        for other in (token[:-1], token[1:], "", "x", token.replace(".", ",", 1), Tokens([OLD], "form").make("x")):
            assert Tokens([NEW], "form").read(other, 60) is None

    def test_a_token_ends_after_its_time(self):
        tokens = Tokens([NEW], "form")
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            token = tokens.make("x")
            clock.shift(60)
            assert tokens.read(token, 60) == "x"
            clock.shift(1)
            assert tokens.read(token, 60) is None

    def test_a_token_made_before_a_new_key_still_counts_and_new_ones_use_the_new_key(self):
        both = Tokens([OLD, NEW], "form")
        assert both.read(Tokens([OLD], "form").make("x"), 60) == "x"
        assert Tokens([NEW], "form").read(both.make("x"), 60) == "x"
        assert Tokens([OLD], "form").read(both.make("x"), 60) is None


def test_ids_are_drawn_together_and_no_two_processes_hand_out_one():
    seals.new_browser()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"".join(seals.new_browser() for _ in range(2 * seals.DRAWN)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 4 * seals.ID_BYTES * seals.DRAWN)
    os.close(reader)
    os.close(writer)
    all_ids = [theirs[at : at + 16] for at in range(0, len(theirs), 16)] + [
        seals.new_browser() for _ in range(2 * seals.DRAWN)
    ]
    assert len(set(all_ids)) == len(all_ids) == 4 * seals.DRAWN


def test_an_events_id_begins_with_the_minute_that_its_entry_shows_and_tells_no_more_of_when_it_was():
    at = datetime(2026, 11, 24, 12, 30, 59, 999_000, tzinfo=UTC)
    ids = [seals.new_event(at.replace(second=second)) for second in (0, 30, 59)]
    assert {int.from_bytes(each[:4], "big") * 60 for each in ids} == {at.replace(second=0, microsecond=0).timestamp()}
    assert ({len(each) for each in ids}, len({each[4:] for each in ids})) == ({16}, 3)
    assert seals.new_event(at + timedelta(minutes=1)) > max(ids)
