"""An error as a page that a person can read, where a person's browser asked for one of our pages. The service hands
errors to it.

Everybody else gets the problem document. Says nothing of what was sent; the status is the document's.
"""

from starlette.requests import Request
from starlette.responses import Response

from gateway.web.shell import page, problem
from gateway.web.shell.language import mark

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
    shown = page.show_page(request, "problem.html", document.status_code, headline=title, text=text)
    shown.headers.update({name: value for name, value in document.headers.items() if name == "retry-after"})
    return shown


def _is_read_by_a_person(request: Request) -> bool:
    path = request.url.path
    ours = path == PAGES or path.startswith(f"{PAGES}/")
    return ours and "text/html" in request.headers.get("accept", "")
