"""What strangers send: requests made from our own description, arbitrary JSON and arbitrary bytes at every door."""

from urllib.parse import quote

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import inside
from support.examples import SOAK

from gateway.app import openapi
from gateway.signals import cmp_cookies, device
from gateway.web.shell import problem

pytestmark = pytest.mark.slow  # seconds of random input; `make check` is the quick loop

BOUNDED = settings(
    deadline=None, derandomize=True, database=None, max_examples=40 if SOAK else 20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much,
                           HealthCheck.data_too_large],
)  # fmt: skip
TYPES = {problem.PREFIX + kind for kind in problem.KINDS}
DOORS = (
    "/v1/choices",
    "/v1/observe",
    "/v1/standing",
    "/v1/links",
    "/v1/check",
    "/v1/shares/teemo",
    "/v1/shares/nobody",
    "/privacy-choices/observe",
    "/v1/access",
    "/privacy-choices/data",
    "/privacy-choices/proof",
)
schema = schemathesis.openapi.from_dict(openapi.document())
OPERATIONS = [found.ok() for found in schema.get_all_operations()]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Sends one request to a running application and answers what came back; a fault of ours raises."""
    folder = tmp_path_factory.mktemp("strangers") / "data"
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(inside.application(folder)) as app:
        client = inside.client(app, **inside.DEV)

        async def send(method, path, **what):
            return await client.request(method, path, **what)

        yield lambda method, path, **what: portal.call(lambda: send(method, path, **what))
        portal.call(client.aclose)


def assert_answered_as_promised(answer, call) -> None:
    """Never a fault of ours; an error is a problem document from the closed list; an answer is one that is
    described."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and "text/html" not in answer.headers.get("content-type", ""):
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        body = answer.json()
        assert body["type"] in TYPES
        assert body["status"] == answer.status_code
        assert body["instance"] == answer.headers["gateway-request"]
    described = {int(code) for code in call["responses"]} | {404, 405, 422}
    assert answer.status_code in described | {400, 413, 415}, answer.text


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: found.label)
def test_whatever_a_stranger_makes_of_our_own_description_is_answered_as_described(ask, operation):
    call = openapi.document()["paths"][operation.path][operation.method]

    @settings(BOUNDED, max_examples=12 if operation.method == "post" else 5)
    @given(case=operation.as_strategy())
    def everything(case):
        what = case.as_transport_kwargs()
        body = {name: what[name] for name in ("json", "data") if what.get(name) is not None}
        if isinstance(body.get("data"), bytes | str):
            body["content"] = body.pop("data")
        headers = {name: value for name, value in what.get("headers", {}).items() if value.isascii()}
        answer = ask(case.method, case.formatted_path, headers=headers | inside.DEV, **body)
        assert_answered_as_promised(answer, call)

    everything()


WORDS = st.sampled_from(
    [
        "identifiers",
        "type",
        "value",
        "source",
        "gaid",
        "email",
        "phone",
        "browser",
        "cookie",
        "account",
        "choice",
        "opt_out",
        "limit",
        "opt_in",
        "confirm",
        "purposes",
        "all",
        "sale",
        "place",
        "US-CA",
        "notice",
        "sha256",
        "made_at",
        "proof",
        "recipient",
        "teemo",
        "recipients",
        "data",
        "precise_geo",
        "signals",
        "gpc",
        "cookies",
        "b64",
        "geo",
        "lat",
        "lon",
        "country",
        "ip",
        "age",
        "id",
        "gpp",
        "gpp_sid",
        "us_privacy",
        "tc",
        "gdpr",
        "ac",
        "adchoices",
        "lmt",
        "att",
        "dnt",
        "stored",
        "1YYN",
        "DBABBg~BVUEAACA.YA",
        "DBABMA~CA.A",
        "2~1.2~dv.3",
        "IABGPP_HDR_GppString",
        "IABGPP_GppSID",
        "7_8",
        "gad_rdp",
        "at",
        "from",
        "until",
        "event",
        "number_released",
        "received_at",
        "ref",
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31",
        "",
    ]
)
TEXT = WORDS | st.text(max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=6))
IDENTIFIER = st.fixed_dictionaries({"type": TEXT | LEAVES, "value": TEXT | LEAVES}, optional={"source": JSON}) | JSON
LISTED = st.lists(IDENTIFIER, max_size=4) | JSON


