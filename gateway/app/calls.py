"""Every call that callers, proxies and people can make: what it takes and what it answers. `gateway.app.openapi` makes
the description of them; a test compares the paths with the routes that there are.

Under `schema` stands a shape, of which the schema is made, or a tuple of shapes of which it is any.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.consent.disclosing import OUTCOMES
from gateway.consent.tokens import UnsubscribeLinkBody
from gateway.replica.feed import CHALLENGE, HEADER
from gateway.signals.form import ChoicesForm
from gateway.web.api import answering_clock
from gateway.web.api.agents import AgentErrorBody, AgentKnownBody, AgentStatusBody, AgentTokenBody
from gateway.web.api.check import ChecksBody, ExplainedBody, ExplainedByRecipient
from gateway.web.api.check_answer import RefusedCheck, VerdictBody, VerdictsBody
from gateway.web.api.choice_body import ChoiceBody
from gateway.web.api.choices import ChosenBody, ToConfirm
from gateway.web.api.codes import CodeRequest, CodeSent
from gateway.web.api.desk_doors import (
    DueBody,
    ErasedBody,
    ErasureBody,
    LinkBody,
    LinkedBody,
    ProvedLink,
    ReportBody,
    ReportTaken,
    YearBody,
)
from gateway.web.api.disclosures import (
    BatchBody,
    BatchTakenBody,
    DisclosureQuestion,
    DisclosuresFound,
    DisclosuresReceived,
)
from gateway.web.api.feed import STREAM, ChangeBody, LeaseAsked, LeaseBody
from gateway.web.api.health import API, DeletionKeys, ReadyBody, SelfBody, UpBody
from gateway.web.api.observe import ObservationBody, ObservedBody, StandingBody, StandingRequest
from gateway.web.api.share import JOB, ManifestBody
from gateway.web.api.texts import TextBody, TextDone
from gateway.web.pages.choices import GpcStatement
from gateway.web.pages.codes import CodeForm
from gateway.web.pages.confirmation import ProofForm, ProofsBody
from gateway.web.pages.data import AccessRequest, DataForm, EraseForm
from gateway.web.pages.opt_in import OptInForm
from gateway.web.pages.unsubscribe import UnsubscribeRequest
from gateway.web.shell import problem, wire
from gateway.web.shell.access_report import AccessReportBody
from gateway.web.site.status import StatusBody

Described = dict[str, Any]
Answers = Mapping[str, object]  # by status: what it means; or that, and the shapes of its JSON or other media types
FORM, HTML = "application/x-www-form-urlencoded", "text/html"
ANY = ("",)  # of a call that any key may make, or one that proves whom it is about
KEPT = "kept durably, entered once the ledger can be written; do not resend"
ERRORS = {
    "400": "malformed, or a member that is not known", "401": "no key", "403": "the key lacks the scope, or no proof",
    "408": "the body came too slowly", "409": "as many as may be",
    "410": "begin anew", "413": "too large; of a publishable key: beyond 128 KiB, unpacked",
    "415": "another media type", "422": "understood and not possible", "429": "enough codes for now",
    "502": "it could not be sent", "503": "nothing was kept",
}  # fmt: skip
ALL = ("400", "401", "403", "413", "415")
LINES = Annotated[str, Meta(
    description="one a line; where lines are answered one by one, what is refused says its `line`, counted from 1 with"
    " empty ones"
)]  # fmt: skip


def described(
    summary: str, answers: Answers, *, body: object = None, form: object = None, lines: bool = False,
    errors: tuple[str, ...] = (), scopes: tuple[str, ...] = (), parameters: tuple[Described, ...] = (),
) -> Described:  # fmt: skip
    """One call. `lines`: of whose body also comes as NDJSON. `scopes`: it wants a key that has one of them."""
    responses = {code: _answer(told) for code, told in answers.items()}
    refused = {problem.MEDIA_TYPE: {"schema": problem.ProblemBody}}
    responses |= {code: {"description": ERRORS[code], "content": refused} for code in errors}
    made: Described = {"summary": summary, "responses": responses, "x-since": API}
    if scopes:
        made["security"] = [{"key": [scope] if scope else []} for scope in scopes]
    if parameters:
        made["parameters"] = [*parameters]
    taken = {wire.JSON: body, wire.NDJSON: LINES if lines else None, FORM: form}
    content = {kind: {"schema": shape} for kind, shape in taken.items() if shape is not None}
    if content:
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answer(told: object) -> Described:
    """Of an answer what it means, its shapes, and media types whose content is text."""
    text, *parts = told if isinstance(told, tuple) else (told,)
    shapes = tuple(part for part in parts if not isinstance(part, str))
    content: Described = {wire.JSON: {"schema": shapes if len(shapes) > 1 else shapes[0]}} if shapes else {}
    content |= {kind: {"schema": str} for kind in parts if isinstance(kind, str)}
    return {"description": text} | ({"content": content} if content else {})


def _named(name: str, where: str, shape: object = str, text: str = "", *, required: bool = False) -> Described:
    found = {"name": name, "in": where, "schema": shape}
    found |= {"required": True} if required else {}
    return found | ({"description": text} if text else {})


def _in_path(name: str, shape: object = str) -> Described:
    return _named(name, "path", shape, required=True)


def _headers(*names: str, text: str = "") -> Described:
    return {name: {"schema": str} | ({"description": text} if text else {}) for name in names}


OF_CLOCK = _headers(answering_clock.HEADER, text="by which clock the times are: read none by that of another word")
EVENT, TOKEN, REST = _in_path("event"), _in_path("token"), _in_path("path")
REPEAT = _named("Idempotency-Key", "header", Annotated[str, Meta(max_length=256)]) | {
    "description": "One an act, with the same body at each try. With another one a no is another no, and all else is a"
    " 422. With a publishable key it is the phone's own, by its device token or else by the identifiers."
}
Bit = Literal["1", "0"]
OF_LINES = (ChangeBody, RefusedCheck)  # which texts name


def paths() -> Described:
    """All of them, by path and method."""
    return {
        **_public(), **_log(), **_inside(), **_checked(), **_told_by_apps(), **_desk(), **_person(), **_shared(),
        **_copied(), **_agents(), **_marketing(), **_pages(),
    }  # fmt: skip


def _public() -> Described:
    """What a site's visitors call."""
    done = {"200": "of opt_in: the text to confirm", "303": "to the confirmation", "202": KEPT,
            "422": "of opt_in and confirm: not possible"}  # fmt: skip
    stopped = {name: text for name, text in done.items() if name != "422"} | {"422": "HTML: nobody is named"}
    form = ("400", "403", "413", "415", "503")
    proofs = described(
        "Receipt and opening, once, to the browser that posted", {"303": "not here", "200": ("a file", ProofsBody)},
        form=ProofForm, errors=("403", "413", "503"),
    )  # fmt: skip
    held = {"303": "of forget: back to the page",
            "200": ("HTML, or a file with action=download", AccessReportBody, HTML)}  # fmt: skip
    return {
        "/dsrdelete.json": {"get": described("The key of our deletion requests",
            {"200": ("JSON", DeletionKeys), "404": "there are none"})},
        "/.well-known/gpc.json": {
            "get": described("Statement of GPC support", {"200": ("JSON", GpcStatement)})
        },
        "/privacy-choices": {
            "get": described("The choices page", {"200": "HTML"}),
            "post": described("Opt out or limit, one step; opt in, two steps", done, form=ChoicesForm,
                              errors=form),
        },
        "/privacy-choices/done/{event}": {
            "get": described("Confirmation", {"200": "HTML", "404": "unknown"}, parameters=(EVENT,))
        },
        "/privacy-choices/marketing": {
            "get": described("Marketing preferences", {"200": "HTML"}),
            "post": described("Stop marketing, all or by channel, one step", stopped, form=ChoicesForm,
                              errors=form),
        },
        "/privacy-choices/status": {
            "get": described("What holds for this browser", {"200": ("JSON", StatusBody)})
        },
        "/privacy-choices/observe": {
            "post": described("What only the page's script sees", {"200": ("JSON", StatusBody)},
                              body=wire.ScriptSignals, errors=("400", "403", "413", "415"))
        },
        "/privacy-choices/proof": {"post": proofs | {"x-404": "no such submission"}},
        "/privacy-choices/data": {
            "get": described("What this browser proves, and the way to its report", {"200": "HTML"}),
            "post": described("What is held and who received it", held, form=DataForm,
                              errors=("400", "403", "413", "503")),
        },
        "/privacy-choices/receipt/{event}": {"get": _receipt()},
    }  # fmt: skip


