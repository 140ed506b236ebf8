"""What the field's own code removes from a bid request, we remove too; where we remove more, each place says why."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import VECTORS, missing
from support.bids import cut_down

from gateway.choice.downstream import Outcome, strings
from gateway.choice.openrtb.filtering import Leave
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

FOLDER = VECTORS / "enforcement"
OUT = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"})))
NOTHING_GOES = Leave({}, OUT)
GONE = object()
# Prebid's activities, by the data classes that they are about.
ACTIVITIES = {
    "transmitUfpd": {DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.DEMOGRAPHICS, DataClass.KEYWORDS},
    "transmitEids": {DataClass.AD_ID},
    "transmitPreciseGeo": {DataClass.PRECISE_GEO, DataClass.COARSE_GEO, DataClass.IP},
    "transmitTid": {DataClass.AD_ID},
}
# Where we remove more than any of them does in a like case, and why.
MORE = {
    "device.geo.lon": "coarsened is still sold: after an opt-out nothing is coarsened (R3); they all keep two decimals",
    "imp.ext.data": "no bidder's schema names it, and as a bag it could hold anybody",
    "imp.ext.test": "an unknown extension could hold anything (R20)",
    "user.ext.other": "an unknown extension could hold anything (R20)",
    "user.ext.test": "an unknown extension could hold anything (R20)",
    "site.keywords": "text: of keywords those of the operator's vocabulary stay (R20)",
    "user.geo.country": "where nobody may be in it there is no user",
    "user.geo.region": "where nobody may be in it there is no user",
    "user.geo.city": "a contextual ad may know a region, not a town (R3)",
    "user.geo.zip": "a ZIP code can be one building's",
}


def vectors(name: str) -> list[dict]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        missing("../shared/vectors/enforcement")
    return json.loads(path.read_text())["cases"]


def leaves(value: object, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Every value that is no container, by its path."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not children and value not in (None, "", [], {}, 0):
        yield path, value
    for name, child in children:
        yield from leaves(child, (*path, name))


def at(value: object, path: tuple) -> object:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return GONE
    return value


def removed(before: dict, after: dict) -> set[tuple]:
    """Paths of values that are gone, emptied or changed."""
    return {path for path, value in leaves(before) if at(after, path) != value}


def dotted(path: tuple) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def pairs() -> list[tuple[str, dict, dict]]:
    found = []
    for name in ("pbs_go_openrtb_pairs", "pbs_go_scrubber_unit", "pbs_java_mask_pairs"):
        for case in vectors(name):
            before, after = case.get("before"), case.get("after")
            if isinstance(before, dict) and isinstance(after, dict):
                before, after = _whole(before), _whole(after)
                found.append((case["id"], {name: before[name] for name in before if name in after}, after))
    cases = vectors("prebidjs_redactor_pairs")
    whole = next(case["after"] for case in cases if case["id"] == "redact/none")
    return found + [(case["id"], whole, case["after"]) for case in cases]


def _whole(part: dict) -> dict:
    """A unit pair has a device or a user alone; some have it under names of their own."""
    return (
        part
        if {"device", "user", "imp", "regs", "source"} & part.keys()
        else {"user": part.get("User", {}), "device": part.get("Device", {})}
    )


# Their server's own work on a request, not privacy: bidder parameters move, and regs are written anew by both.
NOT_PRIVACY = ("imp.ext.prebid.bidder", "imp.ext.bidder", "ext.prebid", "regs.", "user.consent", "user.ext.consent")


def theirs(before: dict, after: dict) -> set[tuple]:
    return {
        path for path in removed(before, after) if not dotted(path).startswith(NOT_PRIVACY) and _is_told(after, path)
    }


def _is_told(after: dict, path: tuple) -> bool:
    """A pair of their server's tests may show of a slot only the extension that it is about."""
    return path[0] != "imp" or "ext" in path or "id" in after["imp"][path[1]]


def test_whatever_any_of_them_removes_we_remove():
    some = 0
    for name, before, after in pairs():
        ours = cut_down(before, NOTHING_GOES)
        for path in theirs(before, after):
            some += 1
            assert at(ours, path) != at(before, path), f"{name}: {dotted(path)}"
    assert some > 150  # values: the vectors really are read