def shaped(**members):
    """A body with the door's own members, each right or wrong."""
    return st.fixed_dictionaries({}, optional={name: known | JSON for name, known in members.items()})


KEYS = st.sampled_from([*device.MEMBERS, device.RESTRICTED, "IABGPP_7_String", ""])
STORED = st.dictionaries(KEYS, LEAVES | st.lists(LEAVES, max_size=2), max_size=4)
SIGNALS = shaped(
    gpc=TEXT,
    gpp=TEXT,
    gpp_sid=st.lists(LEAVES, max_size=3),
    us_privacy=TEXT,
    tc=TEXT,
    gdpr=LEAVES,
    ac=TEXT,
    adchoices=TEXT,
    cookies=TEXT | st.fixed_dictionaries({"b64": TEXT | LEAVES}),
    lmt=LEAVES,
    att=LEAVES,
    dnt=LEAVES,
    stored=STORED,
)

PROOF = st.just({"kind": "account", "assertion": "dev"}) | shaped(
    kind=st.sampled_from(["account", "device", "browser", "code", "desk", "parent"]),
    assertion=TEXT,
    token=TEXT,
    cookie=TEXT,
    code=TEXT,
    ticket=TEXT,
    note=TEXT,
    method=TEXT,
)
PROOFS = PROOF | st.lists(PROOF, max_size=5)
BODIES = {
    "/v1/choices": shaped(
        choice=st.sampled_from(["opt_out", "limit", "opt_in", "confirm", "withdraw"]),
        identifiers=LISTED,
        purposes=st.lists(TEXT, max_size=3),
        place=TEXT,
        source=TEXT,
        notice=shaped(sha256=TEXT),
        made_at=TEXT,
        received_at=TEXT,
        manner=TEXT | JSON,
        proof=PROOFS,
        recipient=TEXT,
        confirm=TEXT,
        signals=SIGNALS,
        device=TEXT,
    ),
    "/v1/observe": shaped(
        identifiers=LISTED,
        signals=SIGNALS,
        place=TEXT | st.lists(TEXT, max_size=2),
        source=TEXT,
        device=TEXT,
        proof=PROOFS,
        age=NUMBERS | TEXT,
    ),
    "/v1/standing": shaped(identifiers=LISTED, place=TEXT, device=TEXT, proof=PROOFS, age=NUMBERS | TEXT),
    "/privacy-choices/observe": SIGNALS,
    "/v1/links": shaped(account=TEXT, identifiers=LISTED, until=TEXT, event=TEXT, **{"from": TEXT}),
    "/v1/check": shaped(
        identifiers=LISTED,
        recipient=st.just("teemo"),
        purpose=TEXT,
        data=st.lists(TEXT, max_size=3),
        place=TEXT,
        geo=st.dictionaries(TEXT, LEAVES, max_size=4),
        ip=TEXT,
        age=NUMBERS,
        signals=SIGNALS | st.dictionaries(WORDS, JSON, max_size=3),
    ),
    "/v1/shares/teemo": shaped(
        id=TEXT, identifiers=LISTED, data=st.dictionaries(TEXT, JSON, max_size=4), at=NUMBERS | TEXT, place=TEXT
    ),
}


def described(door):
    return openapi.document()["paths"][door if door in BODIES and "shares" not in door else "/v1/shares/{recipient}"][
        "post"
    ]


@pytest.mark.parametrize("door", BODIES)
def test_a_body_with_the_right_members_and_any_values_is_answered_as_described(ask, door):
    @settings(BOUNDED, max_examples=70 if SOAK else 35)
    @given(body=BODIES[door])
    def everything(body):
        assert_answered_as_promised(ask("POST", door, json=body), described(door))

    everything()


@pytest.mark.parametrize("door", DOORS)
def test_any_json_at_any_door_is_answered_as_described(ask, door):
    @BOUNDED
    @given(body=JSON)
    def everything(body):
        assert_answered_as_promised(ask("POST", door, json=body), described(door))

    everything()


