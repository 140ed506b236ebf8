"""What an operator may write by mistake: each option of the configuration against twenty and more values that are
wrong.

The options are found by looking at the types, so one that is new has no row here and fails. A value is refused by the
start and by `gateway config check`, with file, line, option and what to write; or it is harmless, and the table says
why.
"""

import atexit
import enum
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
import pytest
from support import example, inside, typed
from support.example import Raw, toml

from gateway.app import from_settings
from gateway.app.brands import brands_of
from gateway.app.in_force import in_force
from gateway.app.law_tables import law_table
from gateway.ledger.proof.ed25519 import Cosigner
from gateway.settings.load import Settings, SettingsRefused
from gateway.web.site import shared_caches

TODAY = date(2026, 11, 27)
LEAST = 20  # wrong values an option
SECRET = "hunter2"
# Sections whose next name is the operator's.
NAMED = ("recipients", "witnesses", "agents", "consent_tools", "sites", "systems")
ANY = "*"
NAME = "<name>"  # the name of a table's entry, which is an option too


class Option(NamedTuple):
    path: tuple[str, ...]
    hint: Any

    def __str__(self) -> str:
        return ".".join(self.path)

    @property
    def is_name(self) -> bool:
        return self.path[-1] == NAME


def plain(hint):
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def arms(hint):
    """What a value may be: each of a union's types."""
    whole, origin = plain(hint), get_origin(plain(hint))
    if origin in {dict, tuple, Literal, None}:
        return [whole]
    return [each for arm in get_args(whole) if arm is not type(None) for each in arms(arm)]


def is_table(hint):
    return isinstance(plain(hint), type) and issubclass(plain(hint), msgspec.Struct)


def options(hint=Settings, path=()):
    """Every option that there is, the sections too."""
    kind = plain(hint)
    if is_table(kind):
        if path:
            yield Option(path, hint)
        for each in msgspec.structs.fields(kind):
            yield from options(each.type, (*path, each.encode_name))
    elif get_origin(kind) is dict:
        yield Option((*path, NAME), get_args(kind)[0])
        yield from options(get_args(kind)[1], (*path, ANY))
    else:
        yield Option(path, hint)
        for arm in arms(hint):
            inner = get_args(arm)[0] if get_origin(arm) is tuple else arm
            if is_table(inner):
                for each in msgspec.structs.fields(plain(inner)):
                    yield from options(each.type, (*path, *([ANY] if inner is not arm else []), each.encode_name))


OPTIONS = {str(each): each for each in options()}

# --- wrong values by type -------------------------------------------------------------------------------------------

OTHERS = {
    "number": 7,
    "fraction": 1.5,
    "true": True,
    "list": ["a"],
    "no list": [],
    "table": {"a": 1},
    "no table": {},
    "tables": [{"a": 1}],
    "day": date(2026, 1, 2),
    "moment": datetime(2026, 1, 2, 3),
    "hour": time(7, 30),
    "nan": Raw("nan"),
    "infinite": Raw("inf"),
    "huge": 10**30,
}
TEXTS = {
    "empty": "",
    "blank": " ",
    "blanks": "   ",
    "tab": "\t",
    "to do": "TODO",
    "none": "none",
    "change me": "changeme",
    "star": "*",
    "semicolon": "a;b",
    "two lines": "a\nb",
    "line's end": "www.example.com\n",
    "NUL": "a\x00b",
    "quote": 'a"b',
    "tag": "<script>alert(1)</script>",
    "100 kB": "x" * 100_000,
    "right to left": "a\u202eb",
    "zero width": "a\u200bb",
    "filler": "a\u3164b",
    "outside": "../../etc/passwd",
    "file:": "file:///etc/passwd",
    "javascript:": "javascript:alert(1)",
    "credentials": f"https://me:{SECRET}@www.example.com/",
    "http": "http://www.example.com/",
    "underscore": "https://a_b.example.com",
    "trailing dot": "https://www.example.com.",
    "wild card": "https://*.example.com",
    "port 0": "https://www.example.com:0",
    "no ASCII": "https://münchen.example",
    "blank behind": "www.example.com ",
    "secret": SECRET,
}
HOSTS = {
    "host:port": "www.example.com:8443",
    "wild host": "*.example.com",
    "host_name": "a_b.example.com",
    "host.": "www.example.com.",
    "no ASCII host": "münchen.example",
    "capitals": "WWW.example.com",
    "hyphen": "-a.example.com",
    "two dots": "www..example.com",
    "one name": "changeme",
    "number": 7,
    "long label": f"{'a' * 64}.example.com",
    "path behind": "www.example.com/x",
}
URLS = {
    "https alone": "https://",
    "no host": "https:///x",
    "bracket": "https://[x",
    "port of letters": "https://www.example.com:x/",
    "port beyond": "https://www.example.com:65536/",
    "blank in it": "https://www.example.com/a b",
    "fragment": "https://www.example.com/#x",
    "backslash": "https://www.example.com\\x",
    "ftp": "ftp://www.example.com/",
    "data": "data:text/html,x",
    "no scheme": "www.example.com/x",
    "placeholder host": "https://todo/",
    "wild": "https://*/",
    "http elsewhere": "http://10.0.0.1/",
}
NETWORKS = {
    "everywhere": "0.0.0.0/0",
    "everywhere 6": "::/0",
    "half of it": "128.0.0.0/1",
    "host bits": "10.1.2.3/8",
    "wide 6": "2000::/3",
    "mapped": "::ffff:0:0/96",
    "NAT64": "64:ff9b::/96",
    "no mask": "10.0.0.0/",
    "mask 33": "10.0.0.0/33",
    "range": "10.0.0.1-10.0.0.9",
    "short": "10.1",
    "name": "proxy.example.com",
    "zone": "fe80::1%eth0",
    "any": "0.0.0.0",
    "any 6": "::",
    "octal": "010.0.0.1",
    "group": "224.0.0.1",
}
WHOLES = {
    "text": "seven",
    "number as text": "7",
    "empty": "",
    "blank": " ",
    "to do": "TODO",
    "hex": "0x10",
    "negative": -1,
    "negative huge": -(10**30),
    "64 bits": 2**63,
    "as a fraction": 16.0,
    "minus 2**31": -(2**31),
    "minus infinite": Raw("-inf"),
    "secret": SECRET,
}
PARTS = {**WHOLES, "zero": 0, "above one": 1.01, "percent": 50, "minus a half": -0.5}
SWITCHES = {
    "as text": "true",
    "yes": "yes",
    "on": "on",
    "one": 1,
    "zero": 0,
    "minus one": -1,
    "capitals": "True",
    "empty": "",
    "blank": " ",
    "to do": "TODO",
    "secret": SECRET,
    "star": "*",
}
DAYS = {
    "text": "soon",
    "30 February": Raw("2026-02-30"),
    "30 February as text": "2026-02-30",
    "German": "30.11.2026",
    "American": "11/30/2026",
    "as a number": 20261124,
    "year 1": date(1, 1, 1),
    "year 9999": date(9999, 12, 31),
    "1970": date(1970, 1, 1),
    "empty": "",
    "blank": " ",
    "to do": "TODO",
    "month 13": "2026-13-01",
    "short": "2026-1-1",
    "moment as text": "2026-11-24T00:00:00",
    "tomorrow": "tomorrow",
    "star": "*",
    "line's end": "2026-11-24\n",
    "secret": SECRET,
}
WORDS = {
    "blank": " ",
    "to do": "TODO",
    "star": "*",
    "two lines": "a\nb",
    "NUL": "a\x00b",
    "100 kB": "x" * 100_000,
    "zero width": "a\u200bb",
    "semicolon": "a;b",
    "secret": SECRET,
    "null": "null",
    "true as text": "true",
}


def spelled(words):
    """A closed list's words, each nearly."""
    stated = [word for word in words if word]
    return {
        f"{how} {word}": text
        for word in stated[:3]
        for how, text in (
            ("capitals", word.upper()),
            ("cut", word[:-1]),
            ("blank behind", f"{word} "),
            ("line behind", f"{word}\n"),
            ("two", f"{word},{word}"),
        )
    }


