"""Settings of one recipient. Part of `gateway.settings`, which reads them. Never sends anything."""

import re
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.addresses import is_loopback, is_origin, may_send_to
from gateway.choice.recipient import Holds, Recipient
from gateway.choice.rows import KINDS_OF
from gateway.terms import DataClass, Purpose, Role

SHORTEST = 2  # characters of a contract's reference
TAKEN = frozenset({"row", "consent"})  # members of every row that leaves

# What was measured with a point goes exactly or not at all, as the point does (I29).
OF_A_POINT = frozenset({"accuracy", "horizontal_accuracy", "altitude", "speed", "heading", "bearing"})


# What stands where a contract's reference is still to be written: it opens what a contract opens, to nobody's terms.
UNWRITTEN = frozenset(
    """todo tbd tba tbc none no null nil na n/a unknown pending missing later xxx fixme changeme placeholder example
    contract yes true false test dev draft""".split()  # noqa: SIM905 - a list of words reads better as one
)
# A host of a Content-Security-Policy that lets something through: one name, no wild card, no scheme, no path.
PageHost = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+(:[0-9]{1,5})?\Z",
        description="a host's name, lower case",
    ),
]
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def is_loopback_origin(text: str) -> bool:
    """For development."""
    return is_origin(text) and is_loopback(urlsplit(text).hostname or "")


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"data_class": "class"}):
    """A field of a row of which more is said than its class: the kinds of its ids, or the texts that it may hold."""

    data_class: DataClass
    kind: str | tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if isinstance(self.kind, str) else self.kind


class RecipientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    company: str = ""
    address: str = ""
    contract: str = ""
    contract_until: date | None = None
    unlinked: Literal["deny", "allow"] | None = None
    mode: Literal["forward", "return", "files"] = "return"
    endpoint: str = ""
    sandbox_endpoint: str = ""
    deliveries: str = ""
    ddrf: str = ""
    digest: Literal["sha256", "sha1", "md5"] = "sha256"
    hosts: tuple[PageHost, ...] = ()
    fields: dict[str, DataClass | Field] = {}
    extensions: tuple[str, ...] = ()
    same_brand: bool = False
    transfer_basis: Literal["", "adequacy", "scc", "bcr", "derogation", "within"] = ""
    announced: date | None = None
    announced_later: dict[str, date] = {}
    surface: Literal["", "web", "app"] = ""
    tcf_vendor: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0  # 16 bits in a TC string
    programme: str = ""
    max_age_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    upload: tuple[str, ...] = ()
    valid_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 15
    contextual: bool = False

    def recipient(self, name: str, *, dev: bool, production: bool = True) -> Recipient:
        """As the verdict knows it; see `Settings.registry` for `dev`. Outside production nothing reaches its real
        receiver (I24).
        """
        endpoint = self.endpoint if production else self.sandbox_endpoint
        third = self.role not in {Role.SERVICE_PROVIDER, Role.LEGAL}
        return Recipient(
            name=name,
            role=self.role,
            purposes=self.purposes,
            data=self.data,
            company=self.company,
            address=self.address,
            contract=self.contract or ("dev" if dev else ""),
            contract_until=self.contract_until,
            unlinked=self.unlinked or ("deny" if third else "allow"),
            fields=self.classes(),
            held={
                name: Holds(each.kinds, {text.strip().casefold(): text for text in each.values})
                for name, each in self.fields.items() if isinstance(each, Field)
            },
            mode="return" if dev and self.mode == "forward" and not endpoint else self.mode,
            endpoint=endpoint,
            same_brand=self.same_brand,
            transfer_basis=self.transfer_basis or ("dev" if dev else ""),
            announced=self.announced or (date.min if dev else None),
            announced_later=dict(self.announced_later),
            surface=self.surface,
            tcf_vendor=self.tcf_vendor,
            programme=self.programme,
            max_age_days=self.max_age_days,
            upload=self.upload if production else (),
            valid_minutes=self.valid_minutes,
            contextual=self.contextual,
        )  # fmt: skip

    def classes(self) -> dict[str, DataClass]:
        """The class of each field."""
        return {name: each.data_class if isinstance(each, Field) else each for name, each in self.fields.items()}

    def wrong(self) -> str:
        """What the shapes cannot say is wrong with it, or nothing; begins with the option's name."""
        if Purpose.TRANSFER in self.purposes and self.role is not Role.SUCCESSOR:
            return "purposes: transfer is for a successor only"
        if self.same_brand and self.role is not Role.AFFILIATE:
            return "same_brand: only an affiliate is of the same brand or not"
        strange = set(self.announced_later) - {*Purpose, *DataClass}
        if strange:
            return f"announced_later: {min(strange)} is neither a purpose nor a data class"
        if self.mode == "files" and self.role is Role.CONSUMER_DIRECTED:
            return "mode: what one act directs is sent at once, not in a file"
        for option, endpoint in (("endpoint", self.endpoint), ("sandbox_endpoint", self.sandbox_endpoint)):
            if endpoint and not may_send_to(endpoint):
                return f"{option}: the address is neither https nor http on loopback"
        if self.ddrf and not (DOMAIN.fullmatch(self.ddrf) or is_loopback_origin(self.ddrf)):
            return f"ddrf: {self.ddrf} is no domain"
        return self._wrong_contract() or self._wrong_fields()

    def _wrong_contract(self) -> str:
        """A reference that says nothing: a blank, a placeholder, signs alone."""
        said = self.contract.strip(" .-_<>[]{}()*?!#'\"").casefold()
        if self.contract and (len(said) < SHORTEST or said in UNWRITTEN):
            return f'contract: "{self.contract}" names none: write its number or its name, or "", and nothing goes'
        return ""

    def _wrong_fields(self) -> str:
        classes = self.classes()
        unmapped = set(classes.values()) - set(self.data) - {DataClass.COARSE_GEO}
        if unmapped:
            return f"fields: {', '.join(sorted(unmapped))} is not in data"
        loose = {name for name in classes if name.lower().rpartition(".")[2] in OF_A_POINT} - {
            name for name, data_class in classes.items() if data_class is DataClass.PRECISE_GEO
        }
        if loose:
            return f"fields: {min(loose)} is part of a precise point, and precise_geo as that is"
        taken = TAKEN & classes.keys()
        if taken:
            return f"fields: {min(taken)} is a member of every row"
        return next(filter(None, (self._wrong_kind(name, data_class) for name, data_class in classes.items())), "")

    def _wrong_kind(self, name: str, data_class: DataClass) -> str:
        """An id goes to somebody else as the kind that it was looked up as, so its field says which that is."""
        stated, possible = self.fields[name], KINDS_OF.get(data_class, ())
        kinds = stated.kinds if isinstance(stated, Field) else ()
        if possible and not kinds and self.role not in {Role.SERVICE_PROVIDER, Role.LEGAL}:
            return (
                f"fields: {name} holds ids and does not say of which kind. Write"
                f' {name} = {{ class = "{data_class}", kind = "{possible[0]}" }}, with what it holds: '
                f'{_either(possible)}, a list of such, or "id:NAME" of a kind that is declared under [identifiers]'
            )
        strange = [kind for kind in kinds if kind not in possible and not (possible and kind.startswith("id:"))]
        if strange:
            return f"fields: {name}: {strange[0]!r} is no kind of {data_class}" + (
                f", which has {_either(possible)} and id:NAME" if possible else ", whose values name nobody"
            )
        if possible and isinstance(stated, Field) and stated.values:
            return f"fields: {name}: ids have a kind, no list of values"
        return ""

    def own_kinds(self) -> dict[str, str]:
        """By field, the names of the operator's own kinds of ids that it is said to hold."""
        return {
            name: kind.partition(":")[2]
            for name, each in self.fields.items() if isinstance(each, Field)
            for kind in each.kinds if kind.startswith("id:")
        }  # fmt: skip


def _either(kinds: tuple[str, ...]) -> str:
    return ", ".join(f'"{kind}"' for kind in kinds)
