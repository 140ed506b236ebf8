"""An address is one person's however it is written; looser forms of other consumers only ever add names."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from gateway.choice.identity import DIGESTS, NormalIdentifier, read_identifier
from gateway.terms import Malformed

QUICKLY = examples(80)
ALGORITHMS = ("sha256", "sha1", "md5")
LOCALS = st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,12}", fullmatch=True)
DOMAINS = st.sampled_from(["gmail.com", "googlemail.com", "example.com", "mail.example.org", "bücher.example"])


def digests(address):
    return {(f"email_{name}", hashlib.new(name, address.encode()).hexdigest()) for name in ALGORITHMS}


@pytest.mark.parametrize(
    "spelling",
    ["ANA@example.com", " ana@EXAMPLE.com ", "\tana@example.com\n", '"ana"@example.com', '"a\\na"@example.com',
     "ana@example.com.", "a na @ example.com", "\ufeffana@example.com\u200b", "\u202aana@example.com\u202c", "ana@example\u3002com"],
)  # fmt: skip
def test_a_person_is_found_by_any_spelling_of_the_address(spelling):
    assert read_identifier("email", spelling) == read_identifier("email", "ana@example.com")


def test_the_own_name_is_the_sha256_of_the_trimmed_lower_case_address():
    found = read_identifier("email", " Jane.Doe+News@Gmail.com")
    assert found.names[0] == ("email_sha256", hashlib.sha256(b"jane.doe+news@gmail.com").hexdigest())
    assert set(found.names[: found.exact]) == digests("jane.doe+news@gmail.com")


def test_a_composed_and_a_decomposed_letter_are_one_address():
    composed, decomposed = "jos\u00e9@example.com", "jose\u0301@example.com"
    assert composed != decomposed
    assert read_identifier("email", composed) == read_identifier("email", decomposed)


def uid2(local, domain):
    return local.partition("+")[0].replace(".", "") if domain == "gmail.com" else local


def cm360(local, domain):
    return local.replace(".", "") if domain in ("gmail.com", "googlemail.com") else local


def google_ads_sample(local, _):
    return local.replace(".", "").replace("+", "")


def tiktok(local, _):
    return local.split("+")[0]


def liveramp(local, _):
    return "".join(local.split())


def plainest(local):
    """Of the two hosts that take several spellings for one mailbox."""
    return f"{local.split('+')[0].replace('.', '')}@gmail.com"


CONSUMERS = [uid2, cm360, google_ads_sample, tiktok, liveramp]


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.__name__)
@QUICKLY
@given(local=LOCALS, domain=DOMAINS)
def test_a_person_is_found_by_what_a_consumer_hashes(consumer, local, domain):
    hashed = consumer(local, domain)
    found = read_identifier("email", f"{local}@{domain}")
    assert not hashed or digests(f"{hashed}@{domain}") <= set(found.names)


@example("jane.doe+news", "gmail.com")
@example("jane.doe+news", "googlemail.com")
@example("jane.doe+news", "bücher.example")
@QUICKLY
@given(LOCALS, DOMAINS)
def test_a_person_has_the_names_that_consumers_make_and_no_others(local, domain):
    forms = {local, *(consumer(local, domain) for consumer in CONSUMERS)} - {""}
    hosts = {domain, domain.encode("idna").decode()}
    made = set().union(*(digests(f"{form}@{host}") for form in forms for host in hosts))
    made |= digests(plainest(local)) if domain in ("gmail.com", "googlemail.com") else set()
    assert set(read_identifier("email", f"{local}@{domain}").names) == made


@QUICKLY
@given(st.text(alphabet="ab.+", min_size=1, max_size=4), st.text(alphabet="ab.+", min_size=1, max_size=4), DOMAINS)
def test_two_people_share_only_names_of_looser_forms(one, other, domain):
    first, second = (read_identifier("email", f"{local}@{domain}") for local in (one, other))
    if one == other or not (isinstance(first, NormalIdentifier) and isinstance(second, NormalIdentifier)):
        return
    assert not set(first.names[: first.exact]) & set(second.names[: second.exact])
    assert set(first.names) & set(second.names) <= {*first.looser, *second.looser}


def test_two_people_whose_letters_differ_share_nothing():
    names = [set(read_identifier("email", f"{who}@gmail.com").names) for who in ("ana", "anna", "an-a", "an_a")]
    assert len(set.union(*names)) == sum(map(len, names))


ONE_MAILBOX = ["janedoe@gmail.com", "jane.doe@gmail.com", "J.A.N.E.doe+shop@gmail.com", "janedoe@googlemail.com",
               "Jane.Doe+a.b@googlemail.com", "janedoe+@gmail.com", " jane.doe@GMAIL.com. "]  # fmt: skip


@pytest.mark.parametrize("spelling", ONE_MAILBOX)
def test_gmail_takes_dots_a_suffix_and_both_of_its_hosts_for_one_mailbox(spelling):
    found = read_identifier("email", spelling)
    assert found.mailbox == read_identifier("email", "janedoe@gmail.com").names[0] in found.names


@pytest.mark.parametrize(
    "spelling",
    ["jane.doe@example.com", "janedoe+shop@example.com", "janedoe@gmail.example.com", "janedoe@mail.gmail.com",
     '"jane doe"@gmail.com', "+shop@gmail.com", "janedoe@gmail.co"],
)  # fmt: skip
def test_no_other_host_is_known_to_take_two_spellings_for_one_mailbox(spelling):
    assert read_identifier("email", spelling).mailbox is None


def test_a_form_that_leaves_nothing_before_the_at_is_nobodys():
    for alone in ("@gmail.com", "@example.com"):
        assert not digests(alone) & set(read_identifier("email", f"+ana{alone}").names)
    for nameless in ("+", "...", "+.+", '"+"', '". ."'):
        assert read_identifier("email", f"{nameless}@gmail.com") == Malformed("email", "value")


@pytest.mark.parametrize(
    ("unicode", "in_ascii"),
    [("bücher.example", "xn--bcher-kva.example"), ("straße.example", "xn--strae-oqa.example"),
     ("例え.example", "xn--r8jz45g.example")],
)  # fmt: skip
def test_a_domain_in_unicode_and_in_ascii_is_one_identifier_found_by_either_hash(unicode, in_ascii):
    found = read_identifier("email", f"ana@{unicode}")
    assert (
        found
        == read_identifier("email", f"ana@{in_ascii}")
        == read_identifier("email", f"ANA@{unicode.upper()}".replace("SS", "ß"))
    )
    assert set(found.names) == digests(f"ana@{unicode}") | digests(f"ana@{in_ascii}")
    assert found.exact == 2 * len(ALGORITHMS)


@pytest.mark.parametrize("label", ["xn--", "xn--abc-", "xn--a", "xn--99999999999", "xn--0ca\u00e9", "xn--bcher-kva-"])
def test_a_label_that_only_looks_like_an_ascii_form_stands_as_it_is(label):
    found = read_identifier("email", f"ana@{label}.example")
    assert found.value == f"ana@{label}.example"
    assert read_identifier("email", found.value) == found


def test_quotes_that_are_needed_stay_and_what_is_in_them_is_the_persons():
    found = read_identifier("email", '"Ana Maria"@example.com')
    assert found.value == '"ana maria"@example.com'
    assert digests('"anamaria"@example.com') <= set(found.looser)  # LiveRamp's form
    assert found == read_identifier("email", '"ana\\ maria" @example.com')
    assert read_identifier("email", r'"a\"b\\c@d"@example.com').value == r'"a\"b\\c@d"@example.com'


ADDRESS_OF_254 = "a" * 64 + "@" + ".".join(["b" * 63] * 2 + ["c" * 61])
GOOD = ["a..b@example.com", ".a@example.com", "o'hara!#$%&*/=?^_`{|}~@example.com", "ana@localhost", "用户@example.com",
        "a_b@under_score.example.com", "a" * 64 + "@example.com", ADDRESS_OF_254]  # fmt: skip


@pytest.mark.parametrize("address", GOOD)
def test_an_unusual_address_is_somebodys(address):
    assert read_identifier("email", address).value == address


WRONG = [
    "x",
    "@",
    "a@",
    "@b",
    "a@b@c",
    "ana@example.com bea@example.com",
    "a" * 65 + "@example.com",
    "é" * 33 + "@b.c",
    ADDRESS_OF_254 + "c",
    "ana@" + "b" * 64 + ".com",
    "ana@" + ".".join(["b" * 63] * 4),
    "ana@example..com",
    "ana@.example.com",
    "ana@example.com..",
    "Ana <ana@example.com>",
    "ana@[192.0.2.1]",
    "ana,bea@example.com",
    'a"b@example.com',
    '"a@example.com',
    '""@example.com',
    '"a"b"@example.com',
    "a\x07@example.com",
    "ana@exa<mple.com",
    "ana@exämple,com",
    "ana@\x80.example",
    "a\\b@example.com",
]


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_address_or_more_than_one_is_malformed(value):
    assert read_identifier("email", value) == Malformed("email", "value")


@QUICKLY
@given(LOCALS, DOMAINS)
def test_no_name_and_no_repr_holds_the_address(local, domain):
    found = read_identifier("email", f"{local}@{domain}")
    assert isinstance(found, Malformed) or repr(found) == "Identifier(email)"
    for kind, value in getattr(found, "names", ()):
        assert len(bytes.fromhex(value)) == DIGESTS[kind]


@QUICKLY
@given(
    st.text(alphabet='aB.+@" \\ü-xn\u0130\u03a3\u1e9e', max_size=12), st.text(alphabet="aB.-xnü。İ\u00a0", max_size=12)
)
def test_any_address_is_read_to_a_form_that_reads_to_itself(local, domain):
    found = read_identifier("email", f"{local}@{domain}")
    if isinstance(found, NormalIdentifier):
        assert read_identifier("email", found.value) == found
