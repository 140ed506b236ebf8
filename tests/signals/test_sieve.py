from hypothesis import example, given
from hypothesis import strategies as st

from gateway.signals import cmp_cookies, cookies
from gateway.signals.cookies import Sieve
from gateway.signals.hear import Hearing, from_web

OURS = ("__Host-gateway", "uid")
NAMES = [name.rstrip("*") for name in cmp_cookies.NAMES]
VALUES = ["1YYN", "1YNN", "isGpcEnabled=1&groups=C0004%3A0", "optout", "allow", "deny", "dismissed", "2", ""]
PAIRS = st.tuples(st.sampled_from([*NAMES, *OURS, "a", "visit_1", "aam_uuid"]), st.sampled_from(VALUES))
# OptanonConsent among fields that nobody reads, some of them odd
FIELDS = st.sampled_from([
    "groups=C0001%3A1%2CC0004%3A0", "groups=C0004:1", " groups =C0002%3A0", "groups", "groups%3DC0004%3A0", "\xa0groups=C0004:0",
    "isGpcEnabled=1", "isGpcEnabled=0", "browserGpcFlag=1", "interactionCount=0", "interactionCount=2", "gppSid=7",
    "gppSid=8%2C7", "datestamp=Tue+Nov", "consentId=1", "xgroups=C0004:0", "a=groups=C0004:0", "", "=", '"',
])  # fmt: skip
ONETRUST = st.lists(FIELDS, max_size=6).map("&".join).map("OptanonConsent={}".format)
BESIDE = st.sampled_from([
    "OptanonAlertBoxClosed=2026-11-24T10:00:02.201Z", "OptanonAlertBoxClosed=", 'OptanonAlertBoxClosed=""',
    "OptanonAlertBoxClosed=%20", "OTGPPConsent=DBABLA~BVQqAAAACgA.QA", "OTGPPConsent=DBABLA~BAQqAAAACgA.QA",
])  # fmt: skip
CHUNKS = st.one_of(
    PAIRS.map("=".join),
    ONETRUST,
    BESIDE,
    st.text(st.characters(max_codepoint=255), max_size=12),
    st.sampled_from(NAMES),
)
JARS = st.lists(st.tuples(st.sampled_from(["", " ", "  ", "\t"]), CHUNKS).map("".join), max_size=8).map(";".join)


def speaks(name):
    return cmp_cookies.is_read(name) or Hearing().industry.is_read(name)


def sieved():
    return Sieve(speaks, OURS.__contains__, Hearing().abridges)


def said(fields):
    heard = from_web([(b"cookie", field) for field in fields])
    return {*heard.said}, {*heard.malformed}, heard.ended, heard.vendors  # what is said alike is read once


@given(st.lists(JARS, min_size=1, max_size=3))
@example(["a=1; usprivacy=1YYN", "cmplz_banner-status=dismissed; cmplz_marketing=deny"])
@example(["usprivacy;usprivacy =1YYN"])
@example(["OptanonConsent=isGpcEnabled=1&a=1; OptanonConsent=isGpcEnabled=1"])
def test_nothing_that_a_visitor_says_is_lost_in_the_sieve(jars):
    fields, both = [jar.encode("latin-1") for jar in jars], sieved()
    for _ in range(2):  # the second time the names are known
        found = both.sift(fields)
        assert said(found.signals) == said(fields)
        assert list(found.ours) == [pair for pair in cookies.parse_cookies(fields)[0] if pair[0] in OURS]


def test_a_sieve_that_forgot_a_name_would_lose_an_opt_out():
    """Control: the property above can fail."""
    deaf = Sieve(lambda name: speaks(name) and name != "usprivacy", OURS.__contains__)
    fields = [b"a=1; usprivacy=1YYN"]
    assert said(deaf.sift(fields).signals) != said(fields)


def test_a_sieve_that_abridged_too_much_would_lose_an_opt_out():
    """Control: a reader of OptanonConsent looks at its groups."""
    deaf = Sieve(speaks, OURS.__contains__, lambda _: lambda value: value.replace("groups", ""))
    fields = [b"OptanonConsent=isGpcEnabled=0&groups=C0004%3A0"]
    assert said(deaf.sift(fields).signals) != said(fields)


def test_what_two_browsers_said_alike_is_the_same_bytes():
    jars = [
        f"OptanonConsent=datestamp=Tue+Nov+{day}&consentId={day}&groups=C0004%3A0&interactionCount=1;"
        f" OptanonAlertBoxClosed=2026-11-{day}T10:00:02.201Z".encode()
        for day in (24, 25)
    ]
    first, second = (sieved().sift([jar]).signals for jar in jars)
    assert first == second == (b"OptanonConsent=groups=C0004%3A0&interactionCount=1; OptanonAlertBoxClosed=1",)


def test_a_long_header_goes_through_whole_and_what_is_ours_is_found_wherever_it_stands():
    fields = [b"a=" + b"x" * cookies.MAX_BYTES, b"uid=7"]
    found = sieved().sift(fields)
    assert found.signals == tuple(fields)
    assert "size" in {each.reason for each in said(found.signals)[1]}
    assert found.ours == (("uid", "7"),)  # behind the cut


def test_strangers_cannot_make_the_sieve_grow(monkeypatch):
    monkeypatch.setattr(cookies, "MOST_NAMES", 50)
    both = sieved()
    for number in range(500):
        both.sift([f"stranger{number}=1; usprivacy=1YYN; {'n' * 200}=1".encode()])
        assert len(both._plain) + len(both._worth) <= 50
        assert max(map(len, both._plain)) <= cookies.LONGEST_NAME


@given(JARS, st.sampled_from(["a", "usprivacy", "__Host-gateway"]))
@example("a=1", "a")
@example(" a = 1 ;b=a=2;a;", "a")
def test_a_cookie_is_taken_out_and_the_rest_stands(jar, name):
    header = jar.encode("latin-1")
    parts = header.split(b";")
    kept = [part for part in parts if part.partition(b"=")[0].strip(b" \t") != name.encode()]
    assert cookies.without(header, name.encode()) == b";".join(kept).strip()
