"""An id of the person who is asked about is in nothing that stays of a bid request, whichever member and spelling."""

import base64
import hashlib
import json

import pytest
from support.bids import OBJECTS, cut_down, made, places, put, said, sample, texts

from gateway.choice.downstream import Outcome, strings
from gateway.choice.openrtb import filtering, reading, traces
from gateway.choice.openrtb.filtering import Leave
from gateway.choice.openrtb.members import BIDDERS
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

NOBODY = Leave({}, strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"}))))
UUID = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
PHONE, WORD = "+14155550107", "u-7f3k9q2z"
MAIL_DIGEST = hashlib.sha256(b"jane.doe@example.com").hexdigest()


def sha(name, text):
    return hashlib.new(name, text.encode()).digest()


def written(name, text):
    """A digest as anybody writes one."""
    raw = sha(name, text)
    plain = base64.b64encode(raw).decode()
    return [
        raw.hex(),
        raw.hex().upper(),
        plain,
        plain.rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        f"{name}:{raw.hex()}",
    ]


def hashed(*forms):
    return [each for form in forms for name in ("sha256", "sha1", "md5") for each in written(name, form)]


def escaped(text, times=1):
    for _ in range(times):
        text = (
            "".join(f"%{ord(each):02x}" for each in text)
            if times == 1
            else text.replace("%", "%25").replace("@", "%40")
        )
    return text


# whose id it is and where the request says so; how it may be written elsewhere
PEOPLE = {
    "an ad id": (
        {"device": {"ifa": UUID}},
        [
            UUID,
            UUID.upper(),
            UUID.replace("-", ""),
            UUID.replace("-", "_"),
            UUID.replace("-", ":"),
            f"gaid:{UUID}",
            f"slot/{UUID}/a",
            f"https://example.com/a/{UUID}/b",
            escaped(UUID),
            f'{{"u":"{UUID}"}}',
            f"n-{UUID.replace('-', '')}",
            *hashed(UUID, UUID.upper(), UUID.replace("-", "")),
        ],
    ),
    "a phone number": (
        {"user": {"id": PHONE}},
        [
            14155550107,
            4155550107,
            14155550107.0,
            "14155550107",
            "4155550107",
            "415-555-0107",
            "(415) 555 0107",
            "1.415.555.0107",
            "tel:4155550107",
            "/4155550107/top",
            *hashed(PHONE, "14155550107", "4155550107"),
        ],
    ),
    "a number without its plus": ({"user": {"id": "14155550107"}}, ["415-555-0107", 4155550107, *hashed(PHONE)]),
    "an address": (
        {"user": {"id": "Jane.Doe@gmail.com"}},
        [
            "Jane.Doe@gmail.com",
            "janedoe+x@googlemail.com",
            "jane.doe%2540gmail.com",
            "jane.doe&#64;gmail.com",
            "jane.doe\\u0040gmail.com",
            *hashed("jane.doe@gmail.com", "janedoe@gmail.com"),
        ],
    ),
    "an id of a partner": (
        {"user": {"eids": [{"source": "a.example", "uids": [{"id": WORD}]}]}},
        [WORD, WORD.upper(), f"x:{WORD}", escaped(WORD), *hashed(WORD)],
    ),
    "a number as an id": ({"user": {"buyeruid": 7203685477}}, [7203685477, "7203685477", "a-7203685477"]),
    "a short word": ({"user": {"id": "j7Ro"}}, ["j7Ro", "J7RO", '{"u":["j7Ro"]}', '["j7Ro"]']),
    "a digest": (
        {"user": {"id": MAIL_DIGEST}},
        [*written("sha256", "jane.doe@example.com"), ":".join(MAIL_DIGEST[at : at + 2] for at in range(0, 64, 2))],
    ),
    "a digest in base64": ({"user": {"id": base64.b64encode(bytes.fromhex(MAIL_DIGEST)).decode()}}, [MAIL_DIGEST]),
    "a digest of an ad id that stands there": (
        {"user": {"id": hashlib.sha1(UUID.encode()).hexdigest()}},
        [UUID, UUID.upper()],
    ),
    "a bidder's id in the user's bag": ({"user": {"ext": {"prebid": {"buyeruids": {"ix": WORD}}}}}, [WORD]),
    "an unknown member of a user": ({"user": {"ext": {"fpid": {"v": [WORD]}}}}, [WORD]),
    "a session": ({"device": {"ext": {"session_id": WORD}}}, [WORD]),
    "a vendor's id": ({"device": {"ext": {"ifv": UUID}}}, [UUID.upper(), *hashed(UUID)]),
    "a network's address": ({"device": {"ip": "203.0.113.77"}}, ["203.0.113.77", "ip:203.0.113.77"]),
    "a network's address of version 6": ({"device": {"ipv6": "2001:DB8::7:1"}}, ["2001:db8::7:1", "2001:DB8::7:1"]),
}
STAY = [(path, entry) for path, _, _, entry in places() if entry is not None]
AUCTION = {"id", "imp.id"}
PARAMETERS = sum(len(bidder.scalar) for bidder in BIDDERS.values())


def joined(request, theirs):
    return request | {name: {**request.get(name, {}), **part} for name, part in theirs.items()}


def with_parameters(value):
    bags = {name: dict.fromkeys(sorted(bidder.scalar), value) for name, bidder in BIDDERS.items()}
    return {"id": "1", "imp": [{"id": "1", "ext": {"prebid": {"bidder": bags}}}, {"id": "2"}]}


def is_in(value, out):
    text = texts(out)
    return (f"{value}" in text or json.dumps(value) in text) if isinstance(value, str) else str(int(value)) in text


@pytest.mark.parametrize("name", PEOPLE)
def test_whatever_somebodys_id_is_planted_in_and_however_it_is_written_it_does_not_stay(name, figure):
    theirs, spellings = PEOPLE[name]
    for each in spellings:
        request = made(
            lambda path, entry, each=each: sample(path, entry) if entry is None or said(path) in AUCTION else each
        )
        out = cut_down(joined(request, theirs), NOBODY)
        assert out is not None
        assert not is_in(each, out), each
        assert not is_in(each, cut_down(joined(with_parameters(each), theirs), NOBODY)), each
    figure(f"spellings of {name} planted, each in so many members", f"{len(spellings)}; {len(STAY) + PARAMETERS}")


SAMPLES = [
    ("an ad id", UUID.upper()),
    ("an ad id", sha("sha1", UUID).hex()),
    ("a phone number", "4155550107"),
    ("an id of a partner", WORD),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "spelling"), SAMPLES, ids=str)