def wrong_by_type(hint):
    """By name, values that no option of a type can mean. What one of its types takes is none of them."""
    found: dict[str, Any] = {}
    for arm in arms(hint):
        found |= _wrong_of(arm)
    return found


def _wrong_of(kind):
    if is_table(kind):
        return {
            **OTHERS,
            **{name: TEXTS[name] for name in ("empty", "blank", "to do", "star", "none", "NUL", "100 kB", "secret")},
        }
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        alone = {
            **OTHERS,
            **{name: TEXTS[name] for name in ("empty", "blank", "to do", "star", "none", "NUL", "100 kB", "secret")},
        }
        alone.pop("list")
        return {**alone, **{f"[{name}]": [value] for name, value in wrong_by_type(inner).items()}}
    if get_origin(kind) is Literal:
        return {**OTHERS, **WORDS, **spelled(get_args(kind))}
    if issubclass(kind, enum.Enum):
        return {**OTHERS, **WORDS, **spelled([each.value for each in kind])}
    others = {name: value for name, value in OTHERS.items() if type(value) is not kind or name == "huge"}
    return {**others, **{int: WHOLES, float: PARTS, bool: SWITCHES, date: DAYS, str: TEXTS}[kind]}


def bounds(hint):
    """The numbers next to those that an option takes. It has to have bounds."""
    meta = next((each for each in get_args(hint)[1:] if isinstance(each, msgspec.Meta)), None)
    if meta is None or meta.ge is None or meta.le is None:
        return None
    return {"below the least": meta.ge - 1, "above the most": meta.le + 1}


# What people write where a contract is still to come. Words alone are none, nor is a number beside a word that says so.
NO_CONTRACTS = """to be determined; to do; TODO: legal; todo - ask legal; TBD 2026; ask legal; no contract; not yet; none yet;
in progress; in negotiation; see legal; contract pending; pending signature; insert contract here; <insert contract>;
your contract; lorem ipsum; foo; bar; foobar; asdf; abc; 00; 0000; 1970; xx; XXXX; xxxxxx; kein; ninguno; aucun; keiner;
n.a.; n.a; N / A; N/A/; n-a; n.v.t.; does not exist; None (yet); TODO TODO; T O D O; т; TODOа; ＴＯＤＯ; Ｎ/Ａ; nоne;
ΤODO; temp; tmp; dummy; sample; default; empty; blank; unsigned; not signed; void; expired; -1; n0ne; None.; none, none;
false false; contract-; our contract; the contract; http://x; data:x; fake; wip; draft v1; 1; t0do 7; TODO1; TBD2026;
no contract in 2026; XXXX 2026; N / A 2026; to be signed 2026; C-0; １; 2026; 12345; 1111; xxx-1; example 1; ｎｏｔ 2026;
not signed 2026; http://example.com/1"""
TELLS_NO_PLACE = (*shared_caches.HEARD, "User-Agent", "Accept", "accept-language", "Sec-Fetch-Mode", "Host", "Referer")

