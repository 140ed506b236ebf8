"""A bid request that is called contextual has nobody in it, whatever was planted where; and it is still one that sells.

A marker stands at each member of OpenRTB 2.5 and 2.6, at members that nobody knows and in `ext` bags at every depth: as
an identifier, as a text, and in an address's query.
"""

import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bids import GONE, at, cut_down, holders, made, places, put, said, sample, texts
from support.examples import examples

from gateway.choice.downstream import Outcome, strings
from gateway.choice.keywords import vocabulary
from gateway.choice.openrtb import filtering, members, reading
from gateway.choice.openrtb.filtering import Leave
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

CALIFORNIA = frozenset({"US-CA"})
OUT, FREE = (strings(Outcome(frozenset(denied), CALIFORNIA)) for denied in (SIGNAL_PURPOSES, ()))
NEWS = vocabulary(["news"], [])
NOBODY = Leave({}, OUT, words=NEWS)
PLACES = list(places())
# Identifiers of an auction: a UUID there is the usual one, and a request without its own id is none.
OF_THE_AUCTION = {"id", "imp.id"}


def uuid(number):
    return f"38400000-8cf0-41bd-b23e-{number:012x}"


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


KINDS = {  # what is planted at the place of that number, and what of it must not be found
    "an e-mail address": (lambda n: f"jane{n}x@example.com", lambda n: f"jane{n}x"),
    "a UUID": (uuid, uuid),
    "a digest": (digest, digest),
    "a digest in upper case": (lambda n: digest(n).upper(), lambda n: digest(n).upper()),
    "a phone number": (lambda n: f"+1415555{n:04}", lambda n: f"1415555{n:04}"),
    "a phone number as a number": (lambda n: 14155550000 + n, lambda n: str(14155550000 + n)),
    "a text": (lambda n: f"Jane Roe of flat {n}x called her doctor", lambda n: f"flat {n}x"),
    "an address's query": (lambda n: f"https://shop.example.com/a?who=w{n}x&b", lambda n: f"w{n}x"),
    "an address's fragment": (lambda n: f"https://shop.example.com/a#who=w{n}x", lambda n: f"w{n}x"),
    "an address's path": (lambda n: f"https://shop.example.com/{uuid(n)}/a", uuid),
    "an address's user": (lambda n: f"https://w{n}x:p@shop.example.com/", lambda n: f"w{n}x"),
}
SHAPES = {"": lambda value: value, "in a list": lambda value: [value], "in an object": lambda value: {"id": value}}


def planted(kind, shape, only=None):
    """Everything else as it stays; a marker at each place."""
    plant, find = KINDS[kind]
    numbers = {path: number for number, (path, *_) in enumerate(PLACES)}

    def value(path, entry):
        if said(path) in OF_THE_AUCTION:
            return sample(path, entry)
        return SHAPES[shape](plant(numbers[path]))

    return made(value), {find(number): path for path, number in numbers.items() if said(path) not in OF_THE_AUCTION}


def left(out, marks):
    text = texts(out)
    return [said(path) for mark, path in marks.items() if mark in text]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_planted_at_any_member_is_not_in_a_request_without_a_person(kind, shape):
    request, marks = planted(kind, shape)
    out = cut_down(request, NOBODY)
    assert out is not None
    assert left(out, marks) == []


def bags(number, value):
    """At one object: an unknown member, and an `ext` bag of one, two and four levels, as an object and in a list."""
    return {
        f"unknown{number}": value,
        "ext": {
            f"a{number}": value,
            "b": {"c": value},
            "d": {"e": {"f": [{"ext": {"g": value}}]}},
            "data": {"h": value},
            "prebid": {"i": value, "bidder": {"appnexus": {"user": {"id": value}, "j": value}}},
        },
    }


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stands_in_members_that_nobody_knows_and_in_bags_is_not_either(kind):
    plant, find = KINDS[kind]
    marks = {}
    request = made(sample)
    for number, path in enumerate(holders()):
        marks[find(number)] = (*path, "ext or unknown")
        for member, value in bags(number, plant(number)).items():
            before = at(request, (*path, member))
            both = {**value, **before} if isinstance(before, dict) else value
            put(request, (*path, member), both)
    out = cut_down(request, NOBODY)
    assert left(out, marks) == []
    assert stays(request=request) == []


