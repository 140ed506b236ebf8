"""Deletions by the IAB's Data Deletion Request Framework: requests, discovery, acknowledgements, and what is not
believed.

The vendor here reads our tokens with PyJWT alone, as a stranger would, with the key that we publish.
"""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from delivery.test_post import SECRETS
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from support.listening import Quiet, listening
from support.people import GAID, IDFV

from gateway.delivery import ddrf
from gateway.delivery.ddrf import Ddrf, Untrusted
from gateway.delivery.guard import LOOPBACK
from gateway.delivery.webhook import Courier, Parcel, PostOutcome

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OURS = ddrf.signers(SECRETS, "operator.example")[0]
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
SUB = {"identifierValue": GAID, "identifierType": "gaid", "identifierFormat": "plaintext"}


def public(key, kid="vendor-1", **more):
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def acknowledgement(request, key=KEY, kid="vendor-1", alg="ES256", headers=None, **claims):
    said = {
        "version": "1.0",
        "rqJWT": request,
        "jti": "ack-1",
        "iss": "vendor.example",
        "iat": int(AT.timestamp()),
        "raResultCode": 0,
        "raResultString": "Successful",
    } | claims
    said = {name: value for name, value in said.items() if value is not ...}
    return jwt.encode(said, key, alg, {"kid": kid, **(headers or {})} if kid else headers)


def read(token, keys=None, request=None):
    return ddrf.acknowledged(token, request or REQUEST, "vendor.example", "operator.example", keys or [public(KEY)], AT)


REQUEST = OURS.request("msg_1", "try-1", SUB, AT)


def opened(token, key=None):
    options = {"verify_iat": False, "verify_sub": False}
    return jwt.decode(token, key or jwt.PyJWK(OURS.jwk).key, algorithms=["ES256"], options=options)


class TestARequest:
    def test_has_the_claims_that_the_framework_requires_and_is_ours(self, vectors):
        protocol = json.loads((vectors / "enforcement" / "ddrf_protocol.json").read_text())
        outer = opened(REQUEST)
        inner = opened(outer["idJWT"])
        assert set(outer) == set(protocol["tokens"]["rqJWT"]["required"])
        assert set(inner) == set(protocol["tokens"]["idJWT"]["required"])
        assert set(outer["sub"]) == set(protocol["sub"]["fields"])
        assert set(jwt.get_unverified_header(REQUEST)) == set(protocol["header_example"])
        assert (outer["iss"], outer["sub"], outer["version"]) == ("operator.example", SUB, "1.0")
        assert (inner["jti"], outer["jti"]) == ("msg_1", "try-1")

    def test_keeps_its_own_id_over_all_tries_and_each_try_has_another(self):
        again = opened(OURS.request("msg_1", "try-2", SUB, AT + timedelta(hours=1)))
        assert again["jti"] == "try-2"
        assert opened(again["idJWT"])["jti"] == "msg_1"

    def test_is_signed_with_the_key_that_is_published(self):
        published = ddrf.published([OURS], "https://operator.example/privacy-choices/erase")
        [key] = published["publicKey"]
        assert set(published) == {"endpoint", "identifiers", "publicKey", "vendorScriptRequirement"}
        assert jwt.get_unverified_header(REQUEST)["kid"] == key["kid"]
        assert "d" not in key, "the private part"
        with pytest.raises(jwt.InvalidSignatureError):
            opened(REQUEST, OTHER.public_key())

    def test_every_installation_has_a_key_of_its_own_that_stays(self):
        assert [each.jwk for each in ddrf.signers(SECRETS, "operator.example")] == [OURS.jwk]


class TestDiscovery:
    def test_the_examples_of_the_framework_and_of_google_are_read(self, vectors):
        examples = json.loads((vectors / "enforcement" / "ddrf_protocol.json").read_text())["dsrdelete_examples"]
        found = [ddrf.vendor(json.dumps(example["json"]).encode()) for example in examples]
        assert [vendor.endpoint for vendor in found] == [
            "https://www.publisher1.com/api/delete/",
            "https://www.doubleclick.net/iab-ddrf",
        ]
        assert ddrf.subject("idfv", IDFV, found[1].accepts) == {
            "identifierValue": IDFV,
            "identifierType": "ifv",
            "identifierFormat": "plaintext",
        }
        assert ddrf.subject("gaid", GAID, found[1].accepts) is None, "Google takes no advertising ids"
        assert ddrf.subject("email_sha256", "ab" * 32, found[0].accepts)["identifierFormat"] == "sha256"

    def test_the_result_codes_are_those_of_the_framework(self, vectors):
        codes = json.loads((vectors / "enforcement" / "ddrf_protocol.json").read_text())["result_codes"]
        assert {int(code) for code in codes} == set(ddrf.RESULTS)

    @pytest.mark.parametrize(
        "content",
        [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000,
         b'{"endpoint": 7, "identifiers": [], "publicKey": []}',
         b'{"endpoint": "https://x.example", "identifiers": 7, "publicKey": []}',
         b'{"endpoint": "https://x.example", "identifiers": [{}], "publicKey": []}',
         b'{"endpoint": "https://x.example", "identifiers": [], "publicKey": ["k"]}'],
    )  # fmt: skip
    def test_what_is_no_such_file_is_refused(self, content):
        with pytest.raises(Untrusted):
            ddrf.vendor(content)