# --- the table --------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """Of one option: `right` values, which are taken; `wrong` ones of its own; `harmless`: why a value that is taken
    opens nothing; `beside`: what else the file has to say for the right ones.
    """

    right: tuple[Any, ...]
    wrong: Mapping[str, Any] = {}
    harmless: Mapping[str, str] = {}
    beside: tuple[tuple[tuple[str, ...], Any], ...] = ()


def why(reason, *cells):
    return dict.fromkeys(cells, reason)


FOLDER = Path(tempfile.mkdtemp(prefix="options-"))
MAKER = os.getpid()  # workers are forked from it, and the first of them to end leaves the folder to the others


@atexit.register
def _tidy_up():
    if os.getpid() == MAKER:
        shutil.rmtree(FOLDER, ignore_errors=True)


def file_of(name, content):
    path = FOLDER / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def outline(place="US-MT", ring=((0, 0), (0, 9), (9, 9)), kind="Polygon"):
    feature = {"properties": {"place": place}, "geometry": {"type": kind, "coordinates": [list(map(list, ring))]}}
    return json.dumps({"features": [feature]})


SOMETHING = file_of("something.txt", "something")
NO_FILE = {
    "not there": "/nowhere/file",
    "folder not there": "/nowhere/",
    "a folder": str(FOLDER),
    "a device": "/dev/full",
    "NUL in it": "/etc/\0",
}
NO_TEXT = {"binary": file_of("binary", b"\xff\xfe\x00"), "nothing in it": file_of("nothing", "")}
NO_JSON = {
    **NO_TEXT,
    "no JSON": file_of("no.json", "{"),
    "a number": file_of("number.json", "7"),
    "a list": file_of("list.json", "[]"),
    "an object": file_of("object.json", "{}"),
    "deep": file_of("deep.json", "[" * 100_000),
}
NO_PLACES = {
    "no feature": file_of("none.json", '{"features": []}'),
    "features of text": file_of("text.json", '{"features": ["a"]}'),
    "a feature without place": file_of("noplace.json", outline(None)),
    "corners of text": file_of("corners.json", outline(ring=("ab", "cd", "ef"))),
    "two corners": file_of("two.json", outline(ring=((0, 0), (1, 1)))),
    "beyond the pole": file_of("pole.json", outline(ring=((0, 0), (0, 99), (9, 9)))),
    "corners nan": file_of("nan.json", outline(ring=((0, 0), (0, math.nan), (9, 9)))),
    "a line": file_of("line.json", outline(kind="LineString")),
}
CERTAIN = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
NO_KEYS = {
    **NO_JSON,
    "keys of text": file_of("keys.json", '{"keys": ["a"]}'),
    "a key of none": file_of("kty.json", '{"keys": [{"kty": "x"}]}'),
    "a private key": file_of(
        "private.json", CERTAIN.replace('"x"', '"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x"')
    ),
}
WITNESS = Cosigner("witness.example.com", bytes(32), lambda: 0).vkey
RECIPIENT = {"role": "third_party", "purposes": ["sale"], "data": ["ad_id", "ip"]}

ADDRESS = {**HOSTS, **URLS}
LISTENING = {
    "port beyond": "127.0.0.1:65536",
    "no port": "127.0.0.1",
    "port of letters": "127.0.0.1:x",
    "every host": "*:8080",
    "IPv6": "::1:8080",
    "address alone": ":",
    "minus": "127.0.0.1:-1",
    "a scheme": "http://127.0.0.1:8080",
}
PATHS = {
    "no slash": "ads/",
    "root": "/",
    "double": "//ads/",
    "up": "/ads/../x",
    "query": "/ads?x",
    "percent": "/%61ds/",
    "blank in it": "/a b",
    "wild": "/ads/*",
}
ON_SITE = {
    "two slashes": "//evil.example/x",
    "up": "/../x",
    "line in it": "/a\nb",
    "blank in it": "/a b",
    "relative": "privacy",
    **URLS,
}
PLACEHOLDERS = {
    "t.b.d.": "TBD.",
    "dash": "-",
    "long dash": "\u2014",
    "brackets": "<contract>",
    "braces": "{{contract}}",
    "x": "XXX",
    "one letter": "x",
    "question": "???",
    "null": "null",
    "n/a": "n/a",
    "0": "0",
    "false": "false",
    "draft": "[DRAFT]",
}
COUNTRIES = {
    "lower": "us",
    "alpha 3": "USA",
    "user's": "ZZ",
    "a region": "US-CA",
    "a name": "Germany",
    "two": "US,CA",
    "EU": "EU",
}
PLACES = {
    **{name: value for name, value in COUNTRIES.items() if name not in {"a region", "EU"}},
    "no state": "US-XX",
    "lower state": "US-ca",
    "underscore": "US_CA",
    "trailing": "US-",
}
EMPTY = "it is what is shipped, and switches the thing off"
DEFAULT = why(EMPTY, "empty")
SHIPPED_TABLE = why("an empty table says nothing: what is shipped holds", "no table")
SHIPPED_LIST = why("nobody and nothing is named", "no list")
SHOWN = (
    "semicolon",
    "quote",
    "tag",
    "outside",
    "file:",
    "javascript:",
    "credentials",
    "http",
    "underscore",
    "trailing dot",
    "wild card",
    "port 0",
    "no ASCII",
    "secret",
)
FREE = why("a text for people: it is shown escaped, and nothing is decided by it", *SHOWN)
LETTER = FREE | why("it may have several lines", "two lines", "line's end", "blank behind")
ITEMS = why("a text for people, in exported records", *(f"[{name}]" for name in SHOWN))
NOBODY_SENDS = "a name that nobody brings: nothing is opened by it"
AGENT = {
    "name": "Permissions",
    "business_id": "EXAMPLE_CO",
    "verify_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "contact": "it@agent.example.com",
}
OF_AGENTS = ((("site", "url"), "https://www.example.com"),)
SIGNED = why(
    "it signs in at that very host, as such receivers ask for; no document, log or refusal repeats it", "credentials"
)
SECTION = Row(({},), harmless=SHIPPED_TABLE)
SWITCH = Row((True, False))
NONE_OR_URL = Row(("", "https://vendor.example.com:8443/x?y=1", "http://127.0.0.1:9/x"), ADDRESS, DEFAULT | SIGNED)

LAW_ROW = '[[row]]\nplace = "US-WY"\nsubjects = ["sale"]\nrule = "opt_in"\nfrom = 2027-01-01\ncitation = "x"\n'
TOKEN_FILE = file_of("token", "abc\n")
FORWARDED = (
    (("recipients", "lab", "mode"), "forward"),
    (("recipients", "lab", "endpoint"), "https://feed.example.com/rows"),
)
IN_SANDBOX = (
    (("environment", "name"), "staging"),
    (("recipients", "lab", "mode"), "forward"),
    (("recipients", "lab", "sandbox_endpoint"), "https://sandbox.example.com/rows"),
)
NO_HEADER = {
    "capitals": "SAME",
    "two": "A, B",
    "colon": "CF-IPCountry:",
    "header": "A\r\nX: y",
    "underscore in it": "CF_IPCountry",
    "digit first": "1A",
    **{f"no place: {each}": each for each in TELLS_NO_PLACE},
}
ITS_OWN = DEFAULT | why(
    "any header may be the place's: the operator's proxy or cache knows it, and nobody else", "secret"
)
DRAWN = "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0h9v9z'/></svg>"
CALLED = FREE | why("how pages call it, shown escaped", "to do", "none", "change me", "star")
WORDED = {"en": "customer number", "es": "número de cliente", "fr": "numéro de client"}
WORD = Row((WORDED,), {"one language": {"en": "a"}, "another too": {**WORDED, "de": "a"}})
BRAND = {
    "name": Row(("", "the site", "Example", "Zoë & Söhne"), {}, CALLED | DEFAULT),
    "logo": Row(
        ("", file_of("logo.svg", DRAWN), file_of("logo", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1")),
        {
            **NO_FILE,
            **NO_TEXT,
            "a script": file_of("script.svg", DRAWN.replace("<path", "<script>1</script><path")),
            "large": file_of("large.svg", DRAWN + " " * 2**18),
        },
        DEFAULT,
    ),
    "contact": Row(("", "privacy@example.com", "/contact", "https://www.example.com/contact"), ON_SITE, DEFAULT),
    "policy_url": Row(("", "/privacy-policy", "https://www.example.com/p?x=1"), ON_SITE, DEFAULT),
    "notices.<name>": Row(("US-CA", "DE", "US"), PLACES),
    "notices.*": Row(("/notice", "https://www.example.com/notice"), ON_SITE),
    "old_title": Row(("", "Do Not Sell Opt-In"), {}, CALLED | DEFAULT),
    "footer": Row(("", "One\nTwo", WORDED), PLACEHOLDERS, LETTER | DEFAULT),
    **{f"footer.{language}": Row(("One\nTwo",), PLACEHOLDERS, LETTER | DEFAULT) for language in WORDED},
    "has": Row(([], ["account", "app"]), {"cars": ["cars"], "twice": ["app", "app"]}, SHIPPED_LIST),
    **dict.fromkeys(("account", "phone", "app"), WORD),
    **{
        f"{thing}.{language}": Row(("a name",), {}, CALLED)
        for thing in ("account", "phone", "app")
        for language in WORDED
    },
    "accent": Row(("", "#0b57a4", "#0B57A4"), {"pale": "#ffcc00", "by name": "red", "three": "#00f"}, DEFAULT),
    "accent_dark": Row(("", "#8ab4f8"), {"dark": "#0b57a4", "by name": "red", "three": "#fff"}, DEFAULT),
}

ROWS: dict[str, Row] = {name: SECTION for name, option in OPTIONS.items() if len(option.path) == 1}
ROWS |= {name: SWITCH for name, option in OPTIONS.items() if option.hint is bool}


def credential_rows(option, beside):
    """What is true of the credential, and of the one for the sandbox."""
    return {
        f"recipients.*.{option}": Row(({},), harmless=SHIPPED_TABLE),
        f"recipients.*.{option}.bearer_file": Row(("", TOKEN_FILE), NO_FILE | NO_TEXT, DEFAULT, beside),
        f"recipients.*.{option}.header": Row(
            ("X-Api-Key", "Authorization"),
            {
                "two": "A, B",
                "colon": "X-Api-Key:",
                "a length": "Content-Length",
                "a host": "Host",
                "signed": "webhook-id",
                "underscore in it": "X_Key",
                "its file alone": "",
            },
            why("a header of the recipient's own may have any name", "secret"),
            (*beside, (("recipients", "lab", option, "header_file"), TOKEN_FILE)),
        ),
        f"recipients.*.{option}.header_file": Row(
            (TOKEN_FILE,),
            NO_FILE | NO_TEXT,
            beside=(*beside, (("recipients", "lab", option, "header"), "X-Api-Key")),
        ),
        f"recipients.*.{option}.certificate_file": Row(("",), NO_FILE | NO_TEXT, DEFAULT, beside),
        f"recipients.*.{option}.authority_file": Row(("",), NO_FILE | NO_TEXT, DEFAULT, beside),
        f"recipients.*.{option}.signature_file": Row(
            ("", file_of("signing", "whsec_" + "QUJD" * 10)), NO_FILE | NO_TEXT, DEFAULT, beside
        ),
    }


ROWS |= {
    "environment.name": Row(
        ("production", "staging", "test", "dev"),
        {
            "misspelt": "producton",
            "misspelt too": "prodction",
            "short": "prod",
            "live": "live",
            "capitals": "Production",
            "end": "productions",
        },
        why("not production: nothing goes to anybody real, and new keys say so (I24)", "none", "change me", "secret"),
    ),
    "listen.public": Row(("127.0.0.1:0", "0.0.0.0:8080", ":8080", "localhost:1", "gateway:8080"), LISTENING),
    "listen.internal": Row(("127.0.0.1:8081",), LISTENING),
    "listen.metrics": Row(("127.0.0.1:8082",), LISTENING),
    "listen.desk": Row(("", "127.0.0.1:8083"), LISTENING, DEFAULT, ((("desk", "url"), "https://desk.example.com"),)),
    "listen.keep_alive": Row((1, 75, 3600)),
    "listen.trusted_proxies": Row(
        (["127.0.0.1", "::1"], ["10.0.0.0/8"], ["fd00::/8"], ["2001:db8::/32"]),
        {**{name: [value] for name, value in NETWORKS.items()}, "every": ["*"], "twice": ["10.0.0.1", "10.0.0.1"]},
        SHIPPED_LIST,
    ),
    **{f"{table}.{option}": row for table in ("site", "sites.*") for option, row in BRAND.items()},
    "sites.<name>": Row(
        ("books", "Shop-2"), {}, why("by what the file calls it", "to do", "none", "change me", "secret")
    ),
    "sites.*": Row((), {"no host": {"hosts": [], "name": "Books"}, "no name": {"hosts": ["www.example.com"]}}),
    "sites.*.name": BRAND["name"]._replace(right=("Blue Door Books",), harmless=CALLED),
    "sites.*.hosts": Row(
        (["www.example.com"], ["a.example", "b.example"]),
        {**{name: [value] for name, value in ADDRESS.items()}, "twice": ["a.example", "a.example"]},
    ),
    "site.url": Row(
        (
            "",
            "https://www.example.com",
            "https://www.example.com:8443",
            "http://127.0.0.1:8080",
            "https://127.0.0.1:8080",
        ),
        {
            **ADDRESS,
            "a path": "https://www.example.com/",
            "capitals in it": "https://WWW.example.com",
            "one name": "https://changeme",
        },
        DEFAULT,
    ),
    "site.hsts": Row(
        ("", "max-age=0", "max-age=31536000; includeSubDomains; preload"),
        {
            "no number": "max-age=",
            "huge": "max-age=99999999999",
            "order": "includeSubDomains; max-age=1",
            "header": "max-age=1\r\nX: y",
            "comma": "max-age=1, x",
        },
        DEFAULT,
    ),
    "site.policy_file": Row(("", SOMETHING), NO_FILE, DEFAULT),
    "site.origins": Row(
        ([], ["https://www.example.com", "http://localhost:8080"]),
        {
            **{name: [value] for name, value in ADDRESS.items()},
            "a path": ["https://www.example.com/"],
            "null": ["null"],
            "every": ["*"],
            "twice": ["https://www.example.com", "https://www.example.com"],
        },
        SHIPPED_LIST,
    ),
    "site.ad_paths": Row(([], ["/ads/", "/pixel.gif"]), {name: [value] for name, value in PATHS.items()}, SHIPPED_LIST),
    "site.service_workers": Row(
        ([], ["/sw.js", "/push/worker.js"]), {name: [value] for name, value in PATHS.items()}, SHIPPED_LIST
    ),
    "site.place_in_key": Row(("", "same", "CF-IPCountry"), NO_HEADER, ITS_OWN),
    "site.mode": Row(("link", "frictionless"), {"no_link, as it stands": "no_link"}),
    "controller.name": Row(("", "Example Phone, Inc."), PLACEHOLDERS, FREE | DEFAULT),
    "controller.address": Row(("", "1 Main Street\nAnytown"), PLACEHOLDERS, LETTER | DEFAULT),
    "controller.contact": Row(("", "Privacy office"), PLACEHOLDERS, FREE | DEFAULT),
    "controller.email": Row(
        ("", "privacy@example.com"),
        {
            "a name": "Privacy <p@example.com>",
            "two": "a@example.com,b@example.com",
            "no domain": "a@",
            "no name": "@example.com",
            "one name": "a@example",
            "header": "a@example.com\r\nBcc: b@example.com",
        },
        DEFAULT,
    ),
    "controller.phone": Row(("", "+1 415 555 0100"), PLACEHOLDERS, FREE | DEFAULT),
    "controller.url": Row(("", "https://www.example.com/about"), ADDRESS, DEFAULT),
    "controller.jurisdiction": Row(("", "US-CA"), PLACES, DEFAULT),
    "controller.storage_locations": Row(
        ([], ["US", "Frankfurt"]), {name: [value] for name, value in PLACEHOLDERS.items()}, ITEMS | SHIPPED_LIST
    ),
    "controller.retention": Row(("", "Three years.\nThen nothing."), PLACEHOLDERS, LETTER | DEFAULT),
    "controller.withdrawal": Row(("", "On the choices page."), PLACEHOLDERS, LETTER | DEFAULT),
    "gpc.last_update": Row(
        (date(2026, 11, 24), "2026-11-24"),
        {"next year": date(2027, 11, 27)},
        why(
            "a day that a file tells, by which nothing is decided; a clock that is behind may not keep the gateway away",
            "next year",
        ),
    ),
    "browser.remember_gpc": Row(("id", "flag", "off"), {"none": "none", "cookie": "cookie"}),
    "browser.site_ids": Row(
        ([], ["_ga", "uid"]),
        {"ours": ["__Host-gateway-code"], "pair": ["_ga=1"], "two": ["a,b"], "blank in it": ["a b"]},
        SHIPPED_LIST | why(NOBODY_SENDS, "[secret]"),
    ),
    "apps.sdks": Row(
        ([], ["teemo", "flurry"]),
        {"nobody": ["nobody"], "capitals": ["Teemo"], "twice": ["teemo", "teemo"]},
        why(EMPTY, "no list"),
    ),
    "apps.assertion_keys": Row(
        (file_of("jwks.json", CERTAIN),), NO_FILE | NO_KEYS, {}, ((("apps", "assertion_audience"), "gateway"),)
    ),
    "apps.assertion_audience": Row(
        ("gateway",),
        PLACEHOLDERS,
        why("the backend has to write the same, or nobody is believed", *SHOWN),
        ((("apps", "assertion_keys"), file_of("jwks.json", CERTAIN)),),
    ),
    "apps.attestation": Row(
        (file_of("jwks.json", CERTAIN),),
        NO_FILE | NO_KEYS,
        DEFAULT,
        ((("apps", "assertion_keys"), file_of("jwks.json", CERTAIN)), (("apps", "assertion_audience"), "gateway")),
    ),
    "apps.strict_alarm": Row((0.01, 0.5, 1, 1.0)),
    "mail.server": Row(
        ("", "mail.example.com", "127.0.0.1", "localhost", "smtp"),
        {**{name: value for name, value in HOSTS.items() if name != "one name"}, "a scheme": "smtp://mail.example.com"},
        DEFAULT | why("a server that is not there: no code goes by mail", "secret"),
        ((("mail", "from_address"), "p@example.com"),),
    ),
    "mail.port": Row((25, 587)),
    "mail.security": Row(
        ("starttls", "tls"),
        {"ssl": "ssl", "none for a server elsewhere": "none"},
        {},
        ((("mail", "server"), "mail.example.com"), (("mail", "from_address"), "p@example.com")),
    ),
    "mail.username": Row(("gateway",), PLACEHOLDERS, FREE, ((("mail", "password_file"), SOMETHING),)),
    "mail.password_file": Row(
        (SOMETHING,), NO_FILE | {"nothing in it": NO_TEXT["nothing in it"]}, {}, ((("mail", "username"), "gateway"),)
    ),
    "mail.from_address": Row(
        ("", "privacy@example.com"),
        {"a name": "Privacy <p@example.com>", "header": "a@example.com\r\nBcc: b@c.example"},
        DEFAULT,
    ),
    "texts.endpoint": NONE_OR_URL,
    "texts.prices.<name>": Row(("US", "DE"), COUNTRIES),
    "texts.prices.*": Row((0, 1, 100)),
    "texts.cost_a_day": Row((0, 2000)),
    "codes.an_hour": Row((1, 1000)),
    "phone.country": Row(("US", "DE"), COUNTRIES),
    "phone.countries": Row(
        ([], ["DE", "GB"]),
        {**{name: [value] for name, value in COUNTRIES.items()}, "twice": ["DE", "DE"]},
        SHIPPED_LIST,
    ),
    "age.floor": Row((0, 13, 16, 18)),
    "signals.gpp_sections": Row(("both", "state", "national")),
    "signals.record_gpc": Row(("all", "known"), {"none": "none", "off": "off"}),
    "notice.told_everyone": Row(
        (date(2024, 6, 25), date(2026, 11, 28)),
        {"the day after tomorrow": date(2026, 11, 29), "next year": date(2027, 6, 25)},
    ),
    "notice.wait_days": Row((0, 3, 365)),
    "notice.gaps": Row(
        ([], [{"from": date(2025, 3, 1), "until": date(2025, 4, 9)}]),
        {
            "backwards": [{"from": date(2025, 3, 2), "until": date(2025, 3, 1)}],
            "no end": [{"from": date(2025, 3, 1)}],
            "start": [{"start": date(2025, 3, 1)}],
            "twice": [{"from": date(2025, 3, 1), "until": date(2025, 4, 9)}] * 2,
        },
        SHIPPED_LIST,
    ),
    "notice.gaps.*.from": Row((date(2026, 1, 2),), {"after its end": date(2026, 1, 4)}),
    "notice.gaps.*.until": Row((date(2026, 1, 3), date(2030, 1, 1)), {"before its beginning": date(2026, 1, 1)}),
    "notice.gaps.*.surface": Row(("", "web", "app"), {"both": "both", "tv": "tv"}),
    "aggregate.least": Row((2, 10)),
    "store.url": Row(
        ("", "postgresql://gateway@db.example.com/consent", "postgresql://a,b/consent?target_session_attrs=read-write"),
        {
            "a password": "postgresql://gateway:secret@db.example.com/consent",
            "a password behind it": "postgresql://db.example.com/consent?password=secret",
            "another engine": "mysql://db.example.com/consent",
        },
        DEFAULT,
    ),
    "store.owner": Row(
        ("", "postgresql://gateway_owner@db.example.com/consent"),
        {
            "a password": "postgresql://gateway_owner:secret@db.example.com/consent",
            "a password behind it": "postgresql://db.example.com/consent?password=secret",
            "another engine": "mysql://db.example.com/consent",
        },
        DEFAULT,
    ),
    "ledger.checkpoint_store": Row(
        ("", "/srv/checkpoints"), {"relative": "checkpoints", "dots in it": "/srv/../x", "home": "~/x"}, DEFAULT
    ),
    "ledger.emergency_mib": Row((1, 64)),
    "ledger.witness_seconds": Row((1, 60)),
    "ledger.clock_was_ahead_until": Row((date(2000, 1, 1), date(2027, 9, 27))),
    "replicas.term_ms": Row((100, 2000)),
    "replicas.spool_mib": Row((1, 64)),
    "replicas.hand_over_seconds": Row((1, 60)),
    "shadow.until": Row(
        (date(2026, 1, 2), date(2026, 11, 26), date(2027, 2, 25), "2026-12-31"),
        {"the day after 90 days": date(2027, 2, 26), "for ever": date(9999, 12, 31), "never": "never"},
        beside=((("site", "enforce"), True),),
    ),
    "retention.bodies_months": Row((24, 36)),
    "retention.details_months": Row((24, 36)),
    "retention.keys_backup_days": Row((1, 7)),
    "witnesses.<name>": Row(
        ("auditor", "w"), {}, why("by what the command line calls it", "to do", "none", "change me", "secret")
    ),
    "witnesses.*": Row((), {"no key": {"url": "https://w.example.org"}, "no url": {"key": WITNESS}}),
    "witnesses.*.url": Row(("https://w.example.org",), ADDRESS, SIGNED),
    "systems.<name>": Row(("warehouse", "w"), {}, why("by what it is called", "to do", "none", "change me", "secret")),
    "systems.*": Row((), {"nobody could be named": {"endpoint": "https://w.example.org"}}),
    "systems.*.identifiers": Row(
        (["email"], ["email_sha256", "account"]), {"no kind": ["mail"], "undeclared": ["id:x"]}
    ),
    "systems.*.endpoint": NONE_OR_URL,
    "systems.*.suppressions": Row((True, False)),
    "agents.<name>": Row(
        ("PERMISSIONS", "p"), {}, why("by what it calls itself", "to do", "none", "change me", "secret"), OF_AGENTS
    ),
    "agents.*": Row((), {"no key": {name: AGENT[name] for name in AGENT if name != "verify_key"}}, {}, OF_AGENTS),
    "agents.*.name": Row(("Permissions",), {}, FREE, OF_AGENTS),
    "agents.*.business_id": Row(
        ("EXAMPLE_CO",), {}, why("by what the agent calls us", "to do", "none", "change me", "secret"), OF_AGENTS
    ),
    "agents.*.verify_key": Row(
        (AGENT["verify_key"], "d7" * 32),
        {
            "cut": AGENT["verify_key"][:-5],
            "odd hex": "d7" * 31,
            "zeros, under which anybody signs": "00" * 32,
            "of order one": "01" + "00" * 31,
            "of order one, its sign set": "01" + "00" * 30 + "80",
            "of order two, unreduced": "ec" + "ff" * 30 + "7f",
            "of order eight": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        },
        {},
        OF_AGENTS,
    ),
    "agents.*.contact": Row(("", "it@agent.example.com"), {}, DEFAULT, OF_AGENTS),
    "agents.*.callback": NONE_OR_URL._replace(beside=OF_AGENTS),
    "witnesses.*.key": Row(
        (WITNESS,),
        {"cut": WITNESS[:-9], "no name": WITNESS.partition("+")[2], "another id": WITNESS.replace("+", "+f", 1)},
    ),
    "consent_tools.<name>": Row(("klaro",), {"misspelt": "klara", "capitals": "Klaro"}),
    "consent_tools.*.<name>": Row(
        ("adtracker", "Google Ads"),
        {},
        why(
            "a name that no tool's cookie has says nothing, and one that it has can only deny",
            *SHOWN,
            "to do",
            "none",
            "change me",
            "star",
        ),
    ),
    "consent_tools.*.*": Row(("ads", "sale"), {"none": "none", "sharing": "sharing", "all": "all"}),
    "ad_choices.participant": Row((0, 7, 4095)),
    "ad_choices.purposes": Row(
        (["targeted_ads", "sharing"], ["sale", "sharing", "targeted_ads"]),
        {
            "one": ["targeted_ads"],
            "another": ["targeted_ads", "sharing", "profiling"],
            "twice": ["sharing", "targeted_ads", "sharing"],
        },
    ),
    "ad_choices.redirect_hosts": Row(
        ([], ["optout.aboutads.info"]), {name: [value] for name, value in ADDRESS.items()}, SHIPPED_LIST
    ),
    "ad_choices.referers": Row(
        ([], ["optout.aboutads.info"]), {name: [value] for name, value in ADDRESS.items()}, SHIPPED_LIST
    ),
    "ad_choices.cookie": Row(
        ("ad_choices_optout", "opt-out"),
        {"another": "choice", "pair": "a=optout", "begins so": "optout_x", "blank in it": "a optout"},
    ),
    "ad_choices.cookie_domain": Row(
        ("", "ads.example.com"), {**ADDRESS, "with a dot": ".example.com", "an address": "192.0.2.1"}, DEFAULT
    ),
    "ad_choices.iba_cookies": Row(
        ([], ["_ads"]),
        {"ours": ["__Host-gateway-proof"], "pair": ["a=1"], "two": ["a;b"], "blank in it": ["a b"]},
        SHIPPED_LIST | why(NOBODY_SENDS, "[secret]"),
    ),
    **credential_rows("credential", FORWARDED),
    **credential_rows("sandbox_credential", IN_SANDBOX),
    "law.tables": Row(
        ([], [file_of("wyoming.toml", LAW_ROW)]),
        {
            **{name: [value] for name, value in NO_FILE.items()},
            "a file twice": [file_of("wyoming.toml", LAW_ROW)] * 2,
        },
        SHIPPED_LIST,
    ),
    "places.header": Row(
        ("", "X-Place", "X-Client-Geo-Location"),
        {**NO_HEADER, "same": "same", "a country alone": "CF-IPCountry", "a region": "CF-Region-Code"},
        ITS_OWN,
    ),
    "places.region_header": Row(
        ("", "CF-Region-Code"),
        {**NO_HEADER, "same": "same", "the country's": "x-place"},
        ITS_OWN,
        ((("places", "header"), "X-Place"),),
    ),
    "places.database": Row(("",), NO_FILE | NO_JSON, DEFAULT),
    "places.boundaries": Row(
        ("", file_of("montana.json", outline())),
        NO_FILE
        | NO_JSON
        | NO_PLACES
        | {
            "Oregon, but small": file_of("oregon.json", outline("US-OR")),
            "a place by its name": file_of("name.json", outline("Oregon")),
        },
        DEFAULT,
    ),
    "places.sensitive": Row(
        ("", file_of("clinics.csv", "lat,lon,radius_m\n45.5,-122.6,50\n"), file_of("area.json", outline())),
        {
            **NO_FILE,
            **NO_JSON,
            **{name: value for name, value in NO_PLACES.items() if name != "a feature without place"},
            "without a radius": file_of("noradius.csv", "lat,lon\n45.5,-122.6\n"),
            "no line": file_of("noline.csv", "lat,lon,radius_m\n"),
            "a radius of 0": file_of("zero.csv", "lat,lon,radius_m\n45.5,-122.6,0\n"),
            "a radius nan": file_of("nanradius.csv", "lat,lon,radius_m\n45.5,-122.6,nan\n"),
            "beyond": file_of("beyond.csv", "lat,lon,radius_m\n145.5,-122.6,50\n"),
        },
        DEFAULT,
    ),
    "places.sensitive_margin_m": Row((0, 50)),
    "identifiers.declared": Row(
        ([], ["loyalty", "crm"]),
        {"a prefix": ["id:loyalty"], "two": ["a,b"], "dot": ["a.b"], "twice": ["crm", "crm"]},
        SHIPPED_LIST | why("a kind that nobody sends", "[to do]", "[none]", "[change me]", "[secret]"),
    ),
    "keywords.vocabulary": Row(
        ([], ["running shoes"]),
        {"sensitive": ["prayer times"], "four words": ["a fine long walk"], "a number": ["iphone 15"]},
        SHIPPED_LIST
        | why(
            "one keyword, that has to be sent just so and tells of nobody",
            "[semicolon]",
            "[quote]",
            "[outside]",
            "[file:]",
            "[http]",
            "[underscore]",
            "[trailing dot]",
            "[wild card]",
            "[no ASCII]",
            "[to do]",
            "[none]",
            "[change me]",
            "[star]",
        ),
    ),
    "keywords.sensitive": Row(
        (["health"],),
        {"none at all": [], "twice": ["health", "health"]},
        dict.fromkeys(
            ITEMS,
            "a word more that never leaves; the only ones"
            " that leave are those of `vocabulary`, which an operator lists one by one",
        ),
    ),
    "share.send_window_ms": Row((1, 250, 2000)),
    "share.max_rows": Row((1, 10_000)),
    "share.max_mib": Row((1, 16)),
    "erasure.account_backend": NONE_OR_URL,
    "delivery.holidays": Row(("us_federal", "none"), {"us": "us", "federal": "federal"}),
    "delivery.more_holidays": Row(
        ([], [date(2026, 12, 24)]),
        {"every day of a month": [date(2027, 1, day) for day in range(1, 32)], "twice": [date(2026, 12, 24)] * 2},
        SHIPPED_LIST,
    ),
    "delivery.ddrf_domain": Row(
        ("", "example.com"), {**ADDRESS, "an address": "192.0.2.1", "a scheme": "https://example.com"}, DEFAULT
    ),
    "desk.url": Row(
        ("", "https://desk.example.com", "http://localhost:8083"),
        {**ADDRESS, "a path": "https://d.example.com/"},
        DEFAULT,
    ),
    "desk.idle_minutes": Row((1, 30, 720)),
    "desk.session_hours": Row((1, 10, 24)),
    "desk.own_days": Row((1, 5, 14)),
    "desk.oidc_issuer": NONE_OR_URL._replace(
        right=("https://login.example.com",),
        harmless={name: text for name, text in NONE_OR_URL.harmless.items() if name != "empty"},
        beside=((("desk", "oidc_client"), "privacy-desk"),),
    ),
    "desk.oidc_client": Row(
        ("privacy-desk",), PLACEHOLDERS, FREE, ((("desk", "oidc_issuer"), "https://l.example.com"),)
    ),
    "desk.oidc_secret_file": Row(("",), NO_FILE, DEFAULT),
    "desk.proxy_header": Row(
        ("X-Forwarded-Email",),
        {"two": "A, B", "colon": "X-Email:", "its proxies alone": ""},
        why("a proxy of the operator's own may call it anything", "secret"),
        ((("desk", "proxies"), ["10.1.0.5"]),),
    ),
    "desk.proxies": Row(
        (["10.1.0.5"], ["10.1.0.0/16"]),
        {**{name: [value] for name, value in NETWORKS.items()}, "every": ["*"], "none for the header": []},
        beside=((("desk", "proxy_header"), "X-Forwarded-Email"),),
    ),
    "delivery.networks": Row(
        ([], ["10.1.0.0/16", "127.0.0.1"]),
        {**{name: [value] for name, value in NETWORKS.items()}, "every": ["*"]},
        SHIPPED_LIST,
    ),
    "rehearsal.every_hours": Row((0, 24), {"more than the alarm": 40}),
    "rehearsal.alarm_after_hours": Row((25, 30), {"less than every": 24}),
    "rehearsal.pages": Row(
        ([], ["https://www.example.com/"]),
        {name: [value] for name, value in ADDRESS.items()},
        SHIPPED_LIST | why(SIGNED["credentials"], "[credentials]"),
    ),
    "recipients.<name>": Row(
        ("lab", "Lab-2"),
        {
            "two words": "a b",
            "umlaut": "läb",
            "dot": "lab.x",
            "65 letters": "a" * 65,
            "another's": "Teemo",
            "taken": "texts",
            "taken too": "account_backend",
        },
        why("its name, and no more: what goes there says its row", "to do", "none", "change me", "secret"),
    ),
    "recipients.*": Row(
        (), {"no role": {"purposes": ["sale"], "data": ["ip"]}, "no purposes": {"role": "legal", "data": ["ip"]}}
    ),
    "recipients.*.role": Row(
        ("third_party", "service_provider"), {"provider": "provider", "first_party": "first_party"}
    ),
    "recipients.*.purposes": Row(
        (["sale"], ["sale", "sharing"]),
        {"sell": ["sell"], "all": ["all"], "transfer to no successor": ["transfer"], "twice": ["sale", "sale"]},
    ),
    "recipients.*.data": Row((["ip"], ["ad_id", "precise_geo"]), {"everything": ["everything"], "twice": ["ip", "ip"]}),
    "recipients.*.company": Row(("", "Example Ads, Inc."), PLACEHOLDERS, FREE | DEFAULT),
    "recipients.*.address": Row(("", "1 Main Street\nAnytown"), PLACEHOLDERS, LETTER | DEFAULT),
    "recipients.*.contract": Row(
        (
            "",
            "MSA-7",
            "2026/113",
            "Vertrag 12",
            "c1",
            "Processing addendum of 3 March 2025",
            "https://contracts.example.com/42",
            "DPA 2025-03",
            "Annex to DPA 2025",
            "Contract No. 12",
            "NO-4711",
            "4600001234",
        ),
        {**PLACEHOLDERS, **{f"none: {each}": each for each in map(str.strip, NO_CONTRACTS.split(";"))}},
        why("without one nothing goes", "empty")
        | why("a reference: by what an operator finds a contract nobody else can know", "secret"),
    ),
    "recipients.*.contract_until": Row((date(2027, 12, 31),)),
    "recipients.*.unlinked": Row(("deny", "allow"), {"yes": "yes", "none": "none"}),
    "recipients.*.mode": Row(("return", "files"), {"forward to nowhere in particular": "forwards", "file": "file"}),
    "recipients.*.endpoint": Row(
        ("", "https://vendor.example.com:8443/x?y=1"),
        {**ADDRESS, "within": "https://10.0.0.1/x", "this machine": "http://127.0.0.1/"},
        DEFAULT | SIGNED,
        ((("recipients", "lab", "mode"), "forward"),),
    ),
    "recipients.*.sandbox_endpoint": NONE_OR_URL,
    "recipients.*.deliveries": NONE_OR_URL,
    "recipients.*.ddrf": Row(
        ("", "vendor.example", "http://127.0.0.1:9"),
        dict(ADDRESS.items()),
        DEFAULT,
        ((("delivery", "ddrf_domain"), "example.com"),),
    ),
    "recipients.*.digest": Row(("sha256", "md5"), {"sha512": "sha512", "none": "none"}),
    "recipients.*.hosts": Row(
        ([], ["pay.example", "pay.example:8443", "192.0.2.1"]),
        {
            **{name: [value] for name, value in {**HOSTS, **URLS}.items() if name != "host:port"},
            "self": ["'self'"],
            "inline": ["'unsafe-inline'"],
            "directive": ["a.example; script-src *"],
            "two in one": ["a.example b.example"],
            "port 0 behind": ["a.example:0"],
            "twice": ["a.example", "a.example"],
            "port beyond": ["a.example:65536"],
            "no port": ["a.example:"],
            "data": ["data:"],
            "https": ["https:"],
        },
        SHIPPED_LIST,
    ),
    "recipients.*.fields.<name>": Row(
        ("maid", "gps.lat"),
        {"row": "row", "consent": "consent", "blank in it": "a b", "digit first": "1a"},
        why(
            "a member of that name leaves as its class says, where a row has it", "to do", "none", "change me", "secret"
        ),
    ),
    "recipients.*.fields.*": Row(
        ("ip", {"class": "ad_id", "kind": "gaid"}),
        {
            "a class that it may not have": "precise_geo",
            "ids without a kind": "ad_id",
            "unknown kind": {"class": "ad_id", "kind": "email"},
        },
    ),
    "recipients.*.fields.*.class": Row(("ad_id",), {"another that it may not have": "email_hash", "none": "none"}),
    "recipients.*.fields.*.kind": Row(
        ("gaid", ["gaid", "idfa"]),
        {"undeclared": "id:loyalty", "of another class": "email", "capitals": "GAID", "no name": "id:"},
    ),
    "recipients.*.fields.*.values": Row(([],), {"beside a kind": ["Portland"]}, SHIPPED_LIST),
    "recipients.*.extensions": Row(
        ([], ["imp.ext.mybidder", "imp.ext.mybidder.placement", "ext.prebid"]),
        {
            "an open end": ["imp.ext"],
            "ext alone": ["ext"],
            "no ext": ["imp.mybidder"],
            "wild": ["imp.ext.*"],
            "dots": ["imp..ext.a"],
            "end": ["imp.ext.a."],
            "slashes": ["imp/ext/a"],
            "twice": ["ext.a", "ext.a"],
        },
        SHIPPED_LIST,
    ),
    "recipients.*.same_brand": Row((False,), {"of a third party": True}),
    "recipients.*.transfer_basis": Row(("", "scc", "within"), {"shield": "privacy_shield", "none": "none"}),
    "recipients.*.announced": Row((date(2024, 6, 25), date(2030, 1, 1)), {"before there were any": date(1989, 12, 31)}),
    "recipients.*.announced_later.<name>": Row(("sharing", "ip"), {"selling": "selling", "all": "all"}),
    "recipients.*.announced_later.*": Row((date(2026, 12, 1),)),
    "recipients.*.surface": Row(("", "web", "app"), {"both": "both", "tv": "tv"}),
    "recipients.*.tcf_vendor": Row((0, 755, 65_535)),
    "recipients.*.programme": Row(
        ("", "club"),
        PLACEHOLDERS,
        FREE | DEFAULT | why("a programme that nobody joined: it asks for more, never for less", *SHOWN),
    ),
    "recipients.*.max_age_days": Row((0, 30)),
    "recipients.*.upload": Row(
        ([], ["sftp-put", "--to", "teemo", "--to"]),
        {"empty first": ["", "a"]},
        SHIPPED_LIST
        | dict.fromkeys(
            (*ITEMS, "[to do]", "[none]", "[change me]", "[star]"),
            "an argument of the operator's own command, which no shell reads; where there is no such command nothing is sent, and the job says so",
        ),
    ),
    "recipients.*.valid_minutes": Row((1, 15, 1440)),
}

# --- what becomes of a value ------------------------------------------------------------------------------------------

NAMES = {
    "recipients": "lab",
    "witnesses": "auditor",
    "agents": "PERMISSIONS",
    "systems": "warehouse",
    "consent_tools": "klaro",
    "consent_tools.*": "adtracker",
    "site.notices": "US-CA",
    "sites": "books",
    "sites.*.notices": "US-CA",
    "texts.prices": "US",
    "recipients.*.fields": "maid",
    "recipients.*.announced_later": "sale",
}
ENTRIES = {
    "recipients": RECIPIENT,
    "witnesses": {"url": "https://w.example.org", "key": WITNESS},
    "agents": AGENT,
    "systems": {"identifiers": ["email"]},
    "consent_tools": {"adtracker": "ads"},
    "consent_tools.*": "ads",
    "site.notices": "/notice",
    "sites": {"hosts": ["www.example.com"], "name": "Books"},
    "sites.*.notices": "/notice",
    "texts.prices": 1,
    "recipients.*.fields": "ip",
    "recipients.*.announced_later": date(2026, 1, 2),
}
INSIDE = {
    "notice.gaps.*": {"from": date(2026, 1, 2), "until": date(2026, 1, 3)},
    "recipients.*.fields.*": {"class": "ad_id", "kind": "gaid"},
    **{f"{table}.{each}": WORDED for table in ("site", "sites.*") for each in ("account", "phone", "app", "footer")},
}


def concrete(path):
    return tuple(NAMES.get(".".join(path[:number]), "0") if step == ANY else step for number, step in enumerate(path))


def written(option, value, beside=()):
    """The lines of a file that says an option, as paths and values."""
    path, above = concrete(option.path), ".".join(option.path[:-1])
    if option.is_name:
        path, value = (*path[:-1], value), ENTRIES[above]
    elif above in INSIDE:
        whole = {**INSIDE[above], option.path[-1]: value}
        path, value = (path[:-2], [whole]) if path[-2] == "0" else (path[:-1], whole)
    said = {path: value}
    others = [*beside]
    for section, name in (
        ("recipients", "lab"),
        ("witnesses", "auditor"),
        ("agents", "PERMISSIONS"),
        ("systems", "warehouse"),
        ("sites", "books"),
    ):
        if path[0] == section and len(path) > 2:
            others += [((section, name, key), each) for key, each in ENTRIES[section].items()]
    return said | {each: stated for each, stated in others if each != path[: len(each)]}


def proved(settings):
    """What a start and `gateway config check` look at once the values have their shapes."""
    settings.refuse_on(TODAY)
    settings.registry()
    for reading in (
        from_settings.vocabulary,
        from_settings.hearing,
        from_settings.places_of,
        from_settings.prove_desk,
        from_settings.credentials_of,
        law_table,
        from_settings.witnesses_of,
        from_settings.password_file_of,
    ):
        reading(settings)
    in_force(settings)
    brands_of(settings)


# Two recipients beside what is tried, and one sensitive word: the rest of the example would be read thousands of times.
BASE = {
    "recipients": {name: example.STATED["recipients"][name] for name in ("teemo", "flurry")},
    "keywords": {"sensitive": ["prayer"]},
}


def as_file(lines):
    return "".join(f"{'.'.join(map(json.dumps, path))} = {toml(value)}\n" for path, value in lines.items())


KNOWN: dict[str, str] = {}


def known_refusal(lines):
    """Of a file alone, which both tables ask about: each is read once."""
    text = as_file(lines)
    if text not in KNOWN:
        KNOWN[text] = refusal(lines)
    return KNOWN[text]


def refusal(lines, environment=None):
    """Why a file and an environment are refused; empty where they are taken."""
    file = FOLDER / "mine.toml"
    file.write_text(as_file(lines))
    try:
        proved(example.settings(file, environment or {}, base=BASE))
    except SettingsRefused as refused:
        return str(refused)
    return ""


def cells(option):
    """By name, every wrong value of an option."""
    found = {**wrong_by_type(option.hint), **ROWS[str(option)].wrong}
    for edge, number in (bounds(option.hint) or {}).items():
        found[edge] = number
    return {
        name: value
        for name, value in found.items()
        if not option.is_name or (isinstance(value, str) and not isinstance(value, Raw))
    }


def test_every_option_has_its_row_and_each_row_its_option():
    assert set(ROWS) == set(OPTIONS)


@pytest.mark.parametrize("name", ROWS)
def test_whatever_cannot_be_meant_is_refused_with_its_place_and_a_cure_or_opens_nothing(name):
    option, row = OPTIONS[name], ROWS[name]
    tried = cells(option)
    assert len(tried) >= LEAST
    taken = {
        cell
        for cell, value in tried.items()
        if not is_told(option, known_refusal(written(option, value, row.beside)), value)
    }
    assert taken == set(row.harmless)


def is_told(option, why, value):
    """Whether a refusal says where, what, and what to write, and repeats nothing that may be a secret."""
    if not why:
        return False
    section = f"[{'.'.join(concrete(option.path)[: 2 if option.path[0] in NAMED and not option.is_name else 1])}"
    place, _, rest = why.removeprefix(f"{FOLDER}/mine.toml:").partition(": ")
    assert place.isdigit(), why
    if not rest.startswith("no TOML"):
        assert rest.startswith(section), why
        assert option.path[-1] in {*re.findall(r"\w+", rest), ANY, NAME} or isinstance(value, dict), why
    assert "; write " in why
    assert "\n" not in why
    assert SECRET not in why or option.is_name or name_of_word(option), why
    return True


def name_of_word(option):
    """A word of the vocabulary is told: there may be hundreds, and none is a secret."""
    return option.path == ("keywords", "vocabulary")


@pytest.mark.parametrize("name", ROWS)
def test_what_can_be_meant_is_taken(name):
    option, row = OPTIONS[name], ROWS[name]
    for value in row.right:
        assert refusal(written(option, value, row.beside)) == "", value


@pytest.mark.parametrize(
    "name", [name for name, option in OPTIONS.items() if not option.is_name and option.path[-1] != ANY]
)
def test_a_name_that_is_nearly_an_options_is_refused_by_its_place(name):
    option = OPTIONS[name]
    for nearly in (
        option.path[-1][:-1],
        option.path[-1].upper(),
        f"{option.path[-1]}s",
        option.path[-1].replace("_", "-") + "-x",
    ):
        other = option._replace(path=(*option.path[:-1], nearly))
        assert re.search(
            r"mine\.toml:\d+: \[.*(there is no such option|does not belong here|is missing).*; write ",
            refusal(written(other, 1)),
        )


HELD_TWICE = {  # by what their text is looked up in, too
    "apps.assertion_keys", "apps.attestation", "places.database", "witnesses.*.key", "recipients.*.fields.*.kind",
    "site.logo", "sites.*.logo",
}  # fmt: skip


@pytest.mark.slow
def test_a_shape_that_holds_nothing_back_is_noticed(monkeypatch):
    """The control: with texts of every shape taken, the table says so of each option that has one."""
    from gateway.settings.shapes import Shape

    monkeypatch.setattr(Shape, "wrong", lambda *_: "")
    texts = [
        name
        for name, option in OPTIONS.items()
        if str in {plain(each) for each in arms(option.hint)} and not option.is_name
    ]
    unnoticed = [name for name in texts if not loosened(OPTIONS[name], ROWS[name])]
    assert len(texts) > 40
    assert set(unnoticed) == HELD_TWICE


def loosened(option, row):
    """Whether a value is taken that is wrong."""
    for cell, value in cells(option).items():
        try:
            if cell not in row.harmless and not refusal(written(option, value, row.beside)):
                return True
        except Exception:
            return True
    return False


# --- by the environment -----------------------------------------------------------------------------------------------

SAID = [
    "",
    " ",
    "TODO",
    "*",
    SECRET,
    "nan",
    "inf",
    "1e400",
    str(10**30),
    "-1",
    "0x10",
    "None",
    "a;b",
    "a\nb",
    "2026-02-30",
    "yes please",
    "\u202e1",
    "a,b",
]
BY_VARIABLE = [
    name
    for name, option in OPTIONS.items()
    if NAME not in option.path
    and not is_table(option.hint)
    and ".fields.*." not in name
    and ".".join(option.path[:-1]) not in INSIDE  # tables are for the file
    and all(step.islower() and step.replace("_", "").isalpha() for step in concrete(option.path))
]


def by_variable(option):
    """What a variable may hold of what is wrong: it is a text, and a list's commas part it."""
    for cell, value in {**cells(option), **{f"said {text!r}": text for text in SAID}}.items():
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(text, str) and "\x00" not in text and not isinstance(text, Raw):
            yield cell, text