def _receipt(*scopes: str) -> Described:
    found = {"200": "text/plain: a C2SP tlog-proof", "404": "no such receipt", "503": "not now"}
    found |= {"401": "any key may ask"} if scopes else {}
    return described("The receipt of an event; it names nobody", found, scopes=scopes, parameters=(EVENT,))


def _log() -> Described:
    """The transparency log, C2SP tlog-tiles."""
    there = {"200": "text/plain: a signed note", "404": "nothing was signed yet", "503": "not now"}
    tile = {"200": "bytes", "401": "entry bundles want a key", "403": "of scope export", "404": "no such tile",
            "503": "not now"}  # fmt: skip
    kept = described("A tile, or an entry bundle", tile, parameters=(REST,))
    return {
        "/ledger/checkpoint": {"get": described("The last signed checkpoint", there)},
        "/ledger/tile/{path}": {"get": kept},
        "/v1/receipts/{event}": {"get": _receipt(*ANY)},
    }


TO_SITE_AND_BROWSER = (
    "Gateway-Consent", "Gateway-Browser", "Gateway-Place", "Gateway-Request", "Cookie", "Set-Cookie",
    "Content-Security-Policy", "Cache-Control", "Vary",
)  # fmt: skip


def _inside() -> Described:
    """What the operator's own machines ask."""
    ready = {"200": ("ready", ReadyBody), "503": ("not", ReadyBody)}
    strict = _named("strict", "query", str, "tells the alarms as well")
    itself = described("What this installation is", {"200": ("JSON", SelfBody)}, scopes=ANY, errors=("401",))
    itself["responses"]["200"]["headers"] = OF_CLOCK
    return {
        "/authz/nginx": _authz("204"), "/authz/forward": _authz("204"), "/authz/envoy/{path}": _authz("200", REST),
        "/livez": {"get": described("Up", {"200": ("up", UpBody)})},
        "/readyz": {"get": described("Keeping and answering", ready, parameters=(strict,))},
        "/v1/self": {"get": itself},
    }  # fmt: skip


