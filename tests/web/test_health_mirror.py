"""An operator is told how full the mirror is, before it matters."""

import pytest
from support import inside

pytestmark = pytest.mark.anyio


async def test_the_alarm_of_a_map_that_is_half_full(tmp_path, monkeypatch):
    async with (
        inside.application(tmp_path / "data", inside.settings(mirror__enabled="true")) as app,
        inside.client(app) as calling,
    ):
        ready = (await calling.get("/readyz?strict")).json()
        assert ready["mirror"]["enabled"]
        assert 0 <= ready["mirror"]["used"] < 0.01
        assert not any("mirror" in alarm for alarm in ready["alarms"])
        monkeypatch.setattr("gateway.mirror.memory_map.MemoryMap.used", lambda _: 0.6)
        assert any("mirror" in alarm for alarm in (await calling.get("/readyz?strict")).json()["alarms"])
        assert b"gateway_mirror_used 0.6" in (await calling.get("/metrics")).content


async def test_a_host_without_a_mirror_says_so(client):
    assert (await client.get("/readyz")).json()["mirror"] == {"enabled": False, "used": 0.0}
