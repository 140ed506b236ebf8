"""`[site] mode`: what the site promises to whoever sends a signal (11 CCR 7025(f), (g); L58, L59)."""

import pytest
from support import inside

from gateway.settings.load import SettingsRefused
from gateway.terms import CHOOSABLE, Role

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
OUTSIDE = ("advertisers", "flurry", "teemo", "matching")


def written(tmp_path, mode="no_link", **over):
    """A configuration in which every recipient outside is of the website alone, but for `over`."""
    lines = [f'[site]\nmode = "{mode}"']
    for name in OUTSIDE:
        lines.append(f'[recipients.{name}]\nsurface = "web"\nfields = {{}}\n' + over.get(name, ""))
    path = tmp_path / "config.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("mode", "headers", "frictionless"),
    [
        ("link", GPC, False), ("frictionless", GPC, True), ("frictionless", {}, False),
        ("frictionless", {"Cookie": "usprivacy=1YYN"}, False), ("frictionless", {"Sec-GPC": "0"}, False),
    ],
    ids=repr,
)  # fmt: skip
async def test_a_visit_is_frictionless_only_where_the_site_says_so_and_the_signal_is_honored(
    tmp_path, mode, headers, frictionless
):
    async with (
        inside.application(tmp_path / "data", inside.settings(site__mode=mode)) as app,
        inside.client(app) as client,
    ):
        body = (await client.get("/privacy-choices/status", headers=headers)).json()
    assert body["frictionless"] is frictionless


async def test_while_the_ledger_is_away_no_visit_is_said_to_be_frictionless(tmp_path, monkeypatch):
    from gateway.ledger.watch import LedgerWatch

    async with (
        inside.application(tmp_path / "data", inside.settings(site__mode="frictionless")) as app,
        inside.client(app) as client,
    ):
        monkeypatch.setattr(LedgerWatch, "proof", lambda _: None)
        body = (await client.get("/privacy-choices/status", headers=GPC)).json()
    assert (body["status"], body["frictionless"]) == ("opted_out", False)


def test_no_link_is_possible_where_the_signal_stops_everything(tmp_path):
    assert inside.settings(written(tmp_path)).site.mode == "no_link"


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("teemo", 'fields = { lat = "precise_geo", ad_id = "ad_id" }', r"gets rows \(ad_id, lat\)"),
        ("flurry", 'surface = "app"', "not of the website alone"),
        ("matching", 'surface = ""', "not of the website alone"),
    ],
)
def test_no_link_is_refused_beside_a_feed_that_a_signal_does_not_reach(tmp_path, name, more, why):
    lines = written(tmp_path).read_text().split("[recipients.")
    key = more.partition(" =")[0]
    changed = [
        "\n".join([*(line for line in part.splitlines() if not line.startswith(key)), more, ""])
        if part.startswith(name)
        else part
        for part in lines
    ]
    path = tmp_path / "config.toml"
    path.write_text("[recipients.".join(changed))
    with pytest.raises(
        SettingsRefused, match=rf'\[site\] mode: recipients.{name} .*{why}.*write site.mode = "frictionless"'
    ):
        inside.settings(path)


@pytest.mark.parametrize("more", ['purposes = ["service"]', 'role = "service_provider"'])
def test_a_recipient_that_no_signal_is_about_hinders_nothing(tmp_path, more):
    path = written(tmp_path)
    path.write_text(path.read_text().replace('[recipients.flurry]\nsurface = "web"', f"[recipients.flurry]\n{more}"))
    assert inside.settings(path).recipients["flurry"].role in {Role.THIRD_PARTY, Role.SERVICE_PROVIDER}


@pytest.mark.parametrize("purpose", [*CHOOSABLE])
def test_no_link_is_refused_beside_rows_for_whatever_is_a_sale_underneath(tmp_path, purpose):
    """R21, L59: somebody outside gets rows by e-mail, for their own marketing, say."""
    path = written(tmp_path)
    rows = (
        f'[recipients.partner]\nrole = "third_party"\npurposes = ["{purpose}"]\ndata = ["email_hash"]\n'
        'surface = "web"\nfields = { mail = { class = "email_hash", kind = "email" } }\n'
    )
    path.write_text(f"{path.read_text()}\n{rows}")
    with pytest.raises(SettingsRefused, match=r"\[site\] mode: recipients.partner gets rows \(mail\)"):
        inside.settings(path)
    path.write_text(path.read_text().replace("no_link", "link"))
    assert inside.settings(path).recipients["partner"].purposes == (purpose,)


def test_the_shipped_operator_whose_location_feed_is_keyed_by_ad_id_cannot_drop_the_link():
    with pytest.raises(SettingsRefused, match="7025"):
        inside.settings(site__mode="no_link")