def _authz(status: str, *path: Described) -> Described:
    """Any method; GET stands for all."""
    told = f"the headers tell what holds for the visitor; {status} always, but for [site] ad_paths"
    answers = {status: told, "403": "one of [site] ad_paths, of somebody who must not be tracked"}
    asked = described("A proxy asks about a page (inside only)", answers, parameters=path)
    asked["responses"][status]["headers"] = _headers(*TO_SITE_AND_BROWSER)
    return {"get": asked}


WARNING = _headers("Gateway-Warning", text="what was asked for and is not configured")
OF_A_BID = _headers(
    "Gateway-Verdict", "Gateway-Reason", "Gateway-Removed", "Gateway-Decision", "Gateway-Valid-For-Ms",
    "Gateway-Dry-Run",
)  # fmt: skip
BIDDERS = (
    _named("recipient", "query", Annotated[list[str], Meta(min_length=1, max_length=wire.MAX_RECIPIENTS)],
           required=True),
    *(_named(name, "query") for name in ("place", "age", "purpose")),
    *(_named(name, "query", Bit) for name in ("dry_run", "will_send")),
)  # fmt: skip
MAY_BE_SENT = (
    "the request, or patches by recipient. Gateway-Verdict: allow; reduced, it still tells of a person;"
    " contextual, nobody is in it; block, nothing may be sent. Any other word reads block."
)
RESULTS = ("recorded", "repeated", "denied", "expired", "unknown", "malformed")
OF_WHAT = (
    f"outcome: {', '.join(sorted(OUTCOMES))}. Of a decision (scope check); or of rows that were handed back (scope"
    " share): of a job all of them, of an id with its job or recipient one, with the mark of its line as it was handed"
    " back there and no other time. Those answer with `rows`, how many"
)


def _checked() -> Described:
    """Whether data may go."""
    one = described("May this data go to this recipient now?",
                    {"200": ("the verdict, yes or no", VerdictBody, VerdictsBody)}, body=wire.Check,
                    scopes=("check",), errors=(*ALL, "503"))  # fmt: skip
    one["responses"]["200"]["headers"] = WARNING
    bid = described("What may be sent of a bid request", {"200": (MAY_BE_SENT, dict[str, Any])}, body=dict[str, Any],
                    scopes=("check",), errors=(*ALL, "503"), parameters=BIDDERS)  # fmt: skip
    bid["responses"]["200"]["headers"] = WARNING | OF_A_BID
    several = Annotated[list[wire.Check], Meta(max_length=wire.MAX_LINES)]
    answered = ("a verdict each: `Verdict`, `Verdicts`, or `RefusedCheck`", list[dict[str, Any]], wire.NDJSON)
    many = described("Many checks, answered in order", {"200": answered}, body=(several, ChecksBody), lines=True,
                     scopes=("check",), errors=ALL)  # fmt: skip
    many["responses"]["200"]["headers"] = OF_CLOCK
    tried = ("the verdict and the chain", ExplainedBody, ExplainedByRecipient)
    told = f"a line a report with its `result`, {', '.join(RESULTS)}; then the end"
    reported = described("What became of answers", {"200": (told, wire.NDJSON)}, body=wire.Disclosure, lines=True,
                         scopes=("check", "share"), errors=(*ALL, "503"))  # fmt: skip
    return {
        "/v1/check": {"post": one},
        "/v1/checks": {"post": many},
        "/v1/openrtb": {"post": bid},
        "/v1/explain": {"post": described("The verdict, and every rule that was tried", {"200": tried},
                                          body=wire.Explain, scopes=("check",), errors=(*ALL, "503"))},
        "/v1/disclosures": {"post": reported | {"description": OF_WHAT}},
    }  # fmt: skip


