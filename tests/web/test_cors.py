"""Which other origins of the operator read `status` and `observe` by script (I12)."""

import pytest
from support import inside

pytestmark = pytest.mark.anyio
STATUS, OBSERVE = "/privacy-choices/status", "/privacy-choices/observe"
ELSEWHERE = "https://www.example.com"


@pytest.fixture
async def beside(tmp_path):
    """The site's gateway as the operator's other host calls it."""
    configured = inside.settings(site__origins=ELSEWHERE)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_operators_other_site_reads_the_answer_with_credentials(beside, method):
    path = STATUS if method == "GET" else OBSERVE
    asked = {"Origin": ELSEWHERE, "Access-Control-Request-Method": method, "Sec-Fetch-Site": "same-site"}
    leave = await beside.options(path, headers=asked)
    body = {"json": {"gpc": True}} if method == "POST" else {}
    answer = await beside.request(method, path, headers={"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-site"}, **body)
    assert (leave.status_code, answer.status_code) == (204, 200)
    for each in (leave, answer):
        assert each.headers["access-control-allow-origin"] == ELSEWHERE
        assert each.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in each.headers["vary"]
    assert leave.headers["access-control-allow-headers"] == "Content-Type"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://www.example.com.evil.example", "http://www.example.com", "null", "*",
     "https://WWW.example.com", "https://www.example.com:8443", ""],
)  # fmt: skip
async def test_a_strangers_page_reads_no_answer(beside, origin):
    answers = [await beside.get(STATUS, headers={"Origin": origin})]
    answers += [await beside.options(path, headers={"Origin": origin}) for path in (STATUS, OBSERVE)]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "Origin" in answer.headers["vary"]


async def test_no_other_origin_ever_posts_or_reads_the_form_by_script(beside):
    headers = {"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-site"}
    for answer in (
        await beside.options("/privacy-choices", headers=headers),
        await beside.get("/privacy-choices", headers=headers),
        await beside.post("/privacy-choices", data={"action": "opt_out"}, headers=headers),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
