"""Own systems at the desk: what each has to delete, by when, who may say that it is done, and where that is seen."""

import re
from datetime import timedelta

import pytest
from support.at_the_desk import FORM, OURS, asks, carried, comes_in, desk, form_of, lines
from support.people import email
from web.test_desk_requests import UPLOAD, acts, body_of, takes_in

from gateway.app.composition import now
from gateway.desk import own_systems
from gateway.desk.office.officers import DeskRole

pytestmark = pytest.mark.anyio
SYSTEMS = "/desk/systems"
ONE = {"systems__warehouse__identifiers": "email"}


async def forgets(client, cookie, **fields):
    """What the page says of whoever is forgotten."""
    found = await asks(client, cookie, identifiers=email(1), action="look")
    return await asks(client, cookie, person=carried(found), action="erase", sure="yes", **fields)


def message_of(page) -> str:
    return re.search(r'name="message" value="(msg_[^"]+)"', page.text)[1]


async def says(client, cookie, form, **fields):
    """What the desk answers to a form of the page."""
    return await client.post(SYSTEMS, headers={**cookie, **OURS, **FORM}, data={"form": form, **fields})


async def test_what_a_system_has_to_delete_is_seen_with_its_day_until_an_officer_says_that_it_is_done(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        assert "Nothing waits" in (await client.get("/desk", headers=ada)).text
        await forgets(client, ada)
        assert "Have warehouse do 1 deletion and say so" in (await client.get("/desk", headers=ada)).text
        page = await client.get(SYSTEMS, headers=ada)
        assert email(1) not in page.text
        form, message = form_of(page), message_of(page)
        unsure = await says(client, ada, form, action="deleted", message=message)
        assert unsure.status_code == 400, "she did not look"
        assert (await says(client, ada, form, action="deleted", sure="yes", message=message)).status_code == 303
        page = await client.get(SYSTEMS, headers=ada)
        assert "by hand: ada" in page.text
        assert 'name="message"' not in page.text
        assert "Nothing waits" in (await client.get("/desk", headers=ada)).text
        again = await says(client, ada, form, action="deleted", sure="yes", message=message)
        assert again.status_code == 404
        noted = await lines(folder)
    assert {"said that a system deleted", "looked at own systems"} <= {line["what"] for line in noted}


async def test_an_own_system_is_called_by_its_name_where_deliveries_wait(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        for path in ("/desk", "/desk/deliveries", "/desk/numbers"):
            page = (await client.get(path, headers=ada)).text
            told = re.sub(r'value="[^"]*"', "", page)
            assert ("system:" in told, "own system warehouse" in told) == (False, path != "/desk"), path


async def test_a_reader_sees_it_and_does_nothing_about_it(folder):
    ada, ben = await comes_in(folder), await comes_in(folder, "ben", DeskRole.READER)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        message = message_of(await client.get(SYSTEMS, headers=ada))
        page = await client.get(SYSTEMS, headers=ben)
        assert "has not deleted, on time" in page.text
        assert "<button class" not in page.text
        for fields in (
            {"action": "deleted", "sure": "yes", "message": message},
            {"action": "list", "system": "warehouse"},
        ):
            assert (await says(client, ben, form_of(page), **fields)).status_code == 403
        assert "has not deleted" in (await client.get(SYSTEMS, headers=ada)).text


@pytest.mark.parametrize("message", ["", "msg_", "msg_x", "msg_AAAAAAAAAAAAAAAAAAAAAA", "\x00", "é"])
async def test_what_is_no_message_is_nobodys(folder, message):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        form = form_of(await client.get(SYSTEMS, headers=ada))
        found = await says(client, ada, form, action="deleted", sure="yes", message=message)
        assert found.status_code in {400, 404}
        assert (await says(client, ada, form, action="list", system="nobody")).status_code == 404


async def test_whom_to_delete_by_hand_is_a_file_and_taking_it_a_line_of_the_log(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        form = form_of(await client.get(SYSTEMS, headers=ada))
        found = await says(client, ada, form, action="list", system="warehouse")
        assert found.headers["content-disposition"] == 'attachment; filename="delete-in-warehouse.txt"'
        assert email(1) in found.text
        assert found.headers["cache-control"] == "no-store"
        noted = [line for line in await lines(folder) if line["what"] == "took what a system has to delete"]
    assert [line["system"] for line in noted] == ["warehouse"]


async def test_the_file_that_comes_back_says_of_all_that_it_lists_and_of_nothing_that_came_since(folder):
    ada, ben = await comes_in(folder), await comes_in(folder, "ben", DeskRole.READER)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        await forgets(client, ada)
        form = form_of(await client.get(SYSTEMS, headers=ada))
        file = (await says(client, ada, form, action="list", system="warehouse")).content
        await forgets(client, ada)
        for given, sure, cookie, status in (
            (file, "", ada, 400), (b"nothing", "yes", ada, 400), (b"msg_x\xff\n", "yes", ada, 400),
            (file, "yes", ben, 403), (file, "yes", ada, 303),
        ):  # fmt: skip
            own = form_of(await client.get(SYSTEMS, headers=cookie))
            body = body_of(given, form=own, action="all", sure=sure)
            found = await client.post(SYSTEMS, headers={**cookie, **OURS, **UPLOAD}, content=body)
            assert found.status_code == status
        assert found.headers["location"] == f"{SYSTEMS}?said=2"
        page = await client.get(SYSTEMS, headers=ada)
        assert page.text.count("has not deleted") == 1


async def test_a_page_of_many_deletions_shows_the_first_and_says_how_many_more_there_are(folder, monkeypatch):
    monkeypatch.setattr(own_systems, "OPEN_SHOWN", 1)
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        await forgets(client, ada)
        page = await client.get(SYSTEMS, headers=ada)
        assert (page.text.count("has not deleted"), "And 1 more" in page.text) == (1, True)


async def test_a_file_lists_the_oldest_as_many_as_can_be_given_back_and_the_next_one_what_follows(folder, monkeypatch):
    monkeypatch.setattr(own_systems, "LISTED", 1)
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        await forgets(client, ada)
        listed = []
        for _ in range(2):
            form = form_of(await client.get(SYSTEMS, headers=ada))
            file = (await says(client, ada, form, action="list", system="warehouse")).content
            listed.append(file.count(b"msg_"))
            body = body_of(file, form=form, action="all", sure="yes")
            found = await client.post(SYSTEMS, headers={**ada, **OURS, **UPLOAD}, content=body)
            assert found.headers["location"] == f"{SYSTEMS}?said=1"
        assert listed == [1, 1]
        assert "None." in (await client.get(SYSTEMS, headers=ada)).text


async def test_a_request_to_delete_is_complied_with_once_each_system_said_so_and_counts_from_the_day_it_came(folder):
    ada = await comes_in(folder)
    came = (now() - timedelta(days=20)).date()
    async with desk(folder, **ONE) as client:
        await takes_in(client, ada, kind="delete", received=came.isoformat(), identifiers=email(1))
        at = "/desk/requests/1"
        refused = await acts(client, ada, at, action="comply")
        assert (refused.status_code, "no act of forgetting is named yet" in refused.text) == (400, True)
        await forgets(client, ada, case="1")
        page = await client.get(at, headers=ada)
        assert (
            f"the law’s {came + timedelta(days=44)}" in page.text
            or f"the law’s {came + timedelta(days=45)}" in page.text
        )
        assert "<strong>warehouse</strong>" in page.text
        refused = await acts(client, ada, at, action="comply")
        assert (refused.status_code, "warehouse did not say yet" in refused.text) == (400, True)
        form, message = form_of(page), message_of(page)
        await says(client, ada, form, action="deleted", sure="yes", message=message)
        assert (await acts(client, ada, at, action="comply")).status_code == 303
        page = await client.get(at, headers=ada)
        assert "<strong>complied</strong>" in page.text
        assert "by hand: ada" in page.text


async def test_a_request_by_which_several_people_were_forgotten_waits_for_what_each_act_asks(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await takes_in(client, ada, kind="delete", identifiers=f"{email(1)}\n{email(2)}")
        at, messages = "/desk/requests/1", []
        for person in (email(1), email(2)):
            found = await asks(client, ada, identifiers=person, action="look")
            await asks(client, ada, person=carried(found), action="erase", sure="yes", case="1")
            page = await client.get(SYSTEMS, headers=ada)
            [new] = {*re.findall(r'name="message" value="(msg_[^"]+)"', page.text)} - {*messages}
            messages.append(new)
        first, last = messages
        form = form_of(await client.get(SYSTEMS, headers=ada))
        await says(client, ada, form, action="deleted", sure="yes", message=last)
        refused = await acts(client, ada, at, action="comply")
        assert (refused.status_code, "warehouse did not say yet" in refused.text) == (400, True)
        await says(client, ada, form, action="deleted", sure="yes", message=first)
        assert (await acts(client, ada, at, action="comply")).status_code == 303


async def test_the_page_of_somebody_who_was_forgotten_shows_which_system_did_not_delete(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await forgets(client, ada)
        page = await asks(client, ada, identifiers=email(1), action="look")
        assert "<strong>warehouse</strong>" in page.text
        other = await asks(client, ada, identifiers=email(2), action="look")
        assert "<strong>warehouse</strong>" not in other.text


@pytest.mark.parametrize("case", ["2", "x", "-1", "9" * 12, "٣"])
async def test_nobody_is_forgotten_for_a_request_that_is_none(folder, case):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await takes_in(client, ada, kind="know", identifiers=email(1))
        for number in (case, "1"):
            assert (await forgets(client, ada, case=number)).status_code == 400
        assert "None." in (await client.get(SYSTEMS, headers=ada)).text


async def test_a_request_names_the_act_by_which_somebody_was_forgotten_elsewhere(folder):
    ada = await comes_in(folder)
    async with desk(folder, **ONE) as client:
        await takes_in(client, ada, kind="delete", identifiers=email(1))
        done = await forgets(client, ada)
        event = re.search(r"event ([A-Za-z0-9_-]{22})", done.text)[1]
        for wrong in ("", "x", "A" * 22):
            assert (await acts(client, ada, "/desk/requests/1", action="forgotten", event=wrong)).status_code == 400
        assert (await acts(client, ada, "/desk/requests/1", action="forgotten", event=event)).status_code == 303
        assert "<strong>warehouse</strong>" in (await client.get("/desk/requests/1", headers=ada)).text


async def test_a_deletion_that_nobody_did_is_past_due_on_the_first_page(folder):
    ada = await comes_in(folder)
    came = (now() - timedelta(days=50)).date()
    async with desk(folder, **ONE) as client:
        await takes_in(client, ada, kind="delete", received=came.isoformat(), identifiers=email(1))
        await forgets(client, ada, case="1")
        page = await client.get("/desk", headers=ada)
        task = page.text[page.text.index("Have warehouse") :][:120]
        assert "past due" in task
        assert "has not deleted, past due" in (await client.get(SYSTEMS, headers=ada)).text


async def test_without_own_systems_a_request_to_delete_is_complied_with_as_ever(folder):
    ada = await comes_in(folder)
    async with desk(folder) as client:
        await takes_in(client, ada, kind="delete", identifiers=email(1))
        assert (await acts(client, ada, "/desk/requests/1", action="comply")).status_code == 303
        assert "No system is told" in (await client.get(SYSTEMS, headers=ada)).text
