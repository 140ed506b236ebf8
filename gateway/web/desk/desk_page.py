"""What the desk's pages have in common: their headers, templates, style and the one script, and what a browser keeps
for them. Every page of the desk calls it.

They are in English, and are nobody else's: never cached, never framed. All of them work without script but the ceremony
of a passkey, which browsers offer to scripts alone.
"""

from functools import cache

import jinja2
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.desk.office.officers import Officer
from gateway.desk.own_systems import PREFIX
from gateway.web.shell import page
from gateway.web.shell.brand import brand_of

ROOT = "/desk"
STYLE, SCRIPT = "desk.css", "desk.js"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
SESSION, STEP, INVITATION = "__Host-desk", "__Host-desk-step", "__Host-desk-invitation"
LASTS = 600  # seconds of a cookie that is no session's
ONLY_HERE, COMING_BACK = "Strict", "Lax"  # a company's sign-in leads back from another site


def show_desk(
    request: Request, template: str, status: int = 200, officer: Officer | None = None, **values: object
) -> Response:
    """A page of the desk. `values` are the template's own."""
    text = desk_templates()[template].render(
        officer=officer,
        site=brand_of(request).name,
        style=page.version(style_of_desk()),
        script=page.version(page.static(SCRIPT)),
        path=request.url.path,
        **values,
    )
    return Response(text, status, HEADERS, "text/html")


def go_on(way: str) -> Response:
    """Behind a form: on to a page of the desk."""
    return RedirectResponse(way, 303, HEADERS)


def as_file(content: bytes | str, name: str, media: str) -> Response:
    """A file to be saved."""
    attached = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers={**HEADERS, **attached}, media_type=media)


@cache
def desk_templates() -> dict[str, jinja2.Template]:
    """By name; read at the start, so that no request waits for a file."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.web.desk"),
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["told_name"] = told_name
    return {name: made.get_template(name) for name in made.list_templates()}


def told_name(recipient: str) -> str:
    """Who is told, as an officer calls them: the mark of an own system is a word of the outbox alone."""
    system = recipient.removeprefix(PREFIX)
    return recipient if system == recipient else f"own system {system}"


def style_of_desk() -> bytes:
    """The pages' own style, and what the desk has beside it."""
    return page.static(page.STYLE) + page.static(STYLE)


async def desk_style(request: Request) -> Response:
    """`GET /desk/desk.css`."""
    return page.show_file(request, style_of_desk(), "text/css")


async def desk_script(request: Request) -> Response:
    """`GET /desk/desk.js`: the ceremony of a passkey, and nothing else."""
    return page.show_file(request, page.static(SCRIPT), "text/javascript")


def with_cookie(response: Response, name: str, value: str, same_site: str = ONLY_HERE) -> Response:
    """The answer, with a cookie of ours; an empty value takes it away."""
    life = f"; Max-Age={LASTS if value else 0}" if name != SESSION or not value else ""
    cookie = f"{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}{life}"
    response.headers.append("Set-Cookie", cookie)
    return response


def cookie_of(request: Request, name: str) -> str:
    """The value of a cookie of ours; one that came twice is nobody's."""
    pairs = [part.strip().partition("=") for part in request.headers.get("cookie", "").split(";")]
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 else ""
