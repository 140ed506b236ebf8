"""Settings of one recipient: who it is, what was agreed with it, what it gets and how; and of one of the operator's own
systems, which is told as recipients are. `gateway.settings.load` reads them.
"""

import re
from collections.abc import Collection, Iterator
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.choice.identity.kinds import KINDS
from gateway.choice.recipient import Holds, Recipient
from gateway.choice.row_shape import KINDS_IF_SAID, KINDS_OF
from gateway.delivery.guard import is_domain, is_loopback, is_origin
from gateway.settings.shapes import (
    CalendarDay,
    Contract,
    LocalFile,
    OptionalUrl,
    PageHost,
    Paragraphs,
    Shape,
    Stated,
    Text,
    Wrong,
    is_written,
    matches,
    unpaired,
)
from gateway.terms import DataClass, Purpose, Role

TAKEN = frozenset({"row", "consent"})  # members of every row that leaves

# What was measured with a point goes exactly or not at all, as the point does (I29).
OF_A_POINT = frozenset({"accuracy", "horizontal_accuracy", "altitude", "speed", "heading", "bearing"})


# What the verdict knows of a recipient as it is stated here.
AS_STATED = (
    "role", "purposes", "data", "company", "address", "contract_until", "same_brand", "surface", "tcf_vendor",
    "programme", "max_age_days", "valid_minutes", "contextual",
)  # fmt: skip


def _is_framework_domain(text: str) -> bool:
    """A domain, or for development an origin of this machine."""
    return is_domain(text) or (is_origin(text) and is_loopback(urlsplit(text).hostname or ""))


# A member of an `ext` object by its whole path: an open end would keep whatever a bidder puts there next year.
Extension = Annotated[
    str,
    Shape(
        matches(r"([A-Za-z0-9_]+(\[\])?\.)*ext(\.[A-Za-z0-9_-]+)+"),
        "is no path of a member of an ext object",
        '"imp.ext.mybidder.placement"',
    ),
]
FrameworkDomain = Annotated[str, Shape(_is_framework_domain, "is no domain", '"vendor.example"', empty=True)]
Kind = Annotated[str, Shape(matches(r"(id:)?[A-Za-z0-9_-]+"), "is no kind of identifier", '"gaid"')]
FieldName = Annotated[
    str, Shape(matches(r"[^\W\d][\w.-]*"), "is no name of a field", '"ad_id"', longest=128, cased=True)
]
# What a request of ours says otherwise, or what is not one receiver's.
NO_CREDENTIAL = re.compile(
    "content-.*|accept.*|host|connection|transfer-encoding|te|upgrade|idempotency-key|webhook-.*|expect|date|via|cookie"
)
CredentialHeader = Annotated[
    str,
    Shape(
        lambda text: (
            re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", text) is not None
            and NO_CREDENTIAL.fullmatch(text.lower()) is None
            and is_written(text)
        ),
        "is no header's name, or one that says something else",
        '"X-Api-Key"',
        empty=True,
        longest=128,
    ),
]
Argument = Annotated[str, Shape(bool, "is empty", '"sftp-put"', longest=4096)]


