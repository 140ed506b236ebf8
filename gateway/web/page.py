"""What our own pages have in common: their headers and their templates. Never knows what a page says."""

import jinja2

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",  # no-referrer would make the form's own post `Origin: null` (R32)
    "X-Content-Type-Options": "nosniff",
    "Vary": "Sec-GPC, Cookie",
}


def templates() -> dict[str, jinja2.Template]:
    """All of them, read once."""
    made = jinja2.Environment(loader=jinja2.PackageLoader("gateway.web"), autoescape=True, auto_reload=False)
    return {name: made.get_template(name) for name in made.list_templates()}
