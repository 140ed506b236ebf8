"""What the tests of the state share."""

import pytest

from gateway.state import fronts


@pytest.fixture(params=[fronts.CROWD, 5], ids=["few", "crowded"])
def crowd(request, monkeypatch):
    """How many make a crowd: as it is, and so few that many are one."""
    if request.param != fronts.CROWD:
        monkeypatch.setattr(fronts, "CROWD", request.param)
        monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
        monkeypatch.setattr(fronts, "READ", 4 * request.param)
    return request.param