def _told_by_apps() -> Described:
    """What apps and backends say and ask of somebody."""
    chosen = {
        "200": ("replayed, or withheld ids only; of lines an answer each", ChosenBody, wire.NDJSON),
        "201": ("kept", ChosenBody),
        "202": (f"confirm it; of a no: {KEPT}", ToConfirm, ChosenBody),
    }
    heard = {
        "200": ("heard, and kept where that was news, which is not told", ObservationBody),
        "202": (KEPT, ObservationBody),
    }
    sent = described(
        "Send a code, by which a mailbox or number is shown to be somebody's", {"202": ("on its way", CodeSent)},
        body=CodeRequest, scopes=("choose",), errors=(*ALL, "422", "429", "502", "503"),
    )  # fmt: skip
    return {
        "/v1/choices": {"post": described("A choice", chosen, body=ChoiceBody, lines=True,
                                          scopes=("choose",), errors=(*ALL, "422", "503"), parameters=(REPEAT,))},
        "/v1/observe": {"post": described("Signals without a person's act", heard, body=ObservedBody,
                                          scopes=("choose",), errors=(*ALL, "422", "503"))},
        "/v1/standing": {"post": described("What holds for whom the call proves",
                                           {"200": ("the standing of now", StandingBody)}, body=StandingRequest,
                                           scopes=("choose",), errors=(*ALL, "422", "503"))},
        "/v1/codes": {"post": sent},
    }  # fmt: skip


def _desk() -> Described:
    """What the operator's desk tells and asks."""
    paged = (
        _named("after", "query"),
        _named("limit", "query", Annotated[int, Meta(ge=1, le=1000)]),
    )
    reported = {"200": ("JSON: received, complied, denied and median days by heading", YearBody),
                "404": "no calendar year"}  # fmt: skip
    return {
        "/v1/links": {"post": described("What an account has",
                                        {"200": ("answers by line", wire.NDJSON), "201": ("linked", LinkedBody)},
                                        body=(LinkBody, ProvedLink), lines=True,
                                        scopes=("choose", "desk"), errors=(*ALL, "503"))},
        "/v1/notices/due": {"get": described("Who must be told of something new",
                                             {"200": ("some accounts, in a fixed order", DueBody)}, parameters=paged,
                                             scopes=("export", "desk"), errors=("400", "401", "403", "503"))},
        "/v1/notices": {"post": described("Who was shown or sent a notice",
                                          {"200": ("answers by line", wire.NDJSON), "201": ("recorded", ReportTaken)},
                                          body=ReportBody, lines=True, scopes=("desk",), errors=(*ALL, "503"))},
        "/v1/reports/{year}": {"get": described("A calendar year's requests in numbers (11 CCR 7102)", reported,
                                                scopes=("export",), errors=("400", "401", "403", "503"),
                                                parameters=(_in_path("year"), _named("place", "query")))},
    }  # fmt: skip


def _person() -> Described:
    """What is held about somebody, and forgotten."""
    report = ("the same shape whether anything is known or not", AccessReportBody)
    return {
        "/v1/access": {"post": described("What is held about somebody, for the desk or with proof", {"200": report},
                                         body=AccessRequest, scopes=ANY, errors=(*ALL, "503"))},
        "/v1/erasures": {"post": described("Forget a person",
                                           {"200": ("done: keys destroyed, files cut", ErasedBody)},
                                           body=ErasureBody, scopes=ANY, errors=(*ALL, "422", "503"))},
    }  # fmt: skip


