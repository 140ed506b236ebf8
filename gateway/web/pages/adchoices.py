"""The DAA's participant endpoints, for an operator who runs an ad domain: WebChoices, TokenChoices, AppChoices.

WebChoices leads the browser through: status with a token, opt-out with that token, a look whether the opt-out cookie is
there, and back with the result (the DAA's participant specification). The way back is a redirect to what the caller
named, so it is looked up among the configured hosts by its whole text and nothing is parsed; a participant was once
reported for an open redirect here. Says success only of a cookie that came back. Never opts anybody in.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.consent.verbs import Consent
from gateway.keys.seals import Tokens
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.idempotency import Used
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.signals import adchoices, form
from gateway.signals.adchoices import TokenChoice
from gateway.terms import ChoiceKind, Malformed, Manner, Purpose, Source
from gateway.web.shell import wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitors, jar_of

PATH = "/adchoices"
STATUS, OPT_OUT, TRUST = "3", "4", "5"  # action_id
NO_IBA, IBA, OPTED_OUT = 1, 2, 3  # cookie-status
SUCCESS, FAILURE, MISMATCH = 1, 2, 3  # cookie-result
NOT_OFFERED = 0  # other-status and other-result: this gateway recognises no browser without a cookie

OPT_OUT_VALUE = "1"  # generic, so that it names nobody (WebChoices, Opt-Out Cookies)
# The least that the DAA asks for, with two days for leap years. Browsers keep 400 days of it (RFC 6265bis), so the
# cookie is set anew at each opt-out.
OPT_OUT_SECONDS = (5 * 365 + 2) * 86_400
TOKEN_SECONDS = 10 * 60  # less than the time that used tokens are remembered, idempotency.CONFIRM_MINUTES
BOUND = "__Host-adchoices"  # ties a token to its browser; ends with the session, as the DAA asks of such cookies
TRUST_COOKIE = "FPtrust=1"
THIRD_PARTY = "Path=/; Secure; HttpOnly; SameSite=None"  # the tool's page is another site, and so are we in it
NONCE = re.compile("[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class AdChoicesOptions:
    """The section [ad_choices], member for member."""

    participant: int
    purposes: tuple[Purpose, ...]
    redirect_hosts: tuple[str, ...]
    referers: tuple[str, ...]
    cookie: str
    cookie_domain: str
    iba_cookies: tuple[str, ...]


class AdChoices:
    """The participant's endpoints. To be served only where a participant's number is configured."""

    def __init__(self, consent: Consent, visitors: Visitors, metrics: Metrics, options: AdChoicesOptions) -> None:
        self._consent = consent
        self._visitors = visitors
        self._metrics = metrics
        self._options = options
        self._tokens = Tokens(consent.secrets.tokens, "ad-choices/1")
        self._checks = Tokens(consent.secrets.tokens, "ad-choices-check/1")
        # The DAA's examples name a host with http or without a scheme; whatever was named, the way back is https.
        self._targets = {
            f"{scheme}{host}": f"https://{host}"
            for host in options.redirect_hosts
            for scheme in ("https://", "http://", "")
        }
        self._origins = tuple(f"https://{host}/" for host in options.referers)
        self._actions: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            STATUS: self._status,
            OPT_OUT: self._opt_out,
            TRUST: self._trust,
        }

    # --- WebChoices ------------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> Response:
        """`GET /adchoices`: what `action_id` says, for a page of the DAA's tool."""
        if not request.headers.get("referer", "").startswith(self._origins):
            self._metrics.refused_forms.labels("cross_site").inc()
            raise Problem("cross_site", "asked from a page that is not the DAA's")
        if _one(request, "participant_id") != str(self._options.participant):
            raise Problem("malformed", "participant_id is not the configured one")
        action = self._actions.get(_one(request, "action_id"))
        if action is None:
            raise Problem("malformed", f"action_id is one of {', '.join(self._actions)}")
        return await action(request)

    async def _status(self, request: Request) -> Response:
        target, jar = self._target(request), jar_of(request.scope)
        browser = _bound(jar) or secrets.token_urlsafe(16)  # kept in a session: two open pages do not end each other
        token = self._tokens.make({**self._bond(target, browser), "once": secrets.token_urlsafe(16)})
        response = self._back(target, "token", f"{self._cookie_status(jar)}-{NOT_OFFERED}", token)
        response.headers.append("set-cookie", f"{BOUND}={browser}; {THIRD_PARTY}")
        return response

    async def _opt_out(self, request: Request) -> Response:
        """Durable first, then the cookies, then the look whether they are there."""
        target = self._target(request)
        token = self._tokens.read(request.query_params.get("token", ""), TOKEN_SECONDS) or {}
        if not self._bond(target, _bound(jar_of(request.scope))).items() <= token.items():
            return self._mismatch(target)
        visitor = self._visitors.read(request.scope)
        try:
            await self._choose(self._visitors.subjects(visitor), Manner.WEB, once=token["once"])
        except Used:
            return self._mismatch(target)
        except StoreUnavailable:
            self._metrics.refused_forms.labels("not_kept").inc()
            return self._opting_out(self._finish(target, FAILURE, "not_kept"))
        check = self._checks.make({"to": target})
        response = self._opting_out(_redirect(f"{PATH}/verify?check={check}"))
        response.headers.append("set-cookie", f"{BOUND}=; Max-Age=0; {THIRD_PARTY}")
        return response

    async def verify(self, request: Request) -> Response:
        """`GET /adchoices/verify`: where an opt-out leads first. What the browser sends now is the result."""
        check = self._checks.read(_one(request, "check"), TOKEN_SECONDS)
        if check is None or check["to"] not in self._targets:
            raise Problem("malformed", "check is not of an opt-out that was just made")
        if (self._options.cookie, OPT_OUT_VALUE) in jar_of(request.scope):
            return self._finish(check["to"], SUCCESS, "opted_out")
        return self._finish(check["to"], FAILURE, "cookie_not_kept")

    async def _trust(self, _: Request) -> Response:
        """The older tool's way to make this host one that was visited: a session cookie, no redirect."""
        return Response(headers={"Cache-Control": "no-store", "Set-Cookie": f"{TRUST_COOKIE}; {THIRD_PARTY}"})

    def _bond(self, target: str, browser: str) -> dict[str, object]:
        """What a token is good for: this participant, this way back, this browser."""
        digest = hashlib.sha256(browser.encode()).hexdigest()  # the token passes through another site
        return {"participant": self._options.participant, "to": target, "browser": digest}

    def _target(self, request: Request) -> str:
        target = self._targets.get(_one(request, "rd"))
        if target is None:
            raise Problem("malformed", "rd is none of the hosts that an answer may lead to")
        return target

    def _cookie_status(self, jar: Sequence[tuple[str, str]]) -> int:
        if (self._options.cookie, OPT_OUT_VALUE) in jar:
            return OPTED_OUT
        return IBA if any(name in self._options.iba_cookies for name, _ in jar) else NO_IBA

    def _opting_out(self, response: Response) -> Response:
        """Sets the opt-out cookie and ends those of interest-based advertising, here and on the shared domain."""
        shared = f"; Domain={self._options.cookie_domain}" if self._options.cookie_domain else ""
        name, life = self._options.cookie, f"Max-Age={OPT_OUT_SECONDS}"
        set_cookies = [f"{name}={OPT_OUT_VALUE}; {life}; {THIRD_PARTY}{shared}"]
        for iba in self._options.iba_cookies:
            set_cookies += [f"{iba}=; Max-Age=0; {THIRD_PARTY}{domain}" for domain in dict.fromkeys(("", shared))]
        for cookie in set_cookies:
            response.headers.append("set-cookie", cookie)
        return response

    def _finish(self, target: str, result: int, message: str) -> Response:
        return self._back(target, "finish", OPT_OUT, f"{result}-{NOT_OFFERED}", message)

    def _mismatch(self, target: str) -> Response:
        self._metrics.refused_forms.labels("token").inc()
        return self._finish(target, MISMATCH, "token")

    def _back(self, target: str, step: str, *words: str) -> Response:
        return _redirect("/".join([target, step, str(self._options.participant), *words]))

    # --- TokenChoices, AppChoices ----------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        """`GET` or `POST /adchoices/pr.png`: an opt-out of a hashed e-mail or phone; 200 says that it was taken."""
        asked = await _parameters(request)
        return await self._take(adchoices.read_token(asked, participant=self._options.participant), Manner.WEB)

    async def app(self, request: Request) -> Response:
        """`GET` or `POST /adchoices/app?os=ios|android&adid=%adid`: an opt-out of a phone's advertising id."""
        return await self._take(adchoices.read_app(await _parameters(request)), Manner.APP)

    async def _take(self, read: list[TokenChoice] | Malformed, manner: Manner) -> Response:
        if isinstance(read, Malformed):
            self._metrics.malformed([read])
            raise Problem("malformed", f"{read.reason} cannot be read")
        identifiers = [{"type": one.kind, "value": one.value, "source": one.source} for one in read if one.opted_out]
        named = self._consent.people.name(identifiers)
        if named.subjects:
            await self._choose(named.subjects, manner)
        elif identifiers and not named.only_limited:  # a withheld id denies already, and no key is made of it
            raise Problem("nothing_usable", "no identifier of this request can be used")
        return wire.wire_answer({"taken": True})  # and nothing of the person's state: anybody may ask for any digest

    # --- both ------------------------------------------------------------------------------------------------

    async def _choose(self, subjects: Sequence[Subject], manner: Manner, *, once: str = "") -> None:
        """The opt-out in the ledger, and `once` used up in the same transaction. Raises `Used`."""
        now = self._consent.clock()
        choice = Choice(
            ChoiceKind.OPT_OUT,
            self._options.purposes,
            Source.AD_CHOICES,
            now,
            manner=manner,
            details={"participant": self._options.participant},
        )
        use = (lambda tx: idempotency.use_token(tx, f"ad-choices:{once}", milliseconds(now))) if once else None
        await self._consent.choose(subjects, choice, allow=use)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)


async def _parameters(request: Request) -> Mapping[str, object]:
    """The query, under the members of a JSON object or the fields of a form."""
    query: dict[str, object] = dict(request.query_params)
    body = await wire.read_body(request, form.MAX_BYTES) if request.method == "POST" else b""
    if not body:
        return query
    if wire.media_type(request) == "application/x-www-form-urlencoded":
        return query | dict(parse_qsl(body.decode("utf-8", "replace")))
    return query | wire.as_object(wire.parse_body(body, lenient=True), "the body")


def _one(request: Request, name: str) -> str:
    """A parameter that stands once: of two, one reader would take the first and another the last."""
    values = request.query_params.getlist(name)
    if len(values) != 1:
        raise Problem("malformed", f"{name} stands once in the query")
    return values[0]


def _bound(jar: Sequence[tuple[str, str]]) -> str:
    return next((value for name, value in jar if name == BOUND and NONCE.fullmatch(value)), "")


def _redirect(location: str) -> Response:
    return RedirectResponse(location, 302, {"Cache-Control": "no-store"})