class RecipientField(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"data_class": "class"}):
    """A field of a row of which more is said than its class: the kinds of its ids, or the texts that it may hold."""

    data_class: DataClass
    kind: Kind | tuple[Kind, ...] = ()
    values: tuple[Text, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if isinstance(self.kind, str) else self.kind


class RecipientCredential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By what a recipient knows that rows come from us; each secret is in a file of its own."""

    bearer_file: LocalFile = ""
    header: CredentialHeader = ""
    header_file: LocalFile = ""
    certificate_file: LocalFile = ""
    authority_file: LocalFile = ""
    signature_file: LocalFile = ""

    def wrong(self, mode: str, endpoint: str) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        stated = [name for name, text in msgspec.structs.asdict(self).items() if text]
        if stated and mode != "forward":
            yield Wrong((stated[0],), "is for rows that the gateway sends", 'mode = "forward", or take it out')
        yield from unpaired(self, (), "header", "header_file")
        if self.header.lower() == "authorization" and self.bearer_file:
            yield Wrong(("header",), "is where the token of bearer_file stands", "one of the two")
        plain = endpoint.startswith("http:")
        for option in ("certificate_file", "authority_file") if plain else ():
            if option in stated:
                yield Wrong((option,), "is for https, and the endpoint is http", 'an endpoint of "https://"')


class RecipientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    company: Stated = ""
    address: Paragraphs = ""
    contract: Contract = ""
    contract_until: CalendarDay | None = None
    unlinked: Literal["deny", "allow"] | None = None
    mode: Literal["forward", "return", "files"] = "return"
    endpoint: OptionalUrl = ""
    sandbox_endpoint: OptionalUrl = ""
    deliveries: OptionalUrl = ""
    ddrf: FrameworkDomain = ""
    digest: Literal["sha256", "sha1", "md5"] = "sha256"
    hosts: tuple[PageHost, ...] = ()
    fields: dict[FieldName, DataClass | RecipientField] = {}
    extensions: tuple[Extension, ...] = ()
    same_brand: bool = False
    transfer_basis: Literal["", "adequacy", "scc", "bcr", "derogation", "within"] = ""
    announced: CalendarDay | None = None
    announced_later: dict[Text, CalendarDay] = {}
    surface: Literal["", "web", "app"] = ""
    tcf_vendor: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0  # 16 bits in a TC string
    programme: Stated = ""
    max_age_days: Annotated[int, msgspec.Meta(ge=0, le=36_525)] = 0
    upload: tuple[Argument, ...] = ()
    valid_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 15
    contextual: bool = False
    credential: RecipientCredential = RecipientCredential()
    sandbox_credential: RecipientCredential = RecipientCredential()

    def recipient(self, name: str, *, dev: bool, production: bool = True) -> Recipient:
        """As the verdict knows it; see `Settings.registry` for `dev`. Outside production nothing reaches its real
        receiver (I24).
        """
        endpoint = self.endpoint if production else self.sandbox_endpoint
        third = self.role not in {Role.SERVICE_PROVIDER, Role.LEGAL}
        as_stated = {each: getattr(self, each) for each in AS_STATED}
        return Recipient(
            name=name,
            contract=self.contract or ("dev" if dev else ""),
            unlinked=self.unlinked or ("deny" if third else "allow"),
            fields=self.classes(),
            held={
                name: Holds(each.kinds, {text.strip().casefold(): text for text in each.values})
                for name, each in self.fields.items()
                if isinstance(each, RecipientField)
            },
            mode="return" if dev and self.mode == "forward" and not endpoint else self.mode,
            endpoint=endpoint,
            transfer_basis=self.transfer_basis or ("dev" if dev else ""),
            announced=self.announced or (date.min if dev else None),
            announced_later=dict(self.announced_later),
            upload=self.upload if production else (),
            **as_stated,
        )

    def classes(self) -> dict[str, DataClass]:
        """The data class of each field of a row."""
        return {
            name: each.data_class if isinstance(each, RecipientField) else each for name, each in self.fields.items()
        }

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it; each path begins in its own table."""
        for option, stated in (("purposes", self.purposes), ("data", self.data)):
            if not stated:
                yield Wrong((option,), "is empty: of nothing everything is allowed", "what it gets, and for what")
        if Purpose.TRANSFER in self.purposes and self.role is not Role.SUCCESSOR:
            yield Wrong(("purposes",), "transfer is for a successor only", "it without transfer")
        if self.same_brand and self.role is not Role.AFFILIATE:
            yield Wrong(("same_brand",), "only an affiliate is of the same brand or not", "false")
        for what in sorted(set(self.announced_later) - {*Purpose, *DataClass}):
            write = f"one of {', '.join(self.purposes)}"
            yield Wrong(("announced_later", what), "is neither a purpose nor a data class", write)
        if self.mode == "files" and self.role is Role.CONSUMER_DIRECTED:
            yield Wrong(("mode",), "what one act directs is sent at once, not in a file", '"forward" or "return"')
        yield from self._wrong_credentials()
        yield from self._wrong_fields()

    def _wrong_credentials(self) -> Iterator[Wrong]:
        for option, credential, endpoint in (
            ("credential", self.credential, self.endpoint),
            ("sandbox_credential", self.sandbox_credential, self.sandbox_endpoint),
        ):
            for each in credential.wrong(self.mode, endpoint):
                yield each._replace(path=(option, *each.path))

    def _wrong_fields(self) -> Iterator[Wrong]:
        for name, data_class in self.classes().items():
            if data_class not in {*self.data, DataClass.COARSE_GEO}:
                yield Wrong(("fields", name), f"{data_class} is not in data", "another class, or that one in data too")
            if name.lower().rpartition(".")[2] in OF_A_POINT and data_class is not DataClass.PRECISE_GEO:
                yield Wrong(("fields", name), "is part of a precise point, and precise_geo as that is", '"precise_geo"')
            if name in TAKEN:
                yield Wrong(("fields", name), "is a member of every row", "another name")
            yield from self._wrong_kind(name, data_class)

    def _wrong_kind(self, name: str, data_class: DataClass) -> Iterator[Wrong]:
        """An id goes to somebody else as the kind that it was looked up as, so its field says which that is."""
        stated, path = self.fields[name], ("fields", name)
        possible, if_said = KINDS_OF.get(data_class, ()), KINDS_IF_SAID.get(data_class, ())
        kinds = stated.kinds if isinstance(stated, RecipientField) else ()
        if possible and not kinds and self.role not in {Role.SERVICE_PROVIDER, Role.LEGAL}:
            what = f'{_either(possible)}, a list of such, or "id:NAME" of a kind that is declared under [identifiers]'
            line = f'{name} = {{ class = "{data_class}", kind = "{possible[0]}" }}, with what it holds: {what}'
            yield Wrong(path, "holds ids and does not say of which kind", line)
        known = possible or if_said
        strange = [kind for kind in kinds if kind not in known and not (known and kind.startswith("id:"))]
        if strange and known:
            yield Wrong(path, f"it holds what is no kind of {data_class}", f"{_either(known)} or id:NAME")
        elif strange:
            yield Wrong(path, f"{data_class} has no kinds: its values name nobody", f'"{data_class}"')
        if possible and isinstance(stated, RecipientField) and stated.values:
            yield Wrong(path, "ids have a kind, no list of values", "it without values")

    def own_kinds(self) -> dict[str, str]:
        """By field, the names of the operator's own kinds of ids that it is said to hold."""
        return {
            name: kind.partition(":")[2]
            for name, each in self.fields.items()
            if isinstance(each, RecipientField)
            for kind in each.kinds
            if kind.startswith("id:")
        }


def _either(kinds: tuple[str, ...]) -> str:
    return ", ".join(f'"{kind}"' for kind in kinds)


class SystemSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    identifiers: tuple[Kind, ...] = ()
    endpoint: OptionalUrl = ""
    suppressions: bool = True

    def wrong(self, name: str, declared: Collection[str]) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        path = ("systems", name, "identifiers")
        if not self.identifiers:
            yield Wrong(path, "is empty: nobody could be named to it", '["email", "phone", "account"]')
        known = {*KINDS, *(f"id:{kind}" for kind in declared)}
        for number, kind in enumerate(self.identifiers):
            if kind not in known:
                write = f'one of {", ".join(KINDS)}, or "id:NAME" of a kind that [identifiers] declares'
                yield Wrong((*path, number), "is no kind of identifier", write)
