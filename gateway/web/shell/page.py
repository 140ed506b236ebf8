"""What our own pages have in common: their headers, their languages, whose they are, their templates, the notices that
they show, and an error as a page. Every page calls it; the service hands errors to it.

A template writes its texts as `{% trans %}…{% endtrans %}` or `_("…")`, and a link to another page of ours as `{{
to("/privacy-choices") }}`, which keeps the language that was asked for by a link; of a file, which has none, as `{{
file("…") }}`. A notice is a document with a hash: a page includes the very bytes that were logged.

An error is a page where a person's browser asked for one of ours; everybody else gets the problem document. It says
nothing of what was sent; the status is the document's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import escape
from starlette.requests import Request
from starlette.responses import Response

from gateway.desk.documents import Document
from gateway.web.shell import problem, words
from gateway.web.shell.brand import PLACE, Brand, brand_of
from gateway.web.shell.words import ENGLISH, LANGUAGES, mark

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",  # no-referrer would make the form's own post `Origin: null` (R32)
    "X-Content-Type-Options": "nosniff",
    "Vary": "Sec-GPC, Cookie, Accept-Language",
}


def show_page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page in the language of the request. `values` are the template's own."""
    chosen, brand = words.language_of(request), brand_of(request)

    def to(path: str, **query: str | Sequence[str]) -> str:
        return page_link(request, path, **query)

    text = _templates()[template].render(
        brand=brand,
        style=version(style_sheet(brand)),
        logo=brand.logo and version(brand.logo.content),
        language=chosen,
        languages=words.LANGUAGES,
        path=placed(request, request.url.path),
        kept=_kept(request),
        to=to,
        file=lambda path: placed(request, path),
        **values,
    )
    return Response(text, status, {**HEADERS, "Content-Language": chosen}, "text/html")


def _kept(request: Request) -> str:
    """What a link to another language takes along, before its own parameter: which fields could not be read."""
    unread = [("unread", field) for field in request.query_params.getlist("unread")[:3]]  # the form has three to read
    return f"{urlencode(unread)}&" if unread else ""


def page_link(request: Request, path: str, **query: str | Sequence[str]) -> str:
    """A path of ours in the language that was asked for by a link, if one was. A list of values is a parameter each."""
    wanted = words.language_asked(request)
    said = {**query, **({words.LANGUAGE_PARAMETER: wanted} if wanted else {})}
    text = urlencode(said, doseq=True)
    return placed(request, f"{path}?{text}" if text else path)


def placed(request: Request, path: str) -> str:
    """A path of ours as a browser asks for it, where the gateway is mounted below a prefix."""
    return f"{request.scope.get('state', {}).get('prefix', '')}{path}"


@cache
def _templates() -> dict[str, jinja2.Template]:
    """By name; the language is the page's, and each is compiled once."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.web"), autoescape=True, auto_reload=False, extensions=["jinja2.ext.i18n"]
    )
    made.policies["ext.i18n.trimmed"] = True  # a text's line breaks in the template are not part of it
    made.install_gettext_callables(_say, _say_many, newstyle=True)  # type: ignore[attr-defined]
    return {name: made.get_template(name) for name in made.list_templates()}


@jinja2.pass_context
def _say(page: jinja2.runtime.Context, text: str) -> str:
    """As a template takes it, which puts its values in afterwards: what the operator's things are called is no HTML."""
    language, brand = page["language"], page["brand"]
    said = words.say(language, text)
    if not PLACE.search(said):
        return said
    ours = brand.words_in(language)
    return PLACE.sub(lambda place: str(escape(ours[place[0]])).replace("%", "%%"), said)  # at once: no word is a place


@jinja2.pass_context
def _say_many(page: jinja2.runtime.Context, one: str, many: str, number: int) -> str:
    return words.catalogue(page["language"]).ngettext(one, many, number)


def compile_pages() -> None:
    """At the start of an application, so that no request waits for a file. A command that shows no page needs none."""
    static(STYLE)
    _templates()
    for language in LANGUAGES:
        words.catalogue(language)


STYLE = "choices.css"
FOR_EVER = "public, max-age=31536000, immutable"  # a year, which caches take for ever (RFC 9111 section 1.2.2)


@cache
def static(name: str) -> bytes:
    """A file of the owner's `static/` folder: inside the wheel, or beside the package in a checkout."""
    inside = resources.files("gateway") / "static" / name
    if inside.is_file():
        return inside.read_bytes()
    return (Path(__file__).parent.parent.parent.parent / "static" / name).read_bytes()


@cache
def version(content: bytes) -> str:
    """What a page names a file by, `?v=` behind its address: another content, another name."""
    return hashlib.sha256(content).hexdigest()[:16]


def style_sheet(brand: Brand) -> bytes:
    """Everybody's, and behind it the operator's own colours."""
    return static(STYLE) + brand.style


def show_file(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    """A file that is the same for everyone at a host. Asked for by its own version it may be kept for ever (I12)."""
    kept = FOR_EVER if request.query_params.get("v") == version(content) else "public, max-age=3600"
    said = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff", **headers}
    return Response(content, headers=said, media_type=media_type)


PAGES = "/privacy-choices"
NOT_THERE = (mark("This page is not here"), mark("The address may be mistyped, or what it showed is over."))
FAULT = (mark("Something went wrong here"), mark("It is our fault. Please try again in a minute."))
UNREADABLE = (mark("Nothing was saved"), mark("What was sent could not be read. Please use the form on our page."))
SAID = {404: NOT_THERE, 405: NOT_THERE, 500: FAULT, 503: FAULT}


async def handle_with_page(request: Request, error: Exception) -> Response:
    """Starlette's exception handler: the page, or the problem document."""
    document = await problem.handle_problem(request, error)
    if not _is_read_by_a_person(request):
        return document
    title, text = SAID.get(document.status_code, UNREADABLE)
    shown = show_page(request, "problem.html", document.status_code, headline=title, text=text)
    shown.headers.update({name: value for name, value in document.headers.items() if name == "retry-after"})
    return shown


def _is_read_by_a_person(request: Request) -> bool:
    path = request.url.path
    ours = path == PAGES or path.startswith(f"{PAGES}/")
    return ours and "text/html" in request.headers.get("accept", "")


NOTICE_VERSION = "1"
CHOICES_NOTICE = "choices"
MARKETING_NOTICE = "marketing"
OPT_IN_NOTICE = "opt-in"
CONFIRM_NOTICE = "confirm"
NOTICES = (CHOICES_NOTICE, MARKETING_NOTICE, OPT_IN_NOTICE, CONFIRM_NOTICE)


@cache
def load_notice(kind: str, language: str = ENGLISH) -> Document:
    """`kind` is the file's name in web/notices."""
    return Document(kind, NOTICE_VERSION, language, _notice_path(kind, language).read_bytes())


@cache
def notice_in_languages(kind: str) -> Mapping[str, Document]:
    """The text in each language that it is written in; read once."""
    return {language: load_notice(kind, language) for language in LANGUAGES if _notice_path(kind, language).is_file()}


def _notice_path(kind: str, language: str) -> Traversable:
    return resources.files("gateway.web") / "notices" / f"{kind}.{language}.txt"


def shipped_notices() -> list[Document]:
    return [document for kind in NOTICES for document in notice_in_languages(kind).values()]


def paragraphs(document: Document) -> list[str]:
    return [part.strip() for part in document.body.decode().split("\n\n") if part.strip()]