def test_one_that_stands_in_a_single_member_is_found_in_each(name, spelling, figure):
    theirs, _ = PEOPLE[name]
    for path, _ in STAY:
        request = made(sample)
        put(request, path, spelling)
        out = cut_down(joined(request, theirs), NOBODY)
        assert (out is None) == (said(path) in AUCTION), said(path)
        assert not is_in(spelling, out), said(path)
    figure(f"members in which {name} alone was planted", len(STAY))


@pytest.mark.parametrize("name", PEOPLE)
def test_the_request_and_the_slot_that_are_called_so_are_not_sent(name):
    theirs, spellings = PEOPLE[name]
    for each in spellings:
        assert cut_down({"id": each, "imp": [{"id": "1"}], **theirs}, NOBODY) is None, each
        out = cut_down({"id": "1", "imp": [{"id": each}, {"id": "2"}], **theirs}, NOBODY)
        assert out["imp"] == [{"id": "2"}], each


def test_if_nothing_were_looked_for_it_would_be_seen(monkeypatch):
    monkeypatch.setattr(traces.Traces, "are_in", lambda *_: False)
    each = [(name, spelling) for name, (_, spellings) in PEOPLE.items() for spelling in spellings]
    left = {
        name
        for name, spelling in each
        if is_in(spelling, cut_down(joined(with_parameters(spelling), PEOPLE[name][0]), NOBODY))
    }
    assert left == PEOPLE.keys()


@pytest.mark.parametrize(
    "blind",
    [("_stand_in", "an id of a partner"), ("_digests_stand_in", "an ad id"), ("_hashed", "a digest of an ad id that stands there")],
)  # fmt: skip
def test_each_way_of_looking_that_were_blind_would_be_seen(blind, monkeypatch):
    way, name = blind
    monkeypatch.setattr(traces.Traces, way, frozenset() if way == "_hashed" else lambda *_: False)
    theirs, spellings = PEOPLE[name]
    assert any(is_in(each, cut_down(joined(with_parameters(each), theirs), NOBODY)) for each in spellings)