@pytest.mark.parametrize("name", sorted(OF_THE_AUCTION))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "UUID" not in kind and "digest" not in kind])
def test_a_request_whose_own_id_is_somebodys_is_not_sent(name, kind):
    """The slot goes; without any slot nothing does."""
    request = made(sample)
    put(request, ("id",) if name == "id" else ("imp", 0, "id"), KINDS[kind][0](7))
    assert cut_down(request, NOBODY) is None


@pytest.mark.parametrize(
    "path", [("id",), ("imp", 0, "id"), ("imp", 0, "tagid"), ("site", "id"), ("source", "schain", "nodes", 0, "sid")]
)
@pytest.mark.parametrize("holder", [{"device": {"ifa": "u-7f3k9q2z"}}, {"user": {"id": "u-7f3k9q2z"}}, {"user": {"buyeruid": "U-7F3K9Q2Z"}},
                                    {"user": {"ext": {"eids": [{"source": "a.example", "uids": [{"id": "u-7f3k9q2z"}]}]}}}], ids=str)  # fmt: skip
def test_a_persons_id_that_stands_in_a_second_place_leaves_from_neither(path, holder):
    """A word that has the form of no id is known by the place of a person in which it stands as well."""
    request = made(sample)
    put(request, path, "x:u-7f3k9q2z")
    assert "u-7f3k9q2z" in texts(cut_down(request, NOBODY))
    out = cut_down(request | holder, NOBODY)
    assert "u-7f3k9q2z" not in texts(out).lower()
    assert (out is None) == (path in {("id",), ("imp", 0, "id")})  # its one slot, which nobody could name


def test_an_ad_id_is_kept_from_a_place_that_may_have_it_and_from_no_other():
    request = {"id": "1", "imp": [{"id": "1", "tagid": "u-7f3k9q2z"}], "user": {"id": "u-7f3k9q2z"}}
    out = cut_down(request, Leave({DataClass.AD_ID: Answer.ALLOW}, FREE))
    assert out["user"]["id"] == out["imp"][0]["tagid"] == "u-7f3k9q2z"


def test_a_denied_id_leaves_from_no_second_place_beside_an_allowed_one_of_another_class():
    request = {
        "id": "1",
        "imp": [{"id": "1", "tagid": "x-vendor-7f3k9q2z"}],
        "device": {"ifa": "ad-7f3k9q2z", "ext": {"ifv": "vendor-7f3k9q2z"}},
    }
    out = cut_down(request, Leave({DataClass.AD_ID: Answer.ALLOW, DataClass.DEVICE_ID: Answer.DENY}, FREE))
    assert out["device"]["ifa"] == "ad-7f3k9q2z"
    assert out["imp"] == [{"id": "1"}]


@pytest.mark.parametrize("value", ["300", "0.5", "-1", True, 0.25])
def test_a_number_that_is_written_as_a_text_is_one(value):
    out = cut_down({"id": 7, "imp": [{"id": 1, "bidfloor": value}]}, NOBODY)
    assert (out["id"], out["imp"]) == (7, [{"id": 1, "bidfloor": value}])


def test_how_many_places_were_planted(figure):
    counted = len(PLACES) * len(KINDS) * len(SHAPES)
    in_bags = len(list(holders())) * 8 * len(KINDS)
    figure("places planted, members; and unknown or in bags", f"{counted}; {in_bags}")
    assert len(PLACES) > 600
    assert {name for _, name, *_ in PLACES} > {
        "Imp",
        "Device",
        "User",
        "SupplyNode",
        "Asset",
        "EID",
        "Content",
        "UserGeo",
    }


# --- what stays ---