class TestAnAcknowledgement:
    def test_of_our_request_by_the_recipients_key_is_believed(self):
        assert read(acknowledgement(REQUEST)).result == 0
        assert read(acknowledgement(REQUEST, raResultCode="4")).result == 4
        assert read(acknowledgement(REQUEST, aud="operator.example", exp=int(AT.timestamp()) + 60)).jti == "ack-1"

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"key": OTHER}, "not verified"),
            ({"kid": "vendor-2"}, "no key"),
            ({"kid": ""}, "no key"),
            ({"version": "2.0"}, "version"),
            ({"version": ...}, "version"),
            ({"iss": "other.example"}, "issuer"),
            ({"rqJWT": OURS.request("msg_2", "try-1", SUB, AT)}, "not about"),
            ({"rqJWT": ...}, "not about"),
            ({"rqJWT": 7}, "not about"),
            ({"jti": ...}, "id"),
            ({"jti": ""}, "id"),
            ({"jti": "x" * 300}, "id"),
            ({"iat": ...}, "time"),
            ({"iat": int(AT.timestamp()) - 3600}, "time"),
            ({"iat": int(AT.timestamp()) + 3600}, "time"),
            ({"iat": "now"}, "time"),
            ({"iat": True}, "time"),
            ({"iat": 10**400}, "time"),
            ({"iat": float("nan")}, "time"),
            ({"exp": int(AT.timestamp()) - 3600}, "expired"),
            ({"exp": float("nan")}, "expired"),
            ({"aud": "other.example"}, "somebody else"),
            ({"aud": ["other.example"]}, "somebody else"),
            ({"raResultCode": ...}, "result"),
            ({"raResultCode": 7}, "result"),
            ({"raResultCode": True}, "result"),
            ({"raResultCode": "zero"}, "result"),
            ({"padding": "x" * 20_000}, "too long"),
        ],
    )  # fmt: skip
    def test_that_is_not_is_not_believed(self, change, why):
        with pytest.raises(Untrusted, match=why):
            read(acknowledgement(REQUEST, **change))

    def test_with_an_algorithm_of_the_senders_choosing_is_not_believed(self):
        """`none`, and the public key taken for a shared secret."""
        claims = opened_claims(acknowledgement(REQUEST))
        with pytest.raises(Untrusted, match="algorithm"):
            read(jwt.encode(claims, None, "none", {"kid": "vendor-1"}))
        secret = public(KEY)["x"].encode()
        with pytest.raises(Untrusted, match="algorithm"):
            read(jwt.encode(claims, secret, "HS256", {"kid": "vendor-1"}))
        with pytest.raises(Untrusted):
            read(acknowledgement(REQUEST, key=rsa.generate_private_key(65537, 2048), alg="RS256"))

    def test_with_a_key_in_its_own_header_is_not_believed(self):
        smuggled = {"jwk": public(OTHER), "jku": "https://attacker.example/keys"}
        with pytest.raises(Untrusted):
            read(acknowledgement(REQUEST, key=OTHER, headers=smuggled))

    def test_two_keys_of_one_id_or_a_key_for_another_use_are_none(self):
        with pytest.raises(Untrusted, match="no key"):
            read(acknowledgement(REQUEST), keys=[public(OTHER), public(KEY)])
        with pytest.raises(Untrusted, match="another use"):
            read(acknowledgement(REQUEST), keys=[public(KEY, use="enc")])
        with pytest.raises(Untrusted, match="another use"):
            read(acknowledgement(REQUEST), keys=[public(KEY, alg="RS256")])

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    def test_by_a_long_rsa_key_is_believed_and_by_a_short_one_not(self):
        for bits, believed in ((2048, True), (1024, False)):
            key = rsa.generate_private_key(65537, bits)
            keys = [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "vendor-1"}]
            with contextlib.nullcontext() if believed else pytest.raises(Untrusted, match="short"):
                read(acknowledgement(REQUEST, key=key, alg="RS256"), keys=keys)

    @pytest.mark.parametrize("token", ["", ".", "a.b.c", "é.é.é", "." * 5, "eyJhbGciOiJFUzI1NiJ9.e30."])
    def test_garbage_is_not_believed(self, token):
        with pytest.raises(Untrusted):
            read(token)


def opened_claims(token):
    return jwt.decode(token, options={"verify_signature": False})