def test_member_names_are_the_lists_and_never_a_strangers():
    """A key that is somebody's id: of an unknown member, of a bidder, of a parameter, of a text that holds an
    object."""
    theirs, _ = PEOPLE["an ad id"]
    request = made(sample)
    request["imp"][0]["native"]["request"] = json.dumps({"assets": [{"id": 1, UUID: 1}], UUID: {"id": 1}})
    for holder in (request, request["site"], request["app"], request["device"], request["imp"][0], request["source"]):
        holder[UUID] = "1"
        holder.setdefault("ext", {})[UUID] = {UUID: 1}
    bag = request["imp"][0]["ext"].setdefault("prebid", {})
    bag["bidder"] = {UUID: {"placement": 1}, "ix": {"siteId": "9", UUID: 1}}
    out = cut_down(joined(request, theirs), NOBODY)
    assert out["imp"][0]["ext"]["prebid"]["bidder"] == {"ix": {"siteId": "9"}}
    assert UUID not in texts(out)


def test_an_id_that_may_go_stays_in_every_place_beside_a_denied_one():
    answers = dict.fromkeys(DataClass, Answer.ALLOW) | {DataClass.DEVICE_ID: Answer.DENY}
    request = {
        "id": "1",
        "imp": [{"id": "1", "tagid": f"a-{WORD}"}, {"id": "2", "tagid": "vendor-7f3k9q2z"}],
        "device": {"ifa": UUID, "ext": {"ifv": "vendor-7f3k9q2z"}},
        "user": {"id": WORD, "buyeruid": "vendor-7f3k9q2z"},
    }
    out = cut_down(request, Leave(answers, NOBODY.strings))
    assert (out["device"]["ifa"], out["user"]["id"], out["imp"][0]["tagid"]) == (UUID, WORD, f"a-{WORD}")
    assert out["imp"][1]["tagid"] == "vendor-7f3k9q2z"  # one of its places may have it


