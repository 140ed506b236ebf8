"""Opting in, in a call: one purpose, a notice that was logged, proof of control, and two separate acts (R4).
`web.api.choices` reads the call and asks here whether its yes is one. Nothing is written by the first act.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.consent.choice_result import Chosen
from gateway.consent.codes import opting_in
from gateway.consent.people import Named
from gateway.consent.still_out import YesRests
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.ledger.entry import Notice
from gateway.ledger.subjects import Choice, Subject
from gateway.terms import CLOCKS_APART, ChoiceKind, DataClass, Purpose
from gateway.web.api.choice_body import ChoiceSaid
from gateway.web.shell import wire
from gateway.web.shell.problem import Problem
from gateway.web.shell.proof import Proofs

ACT_AGE = timedelta(minutes=10)  # an opt-in is never queued (R4)
AHEAD = CLOCKS_APART  # clocks differ; of an act by one that is further ahead nobody knows when it was
SHA256_HEX = 64
CONTINUING = (
    "You can take this back at any time, here or in the settings, as easily as you gave it: "
    "opting out takes one step and holds until you say otherwise."
)  # 11 CCR 7071(b), L75


@dataclass(frozen=True, slots=True)
class ScreenShown:
    """What was shown with an act: the notice, the screen, and whether it spoke of a signal that is on."""

    notice: Notice
    ui: str
    despite_signal: bool


class OptingIn:
    """Both acts of opting in by a call."""

    def __init__(self, consent: Consent, proofs: Proofs) -> None:
        self._consent = consent
        self._proofs = proofs

    async def ask(
        self, said: ChoiceSaid, named: Named, purposes: Sequence[Purpose]
    ) -> tuple[dict[str, Any], tuple[Subject, ...]]:
        """The first act: a token that the second one brings back; and whose it is."""
        if len(purposes) != 1 or said.ignored or not named.subjects:
            where = said.ignored[0]["pointer"] if said.ignored else "/purposes"
            raise Problem("one_purpose", "opting in names exactly one purpose and usable identifiers", where)
        recipient, data_class = self._grant(said, purposes[0])
        use = opting_in(purposes[0], recipient)
        opened = await self._proofs.opening(said.members.get("proof"), said.key, named.subjects, use, said.act)
        whose = opened.whose
        shown, now = await self.shown(said), self.fresh(said)
        brings = any(each.unwritten for each in whose)
        if brings:  # what a browser's token alone denies comes on record before the yes, and is older than the act
            await self._not_superseded(said, whose, purposes[0])
            await self._consent.bring(whose, alone=True)
        place = said.places()
        choice = Choice(
            ChoiceKind.OPT_IN,
            tuple(purposes),
            said.source(),
            now,
            place,
            shown.notice,
            recipient=recipient,
            data_class=data_class,
            ui=shown.ui,
            informed=shown.despite_signal,
            parental=bool(opened.method),
            details=said.resides(place),
        )
        token, expires = self._consent.ask_to_confirm(whose, choice)
        if not brings:  # asked behind the token's place in the log, so that no no falls between the two
            await self._not_superseded(said, whose, purposes[0])
        return {"confirm": token, "expires_at": wire.stamp(expires), "ignored": said.ignored}, whose

    async def confirm(self, said: ChoiceSaid, repeat: str, body: bytes) -> tuple[Chosen, dict[str, Any]]:
        """The second act, with a proof and a notice of its own; and what a young person is told with the answer."""
        token = said.members.get("confirm")
        if not isinstance(token, str):
            raise Problem("malformed", "confirm is the token of the first act", "/confirm")
        asked = self._consent.asked(token)
        use = opting_in(asked.purpose, asked.choice.recipient)
        opened = await self._proofs.opening(said.members.get("proof"), said.key, asked.subjects, use, said.act)
        self.fresh(said)
        shown = await self.shown(said)
        chosen = await self._consent.confirm(
            token,
            shown.notice,
            key=repeat,
            body=body,
            method=opened.method,
            vouched=opened.vouched,
            rests=YesRests(opened.had, made=said.moment("made_at"), accounts=opened.accounts),
        )
        young = self._consent.checks.is_under_16(chosen.subjects)
        return chosen, {"continuing_right": CONTINUING} if young else {}

    def fresh(self, said: ChoiceSaid) -> datetime:
        """Now, for an act that is made now: what opens is never queued."""
        made, now = said.moment("made_at"), self._consent.clock()
        if made is not None and now - made > ACT_AGE:
            raise Problem("superseded", "what opens is never queued: the act is older than 10 minutes", "/made_at")
        if made is not None and made > now + AHEAD:
            raise Problem("superseded", "an act that is still to come opens nothing: the clock is ahead", "/made_at")
        return now

    async def _not_superseded(self, said: ChoiceSaid, subjects: Sequence[Subject], purpose: Purpose) -> None:
        """A yes that was meant before the last no is none (R4)."""
        made = said.moment("made_at")
        if made is not None and await self._consent.out_after(subjects, purpose, made):
            raise Problem("superseded", "an opt-out of this purpose came after the act", "/made_at")

    async def shown(self, said: ChoiceSaid) -> ScreenShown:
        """The notice, which was logged before, and the screen that it stood on (R24)."""
        stated = said.members.get("notice")
        found = await self.notice(said)
        if found is None:
            raise Problem("notice_required", "opting in names a notice that was logged before", "/notice")
        ui = stated.get("ui") if isinstance(stated, Mapping) else None
        if ui is not None and not (isinstance(ui, str) and await self._consent.is_screen(ui)):
            raise Problem("notice_required", "ui names a screen whose copy was logged before", "/notice/ui")
        return ScreenShown(found, ui or found.version, await self._consent.speaks_of_signal(found.sha256))

    async def notice(self, said: ChoiceSaid) -> Notice | None:
        """The logged notice that a call names; an unknown one is told."""
        stated = said.members.get("notice")
        text = stated.get("sha256") if isinstance(stated, Mapping) else None
        if not isinstance(text, str):
            if stated is not None:
                said.ignore("/notice", "has no sha256")
            return None
        try:
            digest = bytes.fromhex(text) if len(text) == SHA256_HEX else seals.unb64(text)
        except (ValueError, seals.OpeningFailed):
            digest = b""
        found = await self._consent.notice(digest)
        if found is None:
            said.ignore("/notice", "unknown")
        return found

    def _grant(self, said: ChoiceSaid, purpose: Purpose) -> tuple[str, DataClass | None]:
        """For precise geolocation: one recipient and the class (R4). Empty for a general opt-in."""
        recipient, data = said.members.get("recipient"), said.members.get("data")
        if recipient is None and data is None:
            return "", None
        known = self._consent.recipients.get(recipient) if isinstance(recipient, str) else None
        if known is None or purpose not in known.purposes:
            raise Problem("malformed", "recipient is not one that is configured for this purpose", "/recipient")
        if data != [DataClass.PRECISE_GEO]:
            raise Problem("malformed", 'data is ["precise_geo"] beside a recipient', "/data")
        return known.name, DataClass.PRECISE_GEO