class Recipient:
    """A vendor that takes the framework: what it got, and how it answers."""

    def __init__(self):
        self.requests, self.read, self.status, self.claims = [], 0, 202, {}
        self.keys, self.key, self.kid = [public(KEY)], KEY, "vendor-1"
        self.identifiers = [{"id": 1, "type": "gaid", "format": "plaintext"}]
        self.endpoint = None

    def handler(self):
        recipient = self

        class Handler(Quiet):
            def asked(self):
                recipient.read += 1
                stated = {
                    "endpoint": recipient.endpoint or f"http://{self.headers['Host']}/delete",
                    "identifiers": recipient.identifiers,
                    "publicKey": recipient.keys,
                    "vendorScriptRequirement": False,
                }
                self.answer(200 if self.path == "/dsrdelete.json" else 404, json.dumps(stated).encode())

            def posted(self):
                request = self.body().decode()
                recipient.requests.append((request, self.headers["Content-Type"]))
                token = acknowledgement(
                    request,
                    recipient.key,
                    recipient.kid,
                    iss="127.0.0.1",
                    jti=f"ack-{time.monotonic_ns()}",
                    **recipient.claims,
                )
                self.answer(recipient.status, token.encode())

            def answer(self, status, content):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


@pytest.fixture
def recipient():
    return Recipient()


@pytest.fixture
async def carry(recipient):
    """Sends one deletion to the recipient."""
    carrier = Ddrf(Courier(LOOPBACK), OURS)
    with listening(recipient.handler()) as url:

        async def act(kind="gaid", value=GAID, at=AT):
            body = json.dumps({"type": "delete", "identifiers": [{"type": kind, "value": value}]}).encode()
            return await carrier.carry(Parcel("msg_1", body, url, ()), at)

        yield act
    await carrier.close()


async def test_a_recipient_is_asked_and_what_it_signed_is_taken(recipient, carry):
    tried = await carry()
    assert (tried.outcome, tried.answer) == (PostOutcome.TAKEN, "202, successful")
    [(request, kind)] = recipient.requests
    assert kind == "application/jwt"
    assert opened(request)["sub"] == SUB
    assert opened_claims(tried.proof)["rqJWT"] == request


@pytest.mark.parametrize(
    ("status", "claims", "outcome"),
    [
        (400, {"raResultCode": 4}, PostOutcome.REFUSED),
        (400, {"raResultCode": 1}, PostOutcome.REFUSED),
        (400, {"raResultCode": 2}, PostOutcome.FAILED),
        (400, {"raResultCode": 0}, PostOutcome.FAILED),
        (202, {"raResultCode": 6}, PostOutcome.FAILED),
        (503, {}, PostOutcome.FAILED),
    ],
)
async def test_what_it_refuses_for_good_is_not_asked_again(recipient, carry, status, claims, outcome):
    recipient.status, recipient.claims = status, claims
    assert (await carry()).outcome is outcome


async def test_an_identifier_that_it_does_not_take_is_not_sent(recipient, carry):
    assert (await carry("account", "jane")).outcome is PostOutcome.REFUSED
    assert recipient.requests == []


async def test_an_acknowledgement_by_another_key_is_no_acknowledgement(recipient, carry):
    recipient.key = OTHER
    tried = await carry()
    assert (tried.outcome, tried.proof) == (PostOutcome.FAILED, "")
    assert tried.answer.startswith("acknowledgement not verified")


async def test_a_key_that_was_replaced_is_looked_for_once(recipient, carry):
    assert (await carry()).taken
    recipient.keys, recipient.key, recipient.kid = [public(OTHER, "vendor-2")], OTHER, "vendor-2"
    assert (await carry(at=AT + timedelta(minutes=1))).outcome is PostOutcome.FAILED, "its file was read a minute ago"
    recipient.claims = {"iat": int(AT.timestamp()) + 360}
    assert (await carry(at=AT + timedelta(minutes=6))).taken
    assert recipient.read == 2


async def test_an_endpoint_that_is_not_https_gets_nothing(recipient, carry):
    recipient.endpoint = "http://vendor.example/delete"
    tried = await carry()
    assert (tried.outcome, tried.answer) == (PostOutcome.FAILED, "its endpoint is not https")


async def test_an_endpoint_inside_our_network_gets_nothing(recipient):
    carrier = Ddrf(Courier(()), OURS)
    with listening(recipient.handler()) as url:
        body = json.dumps({"type": "delete", "identifiers": [{"type": "gaid", "value": GAID}]}).encode()
        tried = await carrier.carry(Parcel("msg_1", body, url, ()), AT)
    await carrier.close()
    assert tried.answer == "its dsrdelete.json: leads into a network that is not public"
    assert recipient.read == 0


@pytest.mark.parametrize(
    "endpoint", ["https://[", "http://[zz]/", "https://", "ftp://vendor.example/", "\x00", "http://vendor.example/"]
)
async def test_an_endpoint_that_is_no_address_of_the_public_web_is_a_failed_try_and_no_fault_of_ours(
    recipient, carry, endpoint
):
    recipient.endpoint = endpoint
    tried = await carry()
    assert (tried.outcome, tried.answer) == (PostOutcome.FAILED, "its endpoint is not https")
    assert recipient.requests == []
