"""Universes of the oracle: a dozen named keys and what happens to them, made up by a seed in the words of
`support.acts`. Each act is chosen so that every pair of kinds comes one behind the other about equally often.

A universe is one of five: a family with a tablet and a number that passes on; one mailbox spelled in several ways; one
digest of three kinds of ids; a library's tablet with more accounts than a row keeps apart; and anything together.
"""

import random
from collections import Counter
from collections.abc import Container
from hashlib import sha256
from typing import Any

from gateway.choice.law import AGES
from support.people import GAID, email, gaid, named, phone

Act = dict[str, Any]
DIGEST = sha256(GAID.encode()).hexdigest()
FAMILY = {
    "ann": named("account", "ann"),
    "bob": named("account", "bob"),
    "phone": named("phone", phone(1)),
    "phone hashed": named("phone_sha256", sha256(phone(1)[1:].encode()).hexdigest()),
    "mail": named("email", email(1)),
    "dotted": named("email", "per.son1@example.com"),
    "browser": named("browser", "b" * 16),
    "tablet": named("gaid", gaid(7)),
    "app": named("device", "installation-one"),
    "second phone": named("phone", phone(2)),
}
MAILBOX = {
    "ann": named("account", "ann"),
    "bob": named("account", "bob"),
    "jane": named("email", "janedoe@gmail.com"),
    "jane dotted": named("email", "jane.doe@gmail.com"),
    "jane's twin": named("email", "j.anedoe+a@googlemail.com"),
    "jane hashed": named("email_sha256", sha256(b"jane.doe@gmail.com").hexdigest()),
    "elsewhere": named("email", "jane.doe@example.com"),
    "tablet": named("gaid", gaid(7)),
    "phone": named("phone", phone(1)),
    "browser": named("browser", "b" * 16),
}
UUID = {
    "ann": named("account", "ann"), "bob": named("account", "bob"), "gaid": named("gaid", GAID),
    "idfa": named("idfa", GAID), "oaid": named("oaid", GAID), "digest": named("ad_id_sha256", DIGEST),
    "app": named("device", "installation-one"), "other app": named("device", "installation-two"),
    "browser": named("browser", "b" * 16),
}  # fmt: skip
LIBRARY = {
    **{f"reader {number}": named("account", f"reader{number}") for number in range(18)},
    "tablet": named("gaid", gaid(7)), "phone": named("phone", phone(1)), "browser": named("browser", "b" * 16),
}  # fmt: skip
ANYTHING = {**FAMILY, **MAILBOX, **UUID, "cat": named("account", "cat")}
MOST = 12
SETS = (FAMILY, MAILBOX, UUID, ANYTHING, LIBRARY, ANYTHING)

PURPOSES = ("sale", "targeted_ads", "sensitive", "marketing_mail", "cpni_marketing", "sharing")
SOURCES = ("device", "tcf")
TOKENS = ("a", "b")
RECIPIENTS = ("teemo", "bank")
NUMBERS = {"phone", "email"}
DEVICES = {"browser", "device", "gaid", "idfa", "oaid", "ad_id_sha256"}
FEW_HOURS = (0.001, 0.001, 0.5, 2)  # the first is over after four acts
SKEWS = (20, -20, 3, 0)
LONG = 0.6  # of a life: before that no child is found, for it ends what may change
LATE = 3  # hours: with a clock that is 20 ahead less than the day that a link may go on behind its date
# Told by right clocks alone: of an unlink the rules make rows again as of the clock that told it, and what is over
# already by a clock that is behind it is not.
RIGHT_CLOCK = {"wait", "sweep", "clock", "unlink", "had"}


def universe_of(seed: int) -> dict[str, dict[str, str]]:
    """Whom a seed is about."""
    chosen = SETS[seed % len(SETS)]
    if len(chosen) <= MOST or chosen is LIBRARY:
        return dict(chosen)
    rng = random.Random(f"who {seed}")
    accounts = [name for name, said in chosen.items() if said["type"] == "account"]
    others = [name for name in chosen if name not in accounts]
    names = sorted(rng.sample(accounts, 2) + rng.sample(others, MOST - 2))
    return {name: chosen[name] for name in names}


