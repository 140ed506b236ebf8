import pytest
from support import inside

pytestmark = pytest.mark.anyio
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
GPC = {"Sec-GPC": "1"}
DOORS = {"/authz/nginx": 204, "/authz/forward": 204, "/authz/envoy/page": 200}


@pytest.fixture
async def proxy(tmp_path):
    """A proxy on the internal address of a gateway in production mode."""
    configured = inside.settings(site__enforce="true", site__ad_paths="/ads/,/pixel.gif")
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        yield client


@pytest.mark.parametrize(("door", "status"), DOORS.items())
async def test_a_proxy_is_told_all_four_facts_in_every_answer(proxy, door, status):
    for headers in ({}, GPC, {"Cookie": "usprivacy=1YYN"}, {"Gateway-Consent": "FORGED", "Gateway_Place": "FORGED"}):
        answer = await proxy.get(door, headers=headers)
        assert answer.status_code == status
        for name in ("consent", "browser", "place", "request"):
            assert len(answer.headers.get_list(f"gateway-{name}")) == 1, name
        assert "FORGED" not in repr(answer.headers)
        assert answer.content == b""