def stays(request=None):
    """Places of a plain request whose value is not there as it should be."""
    request = request or made(sample)
    out = cut_down(request, Leave({}, FREE, words=NEWS))
    return [said(path) for path, _, _, entry in PLACES if entry is not None and at(out, path) != entry["kept"]]


def test_the_page_the_slot_and_the_seller_stay_as_they_came(figure):
    kept = [path for path, _, _, entry in PLACES if entry is not None]
    figure("members that stay in a request without a person, of all", f"{len(kept)} of {len(PLACES)}")
    assert stays() == []
    assert cut_down(made(sample), NOBODY)["device"]["lmt"] == 1


def test_of_a_member_that_should_not_stay_nothing_does():
    request = made(lambda path, entry: sample(path, entry) if entry is not None else 7)
    out = cut_down(request, NOBODY)
    shown = {"regs.gdpr", "regs.us_privacy", "regs.gpp", "regs.gpp_sid"}  # written anew
    assert {said(path) for path, _, _, entry in PLACES if entry is None and at(out, path) is not GONE} <= shown
    assert "user" not in out
    assert "sua" not in out["device"]


LISTED = [
    (name, member)
    for name, table in filtering.RULES.items()
    for member in table
    if members.MEMBERS[name][member] in {*members.FORMS, "url", "keywords", "native"}
]
NESTED = [
    (name, member)
    for name, table in filtering.RULES.items()
    for member in table
    if "-> " in members.MEMBERS[name][member]
    and not members.MEMBERS[name][member].endswith(
        ("none", "sua", "_data", "_data_ext", "_segment", "app_ext", "user_ext", "brand_version")
    )
    and (name, member) != ("native_request", "native")
] + [("imp_ext", "data")]


@pytest.mark.parametrize("name", sorted({name for name, _ in LISTED + NESTED}))
def test_each_member_of_the_list_taken_out_is_noticed(name, monkeypatch):
    for _, member in [each for each in LISTED + NESTED if each[0] == name]:
        for table in [filtering.RULES[name]] + [filtering.REQUEST] * (name == "request"):
            if member in table:
                monkeypatch.delitem(table, member)
        if (name, member) == ("request", "imp"):
            monkeypatch.setattr(filtering, "_imps", lambda *_: [{"id": "1"}])
        assert stays(), member
        monkeypatch.undo()


@pytest.mark.parametrize("member", sorted(filtering.GEO_PLAIN))
def test_each_code_of_a_place_taken_out_is_noticed(member, monkeypatch):
    monkeypatch.setattr(filtering, "GEO_PLAIN", filtering.GEO_PLAIN - {member})
    assert stays()


IN_USE = sorted({word for table in members.MEMBERS.values() for word in table.values()} & filtering.WORDS.keys())


@pytest.mark.parametrize("word", sorted({*IN_USE} - {"auction"}))
def test_a_word_that_let_everything_stand_is_noticed(word, monkeypatch):
    """The control: with one word of the list blind, a marker is left."""
    blind = {
        (name, member)
        for name, table in members.MEMBERS.items()
        for member, each in table.items()
        if each == word and member in filtering.RULES[name]
    }
    for name, member in blind:
        monkeypatch.setitem(filtering.RULES[name], member, lambda value, *_: value)
        if name == "request":
            monkeypatch.setitem(filtering.REQUEST, member, lambda value, *_: value)
    found = []
    for kind in KINDS:
        request, marks = planted(kind, "")
        found += left(cut_down(request, NOBODY), marks)
    person = all(name.startswith(("user", "geo")) for name, _ in blind)  # in `user`, which goes as a whole
    assert bool(found) != person


# --- reduced: it still tells of a person, and nothing denied ---