def test_a_filter_that_forgets_one_place_is_found():
    """The control: each place that they remove is needed by some pair."""
    forgotten = {
        "user.eids",
        "user.ext.eids",
        "device.ifa",
        "source.tid",
        "user.data",
        "device.macsha1",
        "user.keywords",
    }
    for place in forgotten:
        caught = False
        for _, before, after in pairs():
            ours = cut_down(before, NOTHING_GOES)
            caught |= any(
                dotted(path).startswith(place) and at(_restored(ours, before, place), path) == at(before, path)
                for path in theirs(before, after)
            )
        assert caught, place


def _restored(ours: dict, before: dict, place: str) -> dict:
    steps = place.split(".")
    value = at(before, tuple(steps))
    if value is GONE:
        return ours
    copy = json.loads(json.dumps(ours))
    holder = copy
    for step in steps[:-1]:
        holder = holder.setdefault(step, {})
    holder[steps[-1]] = value
    return copy


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_one_denied_activity_of_prebid_takes_no_less_with_us(activity):
    """Only the classes of one activity are denied, as where a person objected to that alone."""
    cases = vectors("prebidjs_redactor_pairs")
    whole = next(case["after"] for case in cases if case["id"] == "redact/none")
    (alone,) = [case for case in cases if case["denied"] == [activity]]
    answers = {one: Answer.DENY if one in ACTIVITIES[activity] else Answer.ALLOW for one in DataClass}
    ours = cut_down(whole, Leave(answers, OUT))
    for path in theirs(whole, alone["after"]):
        assert at(ours, path) != at(whole, path), dotted(path)


def test_where_we_remove_more_there_is_a_reason_and_no_reason_is_idle():
    more: set[str] = set()
    for _, before, after in pairs():
        if not theirs(before, after):
            continue  # nothing was enforced there: their configuration said so
        ours = cut_down(before, NOTHING_GOES)
        taken_by_any = {
            dotted(path)
            for _, b, a in pairs()
            for path in theirs(b, a)
            if at(a, path) is GONE or at(a, path) in (None, "", 0)
        }
        for path in removed(before, ours):
            name = dotted(path)
            if not name.startswith(NOT_PRIVACY) and at(ours, path) is GONE and name not in taken_by_any:
                more.add(name)
    assert more == MORE.keys()


# What each file of theirs has: before and after; members that must be gone; and what shows nothing that is removed.
USED = {
    "pbs_go_openrtb_pairs": {"pair": 10, "asserted": 4, "nothing removed": 5, "bidder taken out": 1},
    "pbs_go_scrubber_unit": {"pair": 50},
    "pbs_java_mask_pairs": {"pair": 5},
    "prebidjs_redactor_pairs": {"pair": 16},
}


def use(case: dict) -> str:
    if isinstance(case.get("after"), dict):
        return "pair"
    if case.get("asserted_absent"):
        return "asserted"
    return "bidder taken out" if case.get("blocked") else "nothing removed"


@pytest.mark.parametrize("name", USED)
def test_every_case_of_the_four_files_is_used_or_shows_nothing_that_is_removed(name, figure):
    counted = Counter(map(use, vectors(name)))
    figure(f"cases of {name}", ", ".join(f"{number} {what}" for what, number in sorted(counted.items())))
    assert counted == USED[name]


def asserted() -> list[tuple[str, dict, list[str]]]:
    cases = vectors("pbs_go_openrtb_pairs")
    return [(case["id"], case["before"], case["asserted_absent"]) for case in cases if use(case) == "asserted"]


def test_what_their_tests_assert_to_be_gone_is_gone_with_us():
    some = 0
    for name, before, absent in asserted():
        ours = cut_down(before, NOTHING_GOES)
        for place in absent:
            path = tuple(place.split("."))
            assert at(before, path) not in (GONE, None, "", 0), f"{name}: {place} was not there"
            assert at(ours, path) is GONE, f"{name}: {place}"
            some += 1
    assert some == 8


def test_a_request_that_was_left_as_it_was_is_seen_by_that():
    """The control."""
    for _, before, absent in asserted():
        assert any(at(before, tuple(place.split("."))) is not GONE for place in absent)


def test_nothing_of_theirs_is_removed_that_we_leave(figure):
    """Both ways: how many values all of them remove, how many we do, and which of ours have a reason of our own."""
    places, ours_too = set(), set()
    for _, before, after in pairs():
        gone = removed(before, cut_down(before, NOTHING_GOES))
        places |= {dotted(path) for path in theirs(before, after)}
        ours_too |= {dotted(path) for path in theirs(before, after) & gone}
    figure(
        "members that any Prebid product removes, and we", f"{len(places)}, {len(ours_too)}; {len(MORE)} more by reason"
    )
    assert places - ours_too == set()
