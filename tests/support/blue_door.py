"""A shop that is nobody's example: accounts and a mailbox, no phone numbers, no app; and its second site, a café."""

import re

from gateway.settings.load import load_settings
from support import inside

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><path fill="#123f8c" d="M0 0h40v40H0z"/></svg>'
SHOP, CAFE = "127.0.0.1", "127.0.0.2"  # in development no other machine is answered
NAME, CAFE_NAME = "Blue Door Books", "Blue Door Café"
ACCENT, ACCENT_DARK = "#123f8c", "#9ec1ff"
FOOTER = {"en": "Open every day", "es": "Abierto todos los días", "fr": "Ouvert tous les jours"}
ACCOUNT = {"en": "reader card", "es": "tarjeta de lector", "fr": "carte de lecteur"}
OTHERS = ("talkatone", "teemo", "flurry", "ooma")  # of the shipped example, in any case
WORD, LONGEST_WORD = re.compile(r"[\w+/=-]+"), 16
IN_EACH_LANGUAGE = """
[site.footer]
en = "Open every day"
es = "Abierto todos los días"
fr = "Ouvert tous les jours"

[site.account]
en = "reader card"
es = "tarjeta de lector"
fr = "carte de lecteur"
"""
TEXT = """
[site]
name = "{name}"
logo = "{logo}"
contact = "privacy@bluedoor.example"
policy_url = "/our-privacy-policy"
notices = {{ US-CA = "/for-californians" }}
has = ["account", "email"]
accent = "{accent}"
accent_dark = "{accent_dark}"

{each_language}
[sites.cafe]
hosts = ["{cafe}"]
name = "{cafe_name}"
accent = "#7a1f3d"

[cpni]
module = false

[recipients.adverts]
role = "third_party"
purposes = ["targeted_ads", "sharing"]
data = ["ip"]
fields = {{ ip = "ip" }}
"""


def settings(folder):
    """As the shop's own file says them, with nothing beneath it."""
    logo, file = folder / "logo.svg", folder / "shop.toml"
    logo.write_text(DRAWING)
    said = {"each_language": IN_EACH_LANGUAGE, "name": NAME, "logo": logo, "accent": ACCENT, "accent_dark": ACCENT_DARK}
    file.write_text(TEXT.format(cafe=CAFE, cafe_name=CAFE_NAME, **said))
    return load_settings(file, {f"GATEWAY_{name.upper()}": value for name, value in inside.AT_ONCE.items()})


def others_in(text):
    """Names of the shipped example that stand in a text. Letters that fell together in a key or a seal are none."""
    said = " ".join(word for word in WORD.findall(text) if not _is_random(word)).lower()
    return [name for name in OTHERS if name in said]


def _is_random(word):
    return len(word) >= LONGEST_WORD and all(any(map(test, word)) for test in (str.isupper, str.islower, str.isdigit))