OF_CLASS = {
    DataClass.AD_ID: {
        "device.ifa",
        "user.id",
        "user.buyeruid",
        "source.tid",
        "source.ext.tid",
        "imp.ext.tid",
        "imp.ext.prebid.tid",
        "user.eids.uids.id",
        "user.ext.eids.uids.id",
        "source.schain.nodes.rid",
        "source.ext.schain.nodes.rid",
    },
    DataClass.DEVICE_ID: {
        *(
            f"device.{name}"
            for name in ("didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5", "hwv", "carrier")
        ),
        "device.ext.ifv",
        "device.ext.idfv",
        "device.ext.app_set_id",
    },
    DataClass.PRECISE_GEO: {
        f"{holder}.geo.{name}" for holder in ("device", "user") for name in ("lat", "lon", "zip", "accuracy")
    },
    DataClass.COARSE_GEO: {
        f"{holder}.geo.{name}" for holder in ("device", "user") for name in ("city", "metro", "utcoffset")
    },
    DataClass.DEMOGRAPHICS: {
        "user.yob",
        "user.gender",
        "user.data.id",
        "user.data.segment.id",
        "user.ext.data",
        "user.customdata",
    },
    DataClass.KEYWORDS: {"user.keywords", "user.kwarray"},
    DataClass.IP: {"device.ip", "device.ipv6"},
}


@pytest.mark.parametrize("denied", OF_CLASS)
def test_of_a_denied_class_nothing_is_left_beside_what_may_go(denied):
    numbers = {path: number for number, (path, *_) in enumerate(PLACES)}
    answers = dict.fromkeys(DataClass, Answer.ALLOW) | {denied: Answer.DENY}
    leave = Leave(answers, FREE, words=NEWS)
    assert leave.word == "reduced"
    # a word, which no form refuses
    request = made(lambda path, entry: sample(path, entry) if said(path) in OF_THE_AUCTION else f"w{numbers[path]}x")
    out = cut_down(request, leave)
    gone = {said(path) for path, *_ in PLACES if f'"w{numbers[path]}x"' not in texts(out)}
    assert OF_CLASS[denied] <= gone
    others = set().union(*(OF_CLASS[each] for each in (DataClass.AD_ID, DataClass.DEVICE_ID) if each is not denied))
    assert others - gone, "and the rest goes"
    bagged = {
        "id": "1",
        "imp": [{"id": "1", **bags(1, "w1x")}],
        "site": bags(2, "w1x"),
        "user": bags(3, "w1x"),
        "device": bags(4, "w1x"),
    }
    assert "w1x" not in texts(cut_down(bagged, leave))


def test_the_words_tell_what_is_in_a_request():
    some = {DataClass.AD_ID: Answer.ALLOW, DataClass.PRECISE_GEO: Answer.DENY}
    coarse = {DataClass.AD_ID: Answer.DENY, DataClass.PRECISE_GEO: Answer.COARSEN}
    none = {DataClass.AD_ID: Answer.DENY, DataClass.PRECISE_GEO: Answer.DENY}
    words = [Leave(each, FREE).word for each in ({DataClass.AD_ID: Answer.ALLOW}, some, coarse, none, {})]
    assert words == ["allow", "reduced", "reduced", "contextual", "contextual"]


# --- bidders ---

NAMES = sorted(members.BIDDERS)
OTHERS = {  # parameters that tell of people, and lists and objects that take anything
    "lat": 37.7749,
    "lon": -122.4194,
    "yob": 1980,
    "gender": "F",
    "user": {"id": "w1x"},
    "keywords": [{"key": "k", "value": ["w1x"]}],
    "dctr": "w1x=1",
    "visitor": {"w": ["w1x"]},
    "inventory": {"w": ["w1x"]},
    "customParams": {"w": "w1x"},
    "ext": {"w": "w1x"},
    "debug": "w1x",
}


def own(name):
    """Every set of parameters that its schema asks for, at once."""
    wanted = set().union(*members.BIDDERS[name].required)
    return {each: f"{each}-7" for each in wanted}


def bid(name, bag, way):
    extension = {"prebid": {"bidder": {name: bag}}, "old": {name: bag}, "alone": {"bidder": bag}}
    return {
        "id": "1",
        "imp": [
            {
                "id": "1",
                "banner": {"w": 1, "h": 1},
                "ext": {"prebid": extension["prebid"]} if way == "prebid" else extension[way],
            }
        ],
    }