Job = Annotated[str, Meta(pattern=f"^{JOB.pattern}$")]
RECIPIENT = _in_path("recipient")
TRIED_OUT = _named("dry_run", "query", Bit, "1: the real answer, marked, without rows and files; nothing leaves")
SHARED = (
    RECIPIENT,
    TRIED_OUT,
    _named("Prefer", "header", str, "return=minimal: the summary alone, any number of rows"),
    _named("Gateway-Job", "header", Job, "a name for what is posted again where it stopped, and under which it is said"
           " what became of rows that were handed back (POST /v1/disclosures)"),
)  # fmt: skip
ROWS = (
    "A line a row, as it is decided: id, outcome (sent, returned, refused, duplicate, unknown, spooled, shadow: it is"
    " shadow mode, and it did not leave: post it again later), reason, data;"
    ' row, what the recipient gets of it: in mode return all of it, else its handle alone ({"row": …}); in mode return'
    " valid_until, mark (which hand-back this is: say it with what became of it), and again where it was handed back"
    " before and nobody said that it was sent; line, its number in the"
    " body, of one that cannot be read, of which the summary lists the first 100 (malformed_lines). Then"
    ' {"summary", "complete": true}; an answer without that is not whole: post the same rows again'
)


def _shared() -> Described:
    """Rows, and who got what."""
    rows = described("Rows to a recipient", {"200": (ROWS, wire.NDJSON)}, body=wire.Row, lines=True,
                     scopes=("share",), errors=(*ALL, "422", "503"), parameters=SHARED)  # fmt: skip
    rows["responses"]["200"]["headers"] = OF_CLOCK
    seal = described(
        "A job's rows checked again and put into files",
        {"200": ("the manifest, and what became of the files", ManifestBody)},
        scopes=("share",), errors=("400", "401", "403", "503"), parameters=(RECIPIENT, _in_path("job", Job), TRIED_OUT),
    )  # fmt: skip
    asked = described(
        "Who got what: received (of a person, with proof or for the desk), direct_marketing (Cal. Civ."
        " Code 1798.83), network_information (47 CFR 64.2009), sent_after_opt_out (always empty)",
        {"200": ("disclosures", DisclosuresReceived, DisclosuresFound)}, body=DisclosureQuestion, scopes=ANY,
        errors=(*ALL, "503"),
    )  # fmt: skip
    return {
        "/v1/shares/{recipient}": {"post": rows | {"x-404": "no such recipient"}},
        "/v1/shares/{recipient}/jobs/{job}/seal": {"post": seal | {"x-404": "no such recipient, or no rows wait"}},
        "/v1/disclosures/query": {"post": asked},
    }


def _tagged(said: str, *, required: bool) -> Described:
    text = (
        f"CHALLENGE.TAG, both in hex: a challenge that was never used, and the HMAC-SHA256 of {said}"
        f" with what the replica was enrolled with. The answer's `tag` is over the same challenge. A tag that no"
        " replica enrolled with this key has made is 403 (`gateway help replica`)"
    )
    shape = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{CHALLENGE}}}\\.[0-9a-f]{{64}}$")]
    return {**_named(HEADER, "header", shape, text), "required": required}


def _copied() -> Described:
    """What replicas and exports ask and tell."""
    of_a_stream = "it and `after`; of a stream of events alone, and none from whoever keeps an export"
    whole = [_named(name, "query", Annotated[int, Meta(ge=0)]) for name in ("after", "limit")]
    changes = described(
        "What changed of the standings; after=0 brings all of them. An enrolled replica gets rows and edges of the"
        " state instead (`gateway help replica`)",
        {"200": ("a change a line (`Change`)", wire.NDJSON, STREAM)},
        parameters=(*whole, _tagged(of_a_stream, required=False)), scopes=("export", "replica"),
        errors=("400", "401", "403", "410", "503"),
    )  # fmt: skip
    renews = _tagged('["renews",CHALLENGE,holder,applied,log,root,leave]', required=True)
    lease = described(
        "Until when a replica may answer", {"200": ("granted or not yet", LeaseBody)}, body=LeaseAsked,
        scopes=("replica",), parameters=(renews,), errors=("400", "401", "403", "409", "410", "413", "415", "503"),
    )  # fmt: skip
    batch = described(
        "What a replica answered", {"200": ("on record", BatchTakenBody)}, body=BatchBody, lines=True,
        scopes=("replica",), errors=("400", "401", "403", "413", "415", "503"),
    )  # fmt: skip
    return {
        "/v1/changes": {"get": changes}, "/v1/leases": {"post": lease}, "/v1/disclosures/batches": {"post": batch},
    }  # fmt: skip