@pytest.mark.parametrize("name", BY_VARIABLE)
def test_a_variable_is_refused_by_its_name_where_the_file_would_be(name):
    option, row = OPTIONS[name], ROWS[name]
    variable = f"GATEWAY_{'__'.join(concrete(option.path)).upper()}"
    beside = {path: value for path, value in written(option, None, row.beside).items() if path != concrete(option.path)}
    for cell, text in by_variable(option):
        why = refusal(beside, {variable: text})
        file = known_refusal(written(option, meant(option, text), row.beside))
        assert bool(why) == bool(file), (cell, text[:40], why, file)
        if why:
            assert re.match(rf"{variable}: .+; write .+", why), why
            assert SECRET not in why or name_of_word(option)


def meant(option, text):
    """What a file would say for a variable's text."""
    kinds = {get_origin(arm) or arm for arm in arms(option.hint)}
    if tuple in kinds:
        return [item.strip() for item in text.split(",") if item.strip()]
    for kind, read in ((bool, {"true": True, "false": False, "1": True, "0": False}.get), (int, int), (float, float)):
        if kind in kinds:
            try:
                return (
                    read(text.lower())
                    if kind is bool and read(text.lower()) is not None
                    else text
                    if kind is bool
                    else read(text)
                )
            except ValueError:
                return text
    return text


