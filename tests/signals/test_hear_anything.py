"""Anything at all that a request may say: it is answered, any opt-out wins, and nothing hides another."""

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.signals import BROKEN, INDUSTRY, OPT_OUTS, OTHERS, mixes, web

from gateway.signals.hear import Hearing, from_call, from_script, from_web
from gateway.terms import SIGNAL_PURPOSES

QUICKLY = examples(150)
FULL = frozenset(SIGNAL_PURPOSES)

HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"cookie", b"sec-gpc", b"dnt", b"x-adchoices", b"cookie2", b"x-other"]),
        st.binary(max_size=100) | st.sampled_from([BROKEN, *(value.encode() for value in OPT_OUTS["cookies"])]),
    ),
    max_size=6,
)


@QUICKLY
@given(HEADERS, st.binary(max_size=60) | st.builds(lambda text: b"gpp=" + text, st.binary(max_size=30)))
def test_any_headers_and_address_are_heard_and_never_hide_gpc(headers, query):
    hearing = Hearing(industry=INDUSTRY)
    assert from_web(headers, hearing, query).denied <= FULL
    assert from_web([*headers, (b"sec-gpc", b"1")], hearing, query).gpc


@QUICKLY
@given(HEADERS, st.sampled_from(OPT_OUTS["cookies"]))
def test_one_more_refusing_cookie_takes_no_denial_away_and_is_itself_heard(headers, cookie):
    before, alone = from_web(headers), web(("cookie", cookie))
    after = from_web([*headers, (b"cookie", cookie.encode())])
    assert after.denied >= before.denied | alone.denied


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
STORED = st.dictionaries(
    st.sampled_from(["IABGPP_HDR_GppString", "IABGPP_GppSID", "IABTCF_TCString", "gad_rdp"]), JSON, max_size=3
)
MEMBERS = sorted({*OPT_OUTS, *OTHERS})


@QUICKLY
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON | STORED, max_size=5))
def test_any_signals_are_heard_and_whatever_is_malformed_denies_everything(signals):
    heard = from_call(signals)
    assert heard.denied <= FULL
    if heard.malformed:
        assert heard.denied == FULL
        assert any(said.source == "malformed" for said in heard.said)
    assert from_call({**signals, "gpc": "1"}).gpc
    assert from_script(signals).denied <= heard.denied


@QUICKLY
@given(mixes(OTHERS), mixes(OPT_OUTS))
def test_one_more_opt_out_never_opens_anything_and_is_itself_heard(said, added):
    """R3. A tool's default where its law does not apply is no opt-out."""
    added = {name: value for name, value in added.items() if name not in said}
    before, after = from_call(said), from_call({**said, **added})
    assert after.denied >= before.denied
    for name, value in added.items():
        alone = from_call({name: value})
        assert after.denied >= (alone.denied if alone.remembered else frozenset())
    assert not after.ended - before.ended
    assert after.remembered >= before.remembered


@QUICKLY
@given(mixes(OPT_OUTS), mixes(OTHERS))
def test_nothing_that_is_said_beside_an_opt_out_hides_it(refused, beside):
    beside = {name: value for name, value in beside.items() if name not in refused}
    if from_call(refused).remembered:
        assert from_call({**beside, **refused}).remembered >= from_call(refused).remembered