@pytest.mark.parametrize("door", [*DOORS, "/privacy-choices"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "application/x-www-form-urlencoded"])
def test_any_bytes_at_any_door_are_answered_as_described(ask, door, kind):
    call = openapi.document()["paths"]["/privacy-choices"]["post"] if door == "/privacy-choices" else described(door)

    @settings(BOUNDED, max_examples=15)
    @given(body=st.binary(max_size=200), packed=st.sampled_from(["identity", "gzip", "br", ""]))
    def everything(body, packed):
        headers = {"Content-Type": kind, "Content-Encoding": packed}
        assert_answered_as_promised(ask("POST", door, content=body, headers=headers), call)

    everything()


HEADERS = st.sampled_from(
    [
        "Cookie",
        "Cookie2",
        "X-AdChoices",
        "Sec-GPC",
        "DNT",
        "Authorization",
        "Idempotency-Key",
        "Origin",
        "Sec-Fetch-Site",
        "Sec-Fetch-Mode",
        "Accept",
        "Content-Type",
        "Gateway-Browser",
        "Gateway-Consent",
        "Gateway-Account",
    ]
)
VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
) | st.sampled_from(
    [
        "__Host-gateway=",
        "usprivacy=1YYN",
        "OptanonConsent=groups=C0004:0",
        "gpp=DBABBg~BVUEAACA.YA; gpp_sid=8,x; euconsent-v2=CA.A",
        "fides_consent=gzip:H4sIAAAA; klaro=[[[[; _tracking_consent=3s.",
        "tcm=" + "[" * 2000,
        "1",
        "null",
        "Bearer dev.dev",
        "Bearer é.é",
        "v1.a.9999999999.é",
        "v1.a." + "9" * 5000 + ".00",
    ]
)


@pytest.mark.parametrize(
    "path", ["/demo", "/privacy-choices", "/privacy-choices/status", "/.well-known/gpc.json", "/v1/self"]
)
def test_any_header_of_a_visitor_is_answered(ask, path):
    @BOUNDED
    @given(headers=st.dictionaries(HEADERS, VALUES, max_size=4))
    def everything(headers):
        sent = [(name, value.strip().encode("latin-1")) for name, value in headers.items()]
        answer = ask("GET", path, headers=sent)
        assert answer.status_code in {200, 401}, answer.text

    everything()


NAMES = st.sampled_from(["gpp", "gpp_sid", "us_privacy", "gdpr_consent", "addtl_consent", "adchoices_signal", "cs", ""])


@pytest.mark.parametrize("path", ["/demo", "/privacy-choices", "/privacy-choices/status"])
def test_any_address_of_a_visitor_is_answered(ask, path):
    @BOUNDED
    @given(
        pairs=st.lists(st.tuples(NAMES, TEXT | st.binary(max_size=30)), max_size=5),
        tail=st.text("%&=;+~.A8", max_size=9),
    )
    def everything(pairs, tail):
        query = "&".join(f"{name}={quote(value)}" for name, value in pairs)
        assert ask("GET", f"{path}?{query}&{quote(tail, safe='%&=;+')}").status_code == 200

    everything()


@pytest.mark.parametrize("name", [name.replace("*", "x1") for name in cmp_cookies.NAMES])
def test_anything_in_a_consent_tools_cookie_is_answered(ask, name):
    @settings(BOUNDED, max_examples=8)
    @given(value=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=";\x7f"), max_size=60))
    def everything(value):
        cookie = f"{name}={value}; usprivacy=1YYN".encode("latin-1")
        assert ask("GET", "/privacy-choices/status", headers=[("Cookie", cookie)]).json()["status"] == "opted_out"

    everything()


@given(event=st.text(max_size=40))
@BOUNDED
def test_any_reference_of_a_confirmation_is_answered(ask, event):
    answer = ask("GET", f"/privacy-choices/done/{quote(event, safe='')}")
    assert answer.status_code in {200, 303, 307, 404}
    assert "Honored" not in answer.text