# --- by the command ---------------------------------------------------------------------------------------------------

BY_COMMAND = [
    ("site.url", "https://*.example.com"),
    ("site.policy_file", "/nowhere/policy"),
    ("listen.trusted_proxies", ["0.0.0.0/0"]),
    ("gpc.last_update", Raw("2026-02-30")),
    ("aggregate.least", 10**30),
    ("apps.strict_alarm", Raw("nan")),
    ("places.sensitive", NO_TEXT["binary"]),
    ("witnesses.*.key", "TODO"),
    ("recipients.*.contract", "TBD"),
    ("recipients.*.hosts", ["*"]),
    ("recipients.<name>", "a\nb"),
    ("texts.endpoint", f"http://me:{SECRET}@texts.example.com/"),
]
BY_START = [
    ("listen.public", "127.0.0.1:65536"),
    ("notice.told_everyone", date(2199, 1, 1)),
    ("places.boundaries", NO_PLACES["corners of text"]),
    ("mail.password_file", "/dev/full"),
]


def prints(why, *command):
    """What a command says of a refused file, a service as a line of its log: that, and nothing else."""
    ran = subprocess.run([typed.program(), *map(str, command)], capture_output=True, text=True, timeout=120)
    said = ran.stdout + ran.stderr
    told = why in said or f'"error":{json.dumps(why)}' in said
    return ran.returncode == 3 and told and "Traceback" not in said and SECRET not in said


@pytest.mark.slow
def named(value: object) -> str:
    """The same in every process, each of which has a folder of its own."""
    return str(value).replace(str(FOLDER), "FOLDER")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [*BY_COMMAND, *BY_START], ids=named)
def test_the_command_that_checks_a_file_says_what_is_wrong_and_no_traceback(name, value):
    why = refusal(written(OPTIONS[name], value, ROWS[name].beside))
    assert why
    assert prints(why, "config", "check", FOLDER / "mine.toml")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), BY_START, ids=named)
def test_a_start_says_the_same_and_is_none(tmp_path, name, value):
    why = refusal(written(OPTIONS[name], value, ROWS[name].beside))
    inside.install(tmp_path / "data")
    assert prints(why, "serve", "--config", FOLDER / "mine.toml", "--data", tmp_path / "data")