def _agents() -> Described:
    """What authorized agents ask, by the Data Rights Protocol."""
    refused = {
        code: (text, AgentErrorBody)
        for code, text in {
            "400": "cannot be read, or not now", "401": "no token", "403": "not signed by this agent, or not its own",
            "409": "taken before, or settled", "413": "too large", "422": "nothing of it can be used",
            "429": "too many wait for their people", "503": "not now: send the same message again",
        }.items()
    }  # fmt: skip
    signed = Annotated[str, Meta(description="base64 of an Ed25519 signature and the JSON that it signs")]

    def asked(summary: str, shape: object, *, reads: bool = False, **more: Any) -> Described:
        made = described(summary, {"200": ("as the protocol has it", shape), **refused}, **more)
        taken = {"required": True, "content": {"text/plain": {"schema": signed}}}
        return {**made, "x-404": "no agents are configured"} | ({} if reads else {"requestBody": taken})

    one, agent = (_in_path("request"),), (_in_path("agent"),)
    return {
        "/v1/data-rights-request": {"post": asked("A person's request by an agent", AgentStatusBody)},
        "/v1/data-rights-request/{request}": {
            "get": asked("What became of it", AgentStatusBody, reads=True, parameters=one),
            "delete": asked("Take back what waits", AgentStatusBody, parameters=one),
        },
        "/v1/agent/{agent}": {
            "post": asked("A token, for who signs for it; 403 has no body", AgentTokenBody, parameters=agent),
            "get": asked("Whether the token is good", AgentKnownBody, reads=True, parameters=agent),
        },
    }


def _marketing() -> Described:
    """What ends marketing."""
    link = {"200": "HTML", "404": "HTML: no link of ours"}
    clicked = {"200": "HTML: unsubscribed", "202": KEPT, "404": "HTML: no link of ours",
               "503": "HTML: nothing was saved"}  # fmt: skip
    made = {"200": ("a line a line", wire.NDJSON), "404": "[site] url is not configured",
            "201": ("the link and its header fields", UnsubscribeLinkBody)}  # fmt: skip
    done = {"202": (KEPT, TextDone), "200": ("what was done, and what to answer", TextDone)}
    return {
        "/privacy-choices/unsubscribe/{token}": {
            "get": described("One button; changes nothing", link, parameters=(TOKEN,)),
            "post": described("One-click unsubscribe (RFC 8058)", clicked, errors=("408", "413", "415"),
                              parameters=(TOKEN,)),
        },
        "/v1/texts": {"post": described("A text that somebody sent", done, body=TextBody, form=TextBody,
                                        scopes=("choose",), errors=(*ALL, "422", "503"), parameters=(REPEAT,))},
        "/v1/unsubscribe-links": {"post": described("A link that ends marketing", made, body=UnsubscribeRequest,
                                                    scopes=("choose", "desk"), lines=True, errors=ALL)},
    }  # fmt: skip


def _pages() -> Described:
    """Pages for people: each answer is HTML, and a refusal says that nothing was changed."""

    def show(text: str) -> Described:
        return described(text, {"200": "HTML"})

    def post(text: str, done: Answers, form: object) -> Described:
        told = {**done, "403": "HTML or a problem: another site's form, or no proof", "422": "HTML: not possible"}
        return described(text, told, form=form, errors=("400", "413"))

    sent = {"200": "HTML", "303": "on", "429": "HTML: enough for now", "502": "HTML: not sent", "503": "HTML: not now"}
    acts = {**sent, "200": "HTML: the next text"}
    done = described("What holds after opting in", {"200": "HTML", "404": "unknown"},
                     parameters=(EVENT,))  # fmt: skip
    return {
        "/privacy-choices/code": {
            "get": show("The field for a code that is waited for"),
            "post": post("Send a code, or enter it", sent, CodeForm),
        },
        "/privacy-choices/opt-in": {
            "get": show("Allow one use: which, and for whom"),
            "post": post("To the notice, or with action=opt_in the first act", acts, OptInForm),
        },
        "/privacy-choices/opt-in/read": {"get": show("The notice, after a code")},
        "/privacy-choices/opt-in/confirm": {"post": post("The second act", acts, OptInForm)},
        "/privacy-choices/opt-in/done/{event}": {"get": done},
        "/privacy-choices/erase": {
            "get": show("What would be forgotten, and of whom"),
            "post": post("Be forgotten", {"200": "HTML", "503": "HTML: not now"}, EraseForm),
        },
    }