def found(out, name, way):
    extension = out["imp"][0]["ext"]
    return {
        "prebid": lambda: extension["prebid"]["bidder"][name],
        "old": lambda: extension[name],
        "alone": lambda: extension["bidder"],
    }[way]()


@pytest.mark.parametrize("way", ["prebid", "old", "alone"])
@pytest.mark.parametrize("name", NAMES)
def test_a_bidder_gets_what_its_own_schema_requires_and_nothing_about_a_person(name, way):
    leave = Leave({}, OUT, name=name)
    out = cut_down(bid(name, {**OTHERS, **own(name)}, way), leave)
    assert found(out, name, way) == own(name)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in KINDS
        if kind
        not in {
            "a UUID",
            "a digest",
            "a digest in upper case",
            "a phone number as a number",
            "an address's path",
            "an address's fragment",
        }
    ],
)
def test_no_parameter_of_a_bidder_holds_an_address_a_number_or_a_sentence(kind, figure):
    """One that has the form of an id may be a placement's, and stays unless it stands in a person's place as well."""
    plant, find = KINDS[kind]
    planted = 0
    for name in NAMES:
        bag = {each: plant(number) for number, each in enumerate(sorted(members.BIDDERS[name].scalar))}
        out = texts(cut_down(bid(name, bag, "prebid"), NOBODY))
        left_over = [each for number, each in enumerate(sorted(bag)) if find(number) in out]
        assert left_over == [], name
        planted += len(bag)
    figure(f"parameters of bidders planted with {kind}", planted)


def test_a_persons_id_in_a_bidders_parameter_is_taken_out():
    request = bid("admixer", {"zone": uuid(7)}, "prebid")
    assert found(cut_down(request, NOBODY), "admixer", "prebid") == {"zone": uuid(7)}
    theirs = {"device": {"ifa": uuid(7).upper()}}
    assert cut_down(request | theirs, NOBODY) is None  # its schema requires it, and the slot is for it alone
    request["imp"][0]["ext"]["prebid"]["bidder"] |= {"ix": {"siteId": "9"}}
    out = cut_down(request | theirs, NOBODY)
    assert out["imp"][0]["ext"]["prebid"]["bidder"] == {"ix": {"siteId": "9"}}
    request = bid("admixer", {"zone": "z", "customFloor": uuid(7)}, "prebid")
    assert found(cut_down(request | theirs, NOBODY), "admixer", "prebid") == {"zone": "z"}


def test_at_least_forty_bidders_have_something_to_require(figure):
    some = [name for name in NAMES if members.BIDDERS[name].required]
    figure("bidders in the list, and of whom something is required", f"{len(NAMES)}, {len(some)}")
    assert len(some) >= 40


@pytest.mark.parametrize(
    "value",
    [
        ["w1x"],
        {"a": "w1x"},
        None,
        "jane@w1x.example",
        "two\nlines w1x",
        "w1x" * 99,
        "Jane Roe of flat w1x called",
        "https://w1x.example/?u=w1x",
        "+14155550107",
    ],
    ids=repr,
)
def test_a_required_parameter_that_is_no_scalar_or_an_address_does_not_stand(value):
    out = cut_down(bid("rubicon", {**own("rubicon"), "siteId": value}, "prebid"), NOBODY)
    assert set(found(out, "rubicon", "prebid")) == {"accountId", "zoneId"}


@pytest.mark.parametrize("bag", [{"placement": 7}, {}, [], "w1x", 7])
def test_a_bidder_of_whom_nothing_is_known_gets_no_request(bag):
    one = bid("somebidder", bag, "prebid")
    assert cut_down(one, NOBODY) is None
    assert cut_down(bid("somebidder", bag or {"a": 1}, "alone"), Leave({}, OUT, name="somebidder")) is None
    one["imp"][0]["ext"]["prebid"]["bidder"]["ix"] = {"siteId": "9"}
    assert cut_down(one, NOBODY)["imp"][0]["ext"]["prebid"]["bidder"] == {"ix": {"siteId": "9"}}
    listed = Leave({}, OUT, extensions=frozenset({"imp.ext.prebid.bidder.somebidder.placement"}))
    out = cut_down(bid("somebidder", {"placement": 7, "user": "w1x"}, "prebid"), listed)
    assert found(out, "somebidder", "prebid") == {"placement": 7}


