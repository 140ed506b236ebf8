"""What our own pages have in common: their headers, their languages and their templates. Every page calls it.

A template writes its texts as `{% trans %}…{% endtrans %}` or `_("…")`, and a link to another page of ours as `{{
to("/privacy-choices") }}`, which keeps the language that was asked for by a link; of a file, which has none, as `{{
file("…") }}`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from gateway.web.shell import language

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
    chosen = language.language_of(request)

    def to(path: str, **query: str | Sequence[str]) -> str:
        return page_link(request, path, **query)

    text = _templates(chosen)[template].render(
        language=chosen,
        languages=language.LANGUAGES,
        path=placed(request, request.url.path),
        kept=_kept(request),
        to=to,
        file=lambda path: placed(request, path),
        **values,
    )
    return Response(text, status, {**HEADERS, "Content-Language": chosen}, "text/html")


def _kept(request: Request) -> str:
    """What a link to another language takes along, before its own parameter: which fields could not be read."""
    unread = [("unread", field) for field in request.query_params.getlist("unread")[:2]]  # the form has two to read
    return f"{urlencode(unread)}&" if unread else ""


def page_link(request: Request, path: str, **query: str | Sequence[str]) -> str:
    """A path of ours in the language that was asked for by a link, if one was. A list of values is a parameter each."""
    wanted = language.asked(request)
    said = {**query, **({language.PARAMETER: wanted} if wanted else {})}
    text = urlencode(said, doseq=True)
    return placed(request, f"{path}?{text}" if text else path)


def placed(request: Request, path: str) -> str:
    """A path of ours as a browser asks for it, where the gateway is mounted below a prefix."""
    return f"{request.scope.get('state', {}).get('prefix', '')}{path}"


class _Compiled(jinja2.BytecodeCache):
    """Templates are the same code in every language: compiled once, which is a fifth of a second of each start."""

    def __init__(self) -> None:
        self._code = dict[str, bytes]()

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_compiled = _Compiled()


@cache
def _templates(chosen: str) -> dict[str, jinja2.Template]:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.web"),
        autoescape=True,
        auto_reload=False,
        bytecode_cache=_compiled,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True  # a text's line breaks in the template are not part of it
    said = language.words(chosen)
    made.install_gettext_callables(said.gettext, said.ngettext, newstyle=True)  # type: ignore[attr-defined]
    return {name: made.get_template(name) for name in made.list_templates()}


for each in language.LANGUAGES:
    _templates(each)  # read now, so that no request waits for a file