class Maker:
    """Makes up the acts of one universe. `pairs`: how often each kind came behind each other one, in all of them."""

    def __init__(self, seed: int, pairs: Counter[tuple[str, str]], length: int, without: Container[str] = ()) -> None:
        self.kinds = [kind for kind in KINDS if kind not in without]
        self.rng = random.Random(seed)
        self.who = universe_of(seed)
        self.pairs, self.length = pairs, length
        self.before, self.made, self.hours, self.skew = "", 0, 0.0, 0
        self.steps = seed % 2 == 0  # whether clocks step
        of = {name: said["type"] for name, said in self.who.items()}
        self.accounts = [name for name, kind in of.items() if kind == "account"]
        self.things = [name for name, kind in of.items() if kind != "account"]
        self.devices = [name for name, kind in of.items() if kind in DEVICES]
        self.ids = [name for name, kind in of.items() if kind in DEVICES - {"browser", "device"}]
        self.numbers = [name for name, kind in of.items() if kind in NUMBERS]
        self.live: dict[tuple[str, str], tuple[str, float | None]] = {}  # whole or claimed, until
        self.ids_of: list[str] = []  # entries that may be voided
        self.asked: list[str] = []
        self.directed: list[tuple[str, str]] = []
        self.began: list[tuple[str, str, str | None]] = []
        self.words: list[tuple[str, str]] = []
        self.notice: Act | None = None  # of whom a notice was told last, and which
        self.dark = 0
        self.used_dark = False

    def next(self) -> Act:
        """The next act: of the kinds that can come now, the one that came least often behind the last."""
        late = [until for _, until in self.live.values() if until is not None and until < self.hours - LATE]
        kinds = (
            ["sweep"]
            if late
            else sorted(self.kinds, key=lambda kind: (self.pairs[self.before, kind], self.rng.random()))
        )
        for kind in kinds:
            act = getattr(self, f"_{kind}")()
            if act is not None:
                break
        if self.before:
            self.pairs[self.before, kind] += 1
        self.before, self.made = kind, self.made + 1
        self.hours += 1 / 3600
        if self.skew and kind not in RIGHT_CLOCK:
            act = {**act, "clock": {"hours": self.skew}}
        return {**act, "kind of act": kind}

    def one(self, names):
        return self.rng.choice(names) if names else None

    def anybody(self):
        return self.one(self.accounts if self.rng.random() < 0.3 else self.things)

    def some(self, names, most=3):
        return self.rng.sample(names, min(len(names), self.rng.randint(1, most)))

    def entry(self):
        self.ids_of.append(f"entry {self.made}")
        return self.ids_of[-1]

    def purposes(self):
        return [self.one(PURPOSES)]

    # what is chosen

    def _opt_out(self, kind="opt_out", **more):
        return {
            "act": "choose",
            "kind": kind,
            "who": [self.anybody()],
            "purposes": self.purposes(),
            "id": self.entry(),
            **more,
        }

    def _limit(self):
        return self._opt_out("limit") | {"purposes": ["sensitive"]}

    def _withdraw(self):
        return self._opt_out("withdraw")

    def _token_out(self):
        return self._opt_out(token=self.one(TOKENS)) | {"who": [self.one(self.devices)]} if self.devices else None

    def _reading(self):
        phones = [name for name in self.numbers if self.who[name]["type"] == "phone"]
        return self._opt_out(reading=True) | {"who": [self.one(phones)]} if phones else None

    def _signal(self):
        return {"act": "signal", "who": [self.anybody()], "source": self.one(("gpc", "usp"))}

    def _opt_in(self, **more):
        return {
            "act": "opt_in",
            "who": self.anybody(),
            "purpose": self.one(PURPOSES),
            "proof": "code",
            "id": self.entry(),
            **more,
        }

    def _opt_in_dark(self):
        self.used_dark = True
        return self._opt_in(screen=f"dark {self.dark}")

    def _opt_in_vouched(self):
        return self._opt_in(proof="attestation") | {"who": self.one(self.ids)} if self.ids else None

    def _opt_in_knowing(self):
        return self._opt_in(**{self.one(("informed", "parental")): True}) | {"who": self.one(self.accounts)}

    def _ask(self):
        self.asked.append(f"asked {self.made}")
        return self._opt_in() | {"act": "ask", "id": self.asked[-1]}

    def _confirm(self):
        return {"act": "confirm", "of": self.asked.pop(0), "id": self.entry()} if self.asked else None

    def _grant(self):
        dark = self.rng.random() < 0.4
        self.used_dark = self.used_dark or dark
        return self._opt_in(recipient=self.one(RECIPIENTS), **({"screen": f"dark {self.dark}"} if dark else {}))

    def _direct(self):
        self.directed.append((self.anybody(), self.one(RECIPIENTS)))
        who, recipient = self.directed[-1]
        return {"act": "direct", "who": [who], "recipient": recipient, "id": self.entry()}

    def _use(self):
        if not self.directed:
            return None
        who, recipient = self.directed.pop()
        return {"act": "use", "who": [who], "recipient": recipient}

    def _programme(self):
        return {
            "act": "programme",
            "who": [self.anybody()],
            "recipient": "bonus",
            "purposes": self.purposes(),
            "id": self.entry(),
        }

    # what accounts have

    def _link(self, act="link", most=2, **more):
        account, things = self.one(self.accounts), self.some(self.things, most)
        if act == "link" and not more and self.rng.random() < 0.3:
            more = {"until": {"hours": self.one(FEW_HOURS)}}
        until = more.get("until", {}).get("hours")
        for thing in things:
            whole = act == "link" or self.live.get((account, thing), ("",))[0] == "whole"
            self.live[account, thing] = ("whole" if whole else "claimed", self.hours + until if until else None)
        return {"act": act, "account": account, "identifiers": things, **more}

    def _link_until(self):
        return self._link(most=2, until={"hours": self.one(FEW_HOURS)})

    def _link_again(self):
        """As before, or with an end from now on."""
        whole = [pair for pair, (kind, _) in self.live.items() if kind == "whole"]
        return self._on(self.one(sorted(whole)), self.one((None, *FEW_HOURS)))

    def _on(self, pair, hours):
        if pair is None:
            return None
        self.live[pair] = ("whole", hours and self.hours + hours)
        until = {"until": {"hours": hours}} if hours else {}
        return {"act": "link", "account": pair[0], "identifiers": [pair[1]], **until}

    def _had(self):
        pairs = [(one, other) for one in self.accounts for other in self.things if (one, other) not in self.live]
        if not pairs:
            return None
        account, thing = self.one(pairs)
        return {"act": "had", "account": account, "identifiers": [thing], "from": {"hours": -9}, "until": {"hours": -1}}

    def _ended(self, among, act="link_end"):
        pair = self.one(sorted(pair for pair in self.live if pair[1] in among))
        if pair is None:
            return None
        del self.live[pair]
        return {"act": act, "account": pair[0], "identifiers": [pair[1]]}

    def _link_end(self):
        return self._ended(self.things)

    def _sign_out(self):
        return self._ended(
            [name for name in self.things if self.who[name]["type"] in {"browser", "device"}], "sign_out"
        )

    def _claim(self):
        return self._link("claim", 3) if self.ids else None

    def _claim_whole(self):
        return self._on(self.one(sorted(pair for pair, (kind, _) in self.live.items() if kind == "claimed")), None)

    def _disclaim(self):
        claimed = sorted(pair for pair, (kind, _) in self.live.items() if kind == "claimed")
        if not claimed:
            return None
        account, thing = self.one(claimed)
        mine = {"account": account} if self.rng.random() < 0.3 else {}
        self.live = {pair: how for pair, how in self.live.items() if pair[1] != thing or how[0] == "whole" or mine}
        return {"act": "disclaim", "who": [thing], **mine}

    def _sweep(self):
        due = [pair for pair, (_, until) in self.live.items() if until is not None and until <= self.hours]
        for pair in due:
            del self.live[pair]
        return {"act": "sweep"} if due else None

    def _release(self):
        number = self.one(self.numbers)
        self.live = {pair: how for pair, how in self.live.items() if pair[1] != number}
        return {"act": "release", "who": [number]} if number else None

    def _named(self):
        return {"act": "named", "who": self.some(self.things)}

    # what devices and tools say

    def _state_began(self, token=None):
        if not self.devices:
            return None
        who, source = self.one(self.devices), self.one(SOURCES)
        self.began.append((who, source, token))
        more = {"token": token} if token else {}
        return {
            "act": "observe",
            "state": "began",
            "source": source,
            "who": [who],
            "purposes": [self.one(("sale", "sharing"))],
            **more,
        }

    def _token_state_began(self):
        return self._state_began(self.one(TOKENS))

    def _state_ended(self):
        return self._state_over(None)

    def _token_state_ended(self):
        return self._state_over("token")

    def _state_over(self, by):
        without = [each for each in self.began if not each[2]]  # those of a token are for its own kind, where there are
        pick = self.one([each for each in self.began if each[2]] if by else without or self.began)
        if pick is None:
            return None
        self.began.remove(pick)
        who, source, token = pick
        return {"act": "observe", "state": "ended", "source": source, "who": [who], **({"token": token} if by else {})}

    # what is said of people

    def _age(self, by, who, **more):
        return {"act": "say_age", "by": by, "who": [who], "age": self.one(AGES), **more} if who else None

    def _age_desk(self):
        return self._age("desk", self.anybody())

    def _age_account(self):
        return self._age("account", self.one(self.accounts))

    def _age_word(self):
        self.words.append((self.one(self.devices), self.one(TOKENS)))
        return self._age("app", self.words[-1][0], token=self.words[-1][1])

    def _age_back(self):
        words = [word for word in self.words if word[0]]
        if not words:
            return None
        who, token = self.one(words)
        return {"act": "take_age_back", "who": [who], **({"token": token} if self.rng.random() < 0.6 else {})}

    def _child_found(self):
        late = self.made > self.length * LONG and self.rng.random() < 0.3
        return {"act": "child_found", "who": [self.anybody()]} if late else None

    def _tell(self):
        """What comes back is what was told last, or nothing yet."""
        kind, outcome = self.one(("privacy", "cpni")), self.one(("shown", "sent", "bounced"))
        notice = {"who": [self.anybody()], "kind": kind}
        if outcome == "bounced":
            notice = self.notice or notice
        else:
            self.notice = notice
        return {"act": "tell", **notice, "outcome": outcome, "days": self.rng.randint(0, 9)}

    # what is forgotten and taken back

    def _void_entries(self):
        recent = self.ids_of[-12:]
        return {"act": "void", "entries": self.some(recent, 2)} if recent else None

    def _void_screen(self):
        if not self.used_dark:
            return None
        self.dark, self.used_dark = self.dark + 1, False
        return {"act": "void", "screen": f"dark {self.dark - 1}"}

    def _erase_details(self):
        return {"act": "erase", "mode": "erase_details", "who": [self.anybody()]}

    def _unlink(self):
        who = self.one([*self.who])
        self.live = {pair: how for pair, how in self.live.items() if who not in pair}
        return {"act": "erase", "mode": "unlink", "who": [who]}

    def _prune(self):
        return {"act": "prune", "fill": self.rng.random() < 0.7}

    def _new_pepper(self):
        return {"act": "new_pepper"}

    def _wait(self):
        hours = self.one((0.05, 0.2, 1, 6))
        self.hours += hours
        return {"act": "wait", "hours": hours}

    def _clock(self):
        """From here on whoever tells of acts has a clock that is so many hours wrong."""
        if not self.steps:
            return None
        self.skew = self.one(SKEWS)
        return {"act": "wait", "hours": 0}


# Of two kinds that never come one behind the other, why; all others do.
NEVER_BEHIND = {("void_screen", "void_screen"): "no screen was used since the last one was voided"}
KINDS = tuple(
    name[1:] for name in vars(Maker)
    if name.startswith("_") and not name.startswith("__") and name not in {"_on", "_ended", "_state_over", "_age"}
)  # fmt: skip


def acts_of(
    seed: int, length: int, pairs: Counter[tuple[str, str]] | None = None, *, without: Container[str] = ()
) -> tuple[dict[str, Any], list[Act]]:
    """One universe: its named keys and all that happens to them. The same for a seed where `pairs` are the same.
    `without`: kinds of acts that do not come.
    """
    made = Maker(seed, Counter() if pairs is None else pairs, length, without)
    return made.who, [made.next() for _ in range(length)]