def test_where_everything_may_go_a_bidders_parameters_go_as_they_came():
    leave = Leave(dict.fromkeys(DataClass, Answer.ALLOW), FREE)
    for way in ("prebid", "old"):
        assert found(cut_down(bid("pubmatic", OTHERS, way), leave), "pubmatic", way) == OTHERS
    assert found(cut_down(bid("somebidder", OTHERS, "prebid"), leave), "somebidder", "prebid") == OTHERS


@pytest.mark.parametrize(
    "bag",
    [[], "text", 7, None, {"prebid": []}, {"prebid": {"bidder": []}}, {"prebid": {"bidder": "x"}}, {"bidder": None}],
    ids=repr,
)
def test_an_extension_of_any_shape_is_read_without_a_fault(bag):
    for leave in (
        NOBODY,
        Leave(dict.fromkeys(DataClass, Answer.ALLOW), FREE),
        Leave({DataClass.AD_ID: Answer.ALLOW, DataClass.IP: Answer.DENY}, FREE),
    ):
        cut_down({"id": "1", "imp": [{"id": "1", "ext": bag}]}, leave)


def test_an_apps_page_in_the_play_store_keeps_the_app_and_nothing_else():
    app = {
        "bundle": "com.example.calls",
        "storeurl": "https://play.google.com/store/apps/details?id=com.example.calls&referrer=w1x",
    }
    out = cut_down({"id": "1", "app": app}, NOBODY)
    assert out["app"]["storeurl"] == "https://play.google.com/store/apps/details?id=com.example.calls"


def test_the_list_names_every_member_of_the_vectors_and_no_more_than_them_and_a_few():
    ours = Counter(member for table in members.MEMBERS.values() for member in table)
    assert {member for _, _, member, _ in PLACES} - ours.keys() == {"consented_providers"}


def test_a_native_request_in_an_envelope_of_its_own_is_read_too():
    inside = json.dumps({"native": {"ver": "1.2", "assets": [{"id": 1, "title": {"len": 25, "x": "w1x"}}], "x": "w1x"}})
    out = cut_down({"id": "1", "imp": [{"id": "1", "native": {"request": inside}}]}, NOBODY)
    assert json.loads(out["imp"][0]["native"]["request"]) == {
        "native": {"ver": "1.2", "assets": [{"id": 1, "title": {"len": 25}}]}
    }


# --- whatever a stranger sends ---

NAMED = sorted({member for table in members.MEMBERS.values() for member in table} | {"unknown", "appnexus"})
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from([uuid(1), digest(1), "jane@example.com"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMED), inner, max_size=5),
    max_leaves=25,
)
LEAVES = [
    NOBODY,
    Leave(dict.fromkeys(DataClass, Answer.ALLOW), FREE),
    Leave(
        dict.fromkeys(DataClass, Answer.ALLOW) | {DataClass.PRECISE_GEO: Answer.COARSEN, DataClass.AD_ID: Answer.DENY},
        OUT,
        extensions=frozenset({"imp.ext.unknown.id", "ext.unknown", "device.ext.data"}),
        name="appnexus",
    ),
]


@examples(150)
@given(
    st.dictionaries(st.sampled_from(sorted(members.MEMBERS["request"])), ANYTHING, max_size=8), st.sampled_from(LEAVES)
)
def test_any_json_is_cut_without_a_fault_and_left_as_it_was(request_, leave):
    before = repr(request_)
    reading.said_in_bid(request_)
    members.classes_in(request_)
    out = cut_down(request_, leave)
    assert repr(request_) == before
    if out is not None:
        json.dumps(out)
        reading.difference(request_, out)
        assert leave is not NOBODY or "jane@example.com" not in texts(out)
