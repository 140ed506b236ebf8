"""What people hold in their hands was sealed by an earlier gateway: it goes on being read, above all a link that says
no. Each text here was made by the version before there was one way to seal tokens, under one made-up key.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.consent import tokens
from gateway.consent.choice_result import Refused
from gateway.desk import notices
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie
from gateway.keys.secret_files import Secrets
from gateway.ledger.proof.receipt import Opening
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, DataClass, Purpose
from gateway.web.shell import own_cookies

KEYS = [b"k" * 32]
SECRETS = Secrets((b"p" * 32,), tuple(KEYS), (), (), (), ())
BROWSER = bytes(range(16))

COOKIE = "b9fwjcv5dUhl3-Z_z_s72Qk77wgElAYjj3INI29zpd5LdFApgD95WyQF6LM-8NcRnUPVBm0CNg"
TOKEN = "vp278Qr_9DvmzJjJ_TasKQy8tDEPFjBVa2OCpwOmnGf_Ozz1S7PfsQLIQOZlLbURPf7SQsY"
DEVICE = (
    "Abz2LBsyIVp_nn4qu58YTPQkcYBpE9zrYYRa03YiCl4yi9xKwGwIyj-FR49Nch62Td7Sx8fy5XYA3BtHQzUmz-h-8kIyEIfI7PhCgzzPNtojpRFr"
)
UNSUBSCRIBE = (
    "LH-FignhjGOOzZ7LI_7J0Jf8mp16wRuGXpcc2Iub5yjLQvyHlSMHOm2aKWBDuS6r0DNYvnoXOA5PbCviZSPl00eTl0B02mzZ3v1aIZGakNvaEiD-"
    "FZf7Nk8KwZ3j72Q0TuFbwZ0"
)
FIRST_ACT = (
    "eEm5xfHzg40ZlM2qZZBi4LinKn2A7KkiKyyt7BcfTRm1QxYwQ12agPK1X6a_ebcZ0vCk7guX8ynWP85hDAVRNZezPXYsJx2VIexKGG7nsQ1qElHD"
    "ezsv1f2GlrV6YEA5UE9JB9TGvlsLR9Jtczd_9w2j8yFgFkjl-hQGkTTPFgqXNHULSEIB8aLYSi2PJI94llLvREyEw_IjwZ0t875hkjwt2GfPCESd"
    "9yepMFkkcQCfZtqQmG_Txv6PHKME6w2g9uGV49kZwjRwrJGkAWzwXroN_zseuWlZvV9dx9oHB-AG0oHd-qlZwPdl6d5h8LcVYmbo8pnsqJPWVYHI"
    "TgMYxH9XQtVrzBzL6FzvqVYaxI6uV10Ixw_ngRC1QjwD7ATz3rl3k6JcZeCjOqRadyetrXeOX3b_1X3Lha_MwdKWdOHvKtZyZij_mQWjh-IQCLZ8"
    "4gkxvD5mNM0PC8p_dZvDw4G-OLCYdzAGHkEazIUidW0y9NFsOtOfF_1VMQ1NcYmW1Ha7C880YYJZ-DiMyjTWOZo9dI3a6tZ5R4W63w5vH-H-P9FB"
    "B5cFxMNyBTi9-pj8KeG7U-_y7hLAlJa-YGLuGidNGL8RQ-EdedJMjVHJXxpgf4cIdzX6k4RyXOyqUPyPL7W4IQTsSakWRyQCeKcE8MkzmrbTOBcm"
    "f7o1Gsv1UAiK62mTV5ZYC9EW_3fcC4Q1J23-3ulc-qR-xq1ibqyr6G_DQGSYaJZrmw_Cg_1G6PCnMNtaDP96VjQWMJxZ"
)
CODE = "6_EPDVGSFHlX_wNd3-5DtakoQd-WwvinDiTZ3NUxSpS8NvGKgdjnmG5qCw3V7072ynPD6ExcEwuXeTNpPz_9GHbGynvETYIgPs5rgu9e"
PROOF = (
    "bpHgvaev63Ks6s9iF7jJ0MDmqUDbhYtk3RNWPopnLDnXni_tegSXaxeRp8yBsSA9yLkRJ7g9IPkmG3Ym_j4K46e_OvA2GUqRUizwY9fd5JIPrGLf"
    "ow2ifqzUHXUs9CvSbTQKRN0li8TLfVtayMohJnGl3GhlvEtsp-rPyFe76CnCxrPdyGCUMeQ8Nam3Q1CqfA"
)
PAGE = "V-xOyEuarY_9Wd9RJiUai5kwdiZ72nQhKYuh-wr7cDg5Qh6c72iM9CL1izQ"


def test_a_link_in_a_letter_of_years_ago_still_says_no_for_the_people_in_it():
    link = tokens.open_unsubscribe(KEYS, UNSUBSCRIBE)
    assert link.channel is Purpose.MARKETING_TEXT
    assert link.people == (("email", "ann@example.com"), ("phone", "+14155550123"))


def test_a_browser_comes_back_with_the_cookie_that_it_got_and_is_denied_what_it_says():
    assert seals.read_cookie(KEYS, COOKIE) == BrowserCookie(BROWSER, 20_000, frozenset({Purpose.SALE}))
    assert seals.open_browser(KEYS, TOKEN, 1000).value == BROWSER.hex()


def test_a_phone_comes_back_with_the_ids_that_it_had():
    ids = (tokens.Id(b"a" * 16, attested=True, day=20_000), tokens.Id(b"b" * 16, day=20_001))
    assert tokens.open_device_token(SECRETS, DEVICE) == tokens.DeviceToken(BROWSER, ids)


def test_whoever_asked_to_opt_in_can_still_confirm_it():
    asked = tokens.open_first_act(SECRETS, FIRST_ACT)
    ann, bob = asked.subjects
    assert (ann.value, ann.keys, ann.mailbox) == ("ann@example.com", (b"a" * 16, b"b" * 16), b"m" * 16)
    assert (bob.value, bob.keys, bob.mailbox) == ("+14155550123", (b"c" * 16,), None)
    said = asked.choice
    assert (said.purposes, said.data_class, said.recipient) == ((Purpose.SALE,), DataClass.PRECISE_GEO, "advertisers")
    assert (asked.position, asked.log, said.place, said.informed) == (7, "example.com/log", "US-CA", True)


def test_a_first_act_under_peppers_that_are_not_ours_is_no_yes_to_anybody():
    newer, other = (replace(SECRETS, peppers=(*SECRETS.peppers, bytes([each]) * 32)) for each in (1, 2))
    ann = tokens.open_first_act(SECRETS, FIRST_ACT).subjects
    choice = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", datetime(2026, 11, 24, tzinfo=UTC))
    before, token = (tokens.seal_first_act(each, ann, choice, 7, "example.com/log") for each in (SECRETS, newer))
    assert tokens.open_first_act(newer, token).subjects[0].keys == ann[0].keys
    assert tokens.open_first_act(newer, before).subjects[0].keys != ann[0].keys, "wrapped once more"
    for secrets in (other, SECRETS):
        with pytest.raises(Refused):
            tokens.open_first_act(secrets, token)


def test_a_code_and_a_confirmation_under_way_are_not_asked_for_again():
    coded = own_cookies.read_code_cookie(KEYS, [(own_cookies.CODE_COOKIE, CODE)], 1000)
    assert coded == own_cookies.Coded("access", "email", "ann@example.com", 1000, "ticket")
    kept = own_cookies.read_proof_cookie(KEYS, [(own_cookies.PROOF_COOKIE, PROOF)], 1000)
    assert kept == own_cookies.ProofsKept(("e1", "e2"), (Opening("email", "ann@example.com", b"r" * 32),), 1000)


def test_a_sender_goes_on_with_the_page_that_it_was_at():
    assert seals.open_text(KEYS, notices.LABEL, PAGE) == b"a" * 16
