"""`POST /v1/texts`: a text message that somebody sent to the operator, handed on by whoever receives them (R21).

STOP ends marketing texts and calls to that number (47 CFR 64.1200(a)(10)); HELP and START change nothing. The text is
read for its word and let go: no entry, log line or metric has it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.choice_result import Chosen
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.subjects import Choice, Subject
from gateway.signals import sms
from gateway.signals.sms import Act, Read
from gateway.terms import ChoiceKind, Manner, Purpose, Source
from gateway.web.shell import auth, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem

MAX_BODY = 64 * 1024  # ten joined parts of a text and what a provider adds to them are under 8 kB
FORM = "application/x-www-form-urlencoded"


class TextBody(Struct, kw_only=True):
    """A text, in these names or in a provider's own: From and Body, msisdn and text. Or a form in those."""

    sender: str | int | UnsetType = field(name="from", default=UNSET)
    body: Annotated[str | int | None, Meta(description="read for its word; kept nowhere")] = None
    received_at: wire.Time | None = None
    id: Annotated[str | int | None, Meta(description="the provider's: the same one is done once")] = None


class TextDone(Struct):
    """What was done. `event` and what follows it: of opted_out."""

    action: Literal["opted_out", "none"]
    reply: Annotated[str | None, Meta(description="one text to send back; null: nothing, a person should read it")]
    event: str | UnsetType | None = UNSET
    seq: int | UnsetType | None = UNSET
    accepted_at: wire.Time | UnsetType = UNSET
    standing: dict[str, str] | UnsetType = UNSET


ENDS = (Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL)
# How providers of text messages call the four things, beside our own names.
NAMES = {
    "from": ("from", "From", "msisdn"), "body": ("body", "Body", "text", "Text"),
    "id": ("id", "MessageSid", "SmsSid", "MessageUUID", "messageId"), "received_at": ("received_at",),
}  # fmt: skip
REPLIES = {
    (Act.STOP, "en"): "{name}: you will get no more marketing texts or calls from us at this number.",
    (Act.STOP, "es"): "{name}: no recibirá más mensajes ni llamadas publicitarias nuestras en este número.",
    (Act.STOP, "fr"): "{name} : vous ne recevrez plus de messages ni d'appels publicitaires de notre part à ce numéro.",
    (Act.HELP, "en"): "{name}: answer STOP for no more marketing texts and calls. Your choices: {page}",
    (Act.HELP, "es"): "{name}: responda ALTO para no recibir más publicidad. Sus opciones: {page}",
    (Act.HELP, "fr"): "{name} : répondez ARRET pour ne plus recevoir de publicité. Vos choix : {page}",
    (Act.START, "en"): "{name}: a text alone turns nothing on. To get marketing texts again, choose it here: {page}",
    (Act.START, "es"): "{name}: un mensaje no activa nada. Para volver a recibir publicidad, elíjalo aquí: {page}",
    (Act.START, "fr"): "{name} : un message n'active rien. Pour recevoir de la publicité, choisissez-le ici : {page}",
}


class TextsDoor:
    """`POST /v1/texts`. `name` and `url` are the operator's, for the reply; both may be empty."""

    def __init__(self, consent: Consent, credentials: Credentials, metrics: Metrics, name: str, url: str) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._words = {"name": name, "page": f"{url}/privacy-choices"}

    async def post(self, request: Request) -> Response:
        """200 with what was done and what to answer; 202 while it is kept beside a ledger that cannot be written."""
        key = _caller(request, self._credentials)
        members = await _members(request)
        subject, said = self._sender(members), sms.read_stop_word(_text(members, "body"))
        if said.act is not Act.STOP:
            return wire.wire_answer(TextDone("none", self._reply(said)))
        repeat = request.headers.get("idempotency-key") or _text(members, "id")
        chosen = await self._stop(subject, members, f"{key.id}:text:{repeat[:256]}" if repeat else "")
        return wire.wire_answer(self._done(chosen, said), 202 if chosen.waits else 200)

    async def _stop(self, subject: Subject, members: Mapping[str, Any], repeat: str) -> Chosen:
        now = self._consent.clock()
        came = wire.moment(members.get("received_at"))
        choice = Choice(
            ChoiceKind.OPT_OUT,
            ENDS,
            Source.SMS,
            now,
            manner=Manner.SMS,
            received=came if came and came <= now else None,
        )
        chosen = await self._consent.choose([subject], choice, key=repeat, body=subject.key)
        if not chosen.replayed:
            self._metrics.chosen(choice.kind, choice.source, choice.manner)
        return chosen

    def _done(self, chosen: Chosen, said: Read) -> TextDone:
        first: dict[str, Any] = chosen.events[0]
        accepted = wire.stamp(chosen.accepted_at)
        return TextDone("opted_out", self._reply(said), first["event"], first["seq"], accepted, dict(chosen.standing))

    def _reply(self, said: Read) -> str | None:
        """One text to send back; None for an ordinary message, which a person should read."""
        reply = REPLIES.get((said.act, said.language))
        text = reply and reply.format(**self._words)
        if not text or self._words["name"]:
            return text
        bare = text.lstrip(" :\N{NO-BREAK SPACE}")
        return f"{bare[0].upper()}{bare[1:]}"

    def _sender(self, members: Mapping[str, Any]) -> Subject:
        """The number that the text came from. Providers write it with a plus, without one, or with a space for it.
        Where no country says how a national number is read, one without either may be somebody else's: their STOP would
        stop a stranger.
        """
        text = _text(members, "from")
        stated, people = text.strip(), self._consent.people
        for value in (stated, f"+{stated}") if people.reads_national or text.startswith(" ") else (stated,):
            named = people.name([{"type": "phone", "value": value}])
            if named.subjects:
                return named.subjects[0]
        why = "the sender is no phone number"
        if not people.reads_national:
            why += " with its country code; [phone] country says how others are read"
        raise Problem("nothing_usable", why, "/from")


def _caller(request: Request, credentials: Credentials) -> ApiKey:
    """A secret key, as Bearer or, for providers who can only be given an address with a password, as Basic."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        key = credentials.find(_unpacked(value.strip()))
        if key is None or key.revoked:
            raise Problem("unauthorized", "the password is not one of ours")
        auth.want(key, "choose")
    else:
        key = auth.caller(request, credentials, "choose")
    if key.publishable:
        raise Problem("forbidden", "this call wants a secret key: it believes its caller who sent a text")
    return key


def _unpacked(basic: str) -> str:
    """`<id>.<secret>` of `<id>:<secret>` (RFC 7617)."""
    try:
        return base64.b64decode(basic, validate=True).decode("ascii").replace(":", ".", 1)
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _members(request: Request) -> dict[str, Any]:
    """The members of a call by our names for them."""
    body = await wire.read_body(request, MAX_BODY)
    if wire.media_type(request) == FORM:
        try:
            stated: Any = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=128))
        except ValueError:
            raise Problem("malformed", "too many fields") from None
    else:
        wire.require_json(request)
        stated = wire.parse_body(body, lenient=True)
    said = wire.as_object(stated, "a text")
    return {ours: next((said[name] for name in names if name in said), None) for ours, names in NAMES.items()}


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