def test_where_everything_may_go_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(traces.Traces, "are_in", lambda *_: pytest.fail("looked"))
    free = Leave(dict.fromkeys(DataClass, Answer.ALLOW), strings(Outcome(frozenset(), frozenset({"US-NY"}))))
    request = {"id": UUID, "imp": [{"id": "1"}], "device": {"ifa": UUID}}
    assert cut_down(request, free)["id"] == UUID


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        ({"user": {"id": "1"}}, "1"), ({"user": {"id": "300"}}, "300"), ({"user": {"id": ""}}, "7"), ({"device": {"ifa": "0" * 8 + "-0000-0000-0000-" + "0" * 12}}, "0" * 16),
        ({"device": {"ip": "203.0.113.7"}}, "203.0.113.77"), ({"device": {"ip": "203.0.113.0"}}, "203.0.113.0"), ({"user": {"id": True}}, "true"),
        ({"user": {"eids": [{"source": "seller.example", "uids": [{"id": WORD}]}]}}, "seller.example"), ({"user": {"id": "j7Ro"}}, "xj7Rox"),
        ({"user": {"keywords": "news12345"}}, "news12345"), ({"device": {"ifa": UUID}}, UUID[:-1] + "d"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_nobodys_id_stays_for_the_seller(theirs, kept):
    request = {"id": "1", "imp": [{"id": "1", "ext": {"prebid": {"bidder": {"ix": {"siteId": kept}}}}}]} | theirs
    out = cut_down(request, NOBODY)
    assert out["imp"][0]["ext"]["prebid"]["bidder"] == {"ix": {"siteId": kept}}


@pytest.mark.parametrize(
    "value", ["\ud83d", "%ud83d%%%", "\\ud83d", "&#xd83d;", "&" * 50, "%25" * 50, 1e308, -(10**30), "é" * 30, "\x00" * 30], ids=ascii,
)  # fmt: skip
def test_no_text_of_a_stranger_stops_the_search(value):
    cut_down({"id": "1", "imp": [{"id": "1", "tagid": UUID}], "user": {"id": value}, "device": {"ifa": UUID}}, NOBODY)
    assert not traces.Traces([UUID]).are_in(traces.texts_of({"a": value}))


def test_the_list_of_members_is_the_whole_one():
    assert len(STAY) > 250
    assert "BidRequest" in OBJECTS


# --- ids that stand in a person's place otherwise than it is written ---

PARTNERS = [{"id": f"id{n:05}abc"} for n in range(150)]
IN_A_PLACE = {
    "the hundred and fortieth id of a partner": ({"user": {"eids": [{"uids": PARTNERS}]}}, "id00140abc"),
    "the hundred and fortieth partner's": ({"user": {"eids": [{"uids": [each]} for each in PARTNERS]}}, "id00140abc"),
    "a word of custom data": ({"user": {"customdata": f"uid={WORD};x=1"}}, WORD),
    "an escaped word of custom data": ({"user": {"customdata": f"uid%3D{WORD}%3Bx"}}, WORD),
    "custom data with an object in it": ({"user": {"customdata": json.dumps({"uid": WORD})}}, WORD),
    "an ad id in a list": ({"device": {"ifa": [WORD]}}, WORD),
    "a user's id in a list": ({"user": {"id": [WORD]}}, WORD),
    "a user's id in an object": ({"user": {"id": {"v": "j7Ro"}}}, "j7Ro"),
    "a user that is a list": ({"user": [WORD]}, WORD),
    "an audience's id": ({"user": {"data": [{"id": WORD}]}}, WORD),
    "an audience of the extension": ({"user": {"ext": {"data": {"ext": {"id": WORD}}}}}, WORD),
    "a place's extension": ({"user": {"geo": {"ext": {"id": WORD}}}}, WORD),
    "the device's place": ({"device": {"geo": {"ext": {"id": WORD}}}}, WORD),
    "a serial number": ({"device": {"sn": WORD}}, WORD),
    **{
        f"device.ext.{name}": ({"device": {"ext": {name: WORD}}}, WORD) for name in ("idfa", "gaid", "androidid", "ifa")
    },
    "deep in the device's extension": ({"device": {"ext": {"x": [{"y": f"a {WORD}"}]}}}, WORD),
    "an eid's own id": ({"user": {"eids": [{"id": WORD}]}}, WORD),
    "an eid's extension": ({"user": {"eids": [{"ext": {"rid": WORD}, "uids": []}]}}, WORD),
    "a uid's extension": ({"user": {"eids": [{"uids": [{"id": "a", "ext": {"rid": WORD}}]}]}}, WORD),
    "eids that are an object": ({"user": {"eids": {"uids": {"id": WORD}}}}, WORD),
    "a uid's id in a list": ({"user": {"eids": [{"uids": [{"id": [WORD]}]}]}}, WORD),
}


@pytest.mark.parametrize("name", IN_A_PLACE)
def test_an_id_in_a_persons_place_leaves_nowhere_else_however_that_place_is_written(name):
    theirs, value = IN_A_PLACE[name]
    request = {"id": "1", "imp": [{"id": "1", "tagid": value}, {"id": "2", "tagid": "slot-2"}], **theirs}
    out = cut_down(request, NOBODY)
    assert [imp.get("tagid") for imp in out["imp"]] == [None, "slot-2"]


def test_what_a_browser_or_an_audience_is_called_is_nobodys_id():
    names = ["news12345", "segment-7731", "Dalvik/2.1.0", "124.0.6367.91"]
    theirs = {
        "user": {"data": [{"name": names[0], "segment": [{"id": names[1]}]}]},
        "device": {"ua": names[2], "ext": {"sua": {"v": names[3]}, "atts": 3}},
    }
    bags = [{"id": str(n), "ext": {"prebid": {"bidder": {"ix": {"siteId": each}}}}} for n, each in enumerate(names)]
    out = cut_down({"id": "1", "imp": bags, **theirs}, NOBODY)
    kept = {imp["ext"]["prebid"]["bidder"]["ix"]["siteId"] for imp in out["imp"]}
    assert kept >= {"news12345", "segment-7731", "124.0.6367.91"}


def test_an_id_of_a_devices_extension_that_may_go_is_no_trace():
    answers = dict.fromkeys(DataClass, Answer.ALLOW) | {DataClass.KEYWORDS: Answer.DENY}
    request = {"id": "1", "imp": [{"id": "1", "tagid": WORD}], "device": {"ext": {"gaid": WORD}}}
    assert cut_down(request, Leave(answers, NOBODY.strings))["imp"][0]["tagid"] == WORD
    denied = Leave(answers | {DataClass.AD_ID: Answer.DENY}, NOBODY.strings)
    assert "tagid" not in cut_down(request, denied)["imp"][0]


OWN = [
    (UUID, UUID.replace("-", sign)) for sign in "~|#,.;*"
] + [
    (UUID, base64.b64encode(UUID.encode()).decode()),
    (UUID, f"https://example.com/p/{base64.b64encode(UUID.upper().encode()).decode()}/z"),
    (PHONE, "tel:415_555_0107"),
    (PHONE, base64.b64encode(b"4155550107").decode()),
    ("jane.doe@example.com", "jane.doe_at_example.com"),
    ("jane.doe@example.com", "jane.doe(at)example.com"),
    ("jane.doe@example.com", "u/jane.doe at example.com/x"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "spelling"), OWN, ids=str)
def test_an_id_with_any_sign_for_its_own_is_found(value, spelling):
    assert traces.Traces([value]).are_in(["slot-2", spelling])
    assert not traces.Traces([value]).are_in(["slot-2", "at-example.com", "415-555-0108"])


FORMED = {
    "tel:4155550101": "phone", "415_555_0101": "phone", "4155550101": "phone", "IMEI:490154203237518": "imei",
    "jane.doe at example.com": "email", "jane.doe_at_example.com": "email", "jane.doe(at)example.com": "email",
    base64.b64encode(UUID.encode()).decode(): "gaid", base64.b64encode(b"4155550101").decode(): "phone",
    base64.b64encode(b"+14155550101").decode(): "phone", "https://example.com/p/tel:4155550101/z": "phone",
    **{UUID.replace("-", sign): "gaid" for sign in "~|#,.:"},
}  # fmt: skip


@pytest.mark.parametrize("text", FORMED)
def test_whatever_reads_as_an_id_is_asked_about(text):
    found = traces.formed([text, "leaderboard_top"], ())
    assert FORMED[text] in {each["type"] for could_be in found.values() for each in could_be}
    assert "leaderboard_top" not in found


# --- how much is looked at ---


def partners(count, each="{:012x}z"):
    ids = [{"id": each.format(n)} for n in range(count)]
    return [{"source": "a.example", "uids": ids[at : at + 100]} for at in range(0, count, 100)]


def of_categories(count, eids):
    return {
        "id": "1",
        "imp": [{"id": "1"}],
        "user": {"id": WORD, "eids": eids},
        "bcat": [*(f"c{n}" for n in range(count)), WORD],
    }


def counted(monkeypatch, request):
    """What was looked at: how often, and how many texts in all."""
    looks, look = [], traces.Traces.are_in
    monkeypatch.setattr(traces.Traces, "are_in", lambda self, texts: looks.append(len(texts)) or look(self, texts))
    return cut_down(request, NOBODY), len(looks), sum(looks)


@pytest.mark.parametrize("count", [500, 8_000])
def test_one_trace_among_many_texts_is_found_by_few_looks(count, monkeypatch):
    out, looks, texts = counted(monkeypatch, of_categories(count, partners(100)))
    assert (len(out["bcat"]), WORD in out["bcat"]) == (count, False)
    assert looks < 60
    assert texts < 3 * (count + 10)


def test_many_texts_with_a_trace_are_few_looks_at_the_whole(monkeypatch):
    request = of_categories(4_000, [])
    request["bcat"][:-1:40] = [f"{WORD}-{n}" for n in range(100)]
    out, _, texts = counted(monkeypatch, request)
    assert len(out["bcat"]) == len(request["bcat"]) - 101
    assert texts < 8 * 4_000


def test_a_trace_in_too_many_different_texts_blocks():
    request = of_categories(1, [])
    for count, blocked in ((traces.MOST_HELD - 1, False), (traces.MOST_HELD, True)):
        request["bcat"] = [WORD, *(f"{WORD}-{n}" for n in range(count))]
        assert (cut_down(request, NOBODY) is None) == blocked


@pytest.mark.parametrize("each", ["{:012x}z", "6d92078a-8246-4ba4-ae5b-{:012x}"])
def test_more_ids_than_anybodys_block_without_a_look(each, monkeypatch):
    fits = of_categories(10, partners(traces.MOST_NEEDLES - 1, each))
    assert WORD not in cut_down(fits, NOBODY)["bcat"]
    out, looks, _ = counted(monkeypatch, of_categories(10, partners(traces.MOST_NEEDLES, each)))
    assert (out, looks) == (None, 0)


def test_more_ids_than_anybodys_are_no_matter_where_all_may_go():
    free = Leave(dict.fromkeys(DataClass, Answer.ALLOW), strings(Outcome(frozenset(), frozenset({"US-NY"}))))
    assert cut_down(of_categories(10, partners(1_000)), free) is not None


@pytest.mark.parametrize(
    ("limit", "values", "texts"),
    [
        ("MOST_COMPARED", [WORD], ["x" * 20]), ("MOST_CHARACTERS", [WORD], ["x" * 20]), ("MOST_UNFOLDED", [WORD], ["é" * 20]), ("MOST_IN_RUNS", [WORD], ["0a" * 40]),
        ("MOST_CLOSE", ["jane.doe@example.com"], [f"a{n}@b.example" for n in range(20)]), ("MOST_CLOSE", [MAIL_DIGEST], [f"{UUID[:-2]}{n}" for n in range(10, 30)]),
        ("MOST_CLOSE", ["jane.doe@example.com"], [f"a{n} at b.example" for n in range(20)]),
    ],
    ids=["work", "text", "letters", "hex", "addresses", "uuids", "words"],
)  # fmt: skip
def test_more_text_than_an_auction_has_time_for_is_not_looked_through(limit, values, texts, monkeypatch):
    assert not traces.Traces(values).is_too_much(texts)
    monkeypatch.setattr(traces, limit, 15)
    assert traces.Traces(values).is_too_much(texts)
    assert traces.without({"bcat": texts}, texts, traces.Traces(values), "") is None


def test_more_that_could_be_ids_than_can_be_read_are_too_many():
    many = [f"tel:415{n:07}" for n in range(traces.MOST_CLOSE + 1)]
    assert traces.formed(many, ()) is None
    assert filtering.suspects(filtering.LawfulBid({}, many), NOBODY, frozenset()) is None
    assert len(filtering.suspects(filtering.LawfulBid({}, many[1:]), NOBODY, frozenset())) == traces.MOST_CLOSE


def test_more_ids_than_are_looked_up_deny():
    for count, unread in ((299, False), (301, True)):
        found = reading.said_in_bid({"user": {"eids": partners(count)}}).identifiers
        assert (found[-1]["value"] is None) == unread
        assert len(found) <= 301


EXACT, JANE = "45.523064,-122.676483", "jane.doe@example.com"
SHOWN = {
    DataClass.PRECISE_GEO: [
        EXACT, "45.523064:-122.676483", "lat=45.523064&lon=-122.676483", "45.523064%2C-122.676483", base64.b64encode(EXACT.encode()).decode(),
        json.dumps({"lat": 45.523064, "lon": -122.676483}),
    ],
    DataClass.CONTACT: [JANE, "jane.doe%40example.com", PHONE, "%2B14155550107", base64.b64encode(JANE.encode()).decode()],
}  # fmt: skip


@pytest.mark.parametrize(("shown", "text"), [(each, text) for each, several in SHOWN.items() for text in several])
def test_a_point_and_a_contact_stay_in_no_member_where_they_may_not_go(shown, text):
    """Whosever they are: nobody has to name them in a person's place first. Where they may go they are no trace."""
    request = {"id": "1", "imp": [{"id": "1"}], "user": {"gender": text, "eids": [{"source": text, "uids": []}]}}
    answers = dict.fromkeys(DataClass, Answer.ALLOW) | {DataClass.IP: Answer.DENY}
    may = cut_down(request, Leave(answers, NOBODY.strings))
    assert may["user"] == request["user"]
    may_not = cut_down(request, Leave(answers | {shown: Answer.DENY}, NOBODY.strings))
    assert may_not["user"] == {"eids": [{"uids": []}]}
    coarse = cut_down(request, Leave(answers | {shown: Answer.COARSEN}, NOBODY.strings))
    assert coarse["user"] == may_not["user"]


def test_a_path_ends_before_a_point():
    request = {"id": "1", "imp": [{"id": "1"}], "site": {"page": f"https://w.example/at/{EXACT}/today"}}
    assert cut_down(request, NOBODY)["site"]["page"] == "https://w.example/at/"
    hidden = {"id": "1", "imp": [{"id": "1"}], "site": {"page": "https://w.example/at/45%2E523064,-122%2E676483/today"}}
    assert cut_down(hidden, NOBODY)["site"] == {}


def test_a_coarse_point_a_version_and_a_price_are_no_traces():
    texts_ = ["45.5,-122.7", "Chrome/120.0.6099.144", "0.8534|0.9121", "45.523064", "-122.676483", "a@b", "1+1"]
    assert not traces.Traces([], but=()).are_in(texts_)
    assert traces.Traces([], but=()).are_in([*texts_, EXACT])
