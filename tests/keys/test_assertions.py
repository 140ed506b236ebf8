"""Which assertions of the operator's backend are believed: the keys, the claims, the times."""

import json
import time

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from support.phones import AUDIENCE, KINDS, Backend

from gateway.keys import account_assertions
from gateway.keys.account_assertions import LIFE, SKEW, Assertions, KeysUnreadable

NOW = int(time.time())


@pytest.fixture(autouse=True)
def clock():
    """A long run of all tests is not a late assertion."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def believed(tmp_path, backend):
    return Assertions(backend.publish(tmp_path / "keys.json"), AUDIENCE)


def read(believed, text, now=NOW):
    found = believed.read(text, now)
    return found and found.account


@pytest.mark.parametrize("algorithm", KINDS)
def test_the_backends_word_is_believed_by_each_algorithm_of_the_list(tmp_path, algorithm):
    backend = Backend(algorithm)
    believed = Assertions(backend.publish(tmp_path / "keys.json"), AUDIENCE)
    found = believed.read(backend.asserts("a1", jti="j1"), NOW)
    assert (found.account, found.jti) == ("a1", "j1")
    assert "a1" not in repr(found)


def test_the_key_is_found_with_and_without_its_name(tmp_path):
    first, second = Backend(kid="k1"), Backend("ES256", kid="k2")
    believed = Assertions(first.publish(tmp_path / "keys.json", second), AUDIENCE)
    assert read(believed, first.asserts()) == "a1"
    assert read(believed, second.asserts()) == "a1"
    assert read(believed, second.asserts(headers={"kid": None})) == "a1"
    assert read(believed, second.asserts(headers={"kid": "k1"})) is None
    assert read(believed, second.asserts(headers={"kid": "k3"})) is None


WRONG = {
    "another audience": {"aud": "https://other.example.com"},
    "no audience": {"aud": None},
    "no account": {"sub": None},
    "an empty account": {"sub": ""},
    "an account that is a number": {"sub": 7},
    "an account as long as a book": {"sub": "a" * 257},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "no end": {"exp": None},
    "no beginning": {"iat": None},
    "an end before its beginning": {"iat": NOW, "exp": NOW - 1},
    "a life of more than ten minutes": {"iat": NOW, "exp": NOW + LIFE + 1},
    "over": {"iat": NOW - SKEW - 100, "exp": NOW - SKEW - 1},
    "from the future": {"iat": NOW + SKEW + 5, "exp": NOW + SKEW + 100},
    "not to be used yet": {"nbf": NOW + SKEW + 5},
    "times in words": {"iat": "now", "exp": "later"},
    "no number at all": {"exp": True},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_assertion_with_a_wrong_claim_shows_nobody(believed, backend, name):
    payload = {"aud": AUDIENCE, "sub": "a1", "iat": NOW, "exp": NOW + 300, "jti": "j1"} | WRONG[name]
    claims = {key: value for key, value in payload.items() if value is not None}
    signing = jwt.api_jws.PyJWS()
    text = signing.encode(json.dumps(claims).encode(), backend.key, "EdDSA", headers={"kid": "k1"})
    assert read(believed, text) is None


@pytest.mark.parametrize("claims", [{"iat": NOW - LIFE, "exp": NOW}, {"iat": NOW, "exp": NOW + LIFE}, {"nbf": NOW},
                                    {"iat": NOW - SKEW - 1, "exp": NOW - SKEW}, {"iat": NOW + SKEW, "exp": NOW + SKEW + 1},
                                    {"aud": [AUDIENCE, "https://other.example.com"]}],
                         ids=["just over", "a whole life ahead", "good from now", "over within the clocks' skew",
                              "begins within the clocks' skew", "for another receiver too"])  # fmt: skip
def test_an_assertion_at_the_edge_of_its_time_is_believed(believed, backend, claims):
    assert read(believed, backend.asserts(**claims)) == "a1"


def test_another_backends_word_is_not_believed(believed, backend):
    stranger = Backend()
    assert read(believed, stranger.asserts()) is None
    assert read(believed, backend.asserts()) == "a1"


def test_no_trick_with_the_algorithm_is_believed(believed, backend, tmp_path):
    """RFC 8725 section 2.1: "none", and the public key as a shared secret."""
    payload = {"aud": AUDIENCE, "sub": "a1", "iat": NOW, "exp": NOW + 300, "jti": "j1"}
    assert read(believed, jwt.encode(payload, None, "none", headers={"kid": "k1"})) is None
    secret = backend.key.public_key().public_bytes_raw()
    assert read(believed, jwt.encode(payload, secret, "HS256", headers={"kid": "k1"})) is None
    owned = Backend("RS256")
    both = Assertions(owned.publish(tmp_path / "rsa.json"), AUDIENCE)
    assert read(both, owned.asserts(algorithm="RS512")) is None
    assert read(both, owned.asserts(algorithm="PS256")) is None


@pytest.mark.parametrize("text", ["", "dev", "a.b.c", "é", "." * 9, None, 7, {}, [], b"a.b.c", "A" * 5000], ids=repr)
def test_what_is_no_assertion_shows_nobody(believed, text):
    assert read(believed, text) is None


def test_a_changed_letter_shows_nobody(believed, backend):
    head, body, signature = backend.asserts().split(".")
    for text in (f"{head}.{body}.{signature[::-1]}", f"{head}.{body[::-1]}.{signature}", f"{head}.{body}."):
        assert read(believed, text) is None


def test_without_keys_or_an_audience_nobody_is_believed(tmp_path, backend):
    assert read(Assertions(None, AUDIENCE), backend.asserts()) is None
    assert read(Assertions(backend.publish(tmp_path / "keys.json"), ""), backend.asserts(aud="")) is None


def test_a_key_that_is_taken_out_of_the_file_is_believed_no_longer(tmp_path, backend, monkeypatch):
    monkeypatch.setattr(account_assertions, "RELOAD", -1)
    file, other = backend.publish(tmp_path / "keys.json"), Backend(kid="k2")
    believed = Assertions(file, AUDIENCE)
    assert read(believed, backend.asserts()) == "a1"
    other.publish(tmp_path / "new.json")
    (tmp_path / "new.json").replace(file)
    assert (read(believed, backend.asserts()), read(believed, other.asserts())) == (None, "a1")
    for broken in ("rubbish", '{"keys": 7}'):
        (tmp_path / "new.json").write_text(broken)
        (tmp_path / "new.json").replace(file)
        assert read(believed, other.asserts()) is None
    file.unlink()
    assert read(believed, other.asserts()) is None


def private(backend):
    return json.loads(KINDS["EdDSA"][1].to_jwk(backend.key))


WEAK = json.loads(KINDS["RS256"][1].to_jwk(rsa.generate_private_key(65537, 1024).public_key()))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([{"kty": "oct", "k": "AAAA"}], "HS256"),
        ([{"kty": "EC", "crv": "P-384"}], "no JWKS"),
        ([WEAK], "2048"),
        ([private(Backend())], "private"),
        (["k1"], "no JWKS"),
        (None, "no JWKS"),
    ],
    ids=["shared secret", "no curve", "short", "private half", "a word", "no list"],
)
def test_a_file_that_shows_nobody_for_certain_refuses_to_start(tmp_path, keys, why):
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys} if keys else {}))
    with pytest.raises(KeysUnreadable, match=why):
        account_assertions.keys_of(tmp_path / "keys.json")
