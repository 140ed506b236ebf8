"""Who calls: the Bearer key of a request and its scopes. Every door asks here first."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from gateway.keys.api_keys import ApiKey, Credentials
from gateway.web.shell import wire
from gateway.web.shell.edge import KEY_NAME
from gateway.web.shell.problem import Problem


def request_id(request: Request) -> str:
    """The answer's Gateway-Request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def key_of(scope: Scope, credentials: Credentials) -> ApiKey | None:
    """The key that a request shows, revoked or not; None where it shows none that is ours."""
    scheme, _, bearer = Headers(scope=scope).get("authorization", "").partition(" ")
    return credentials.find(bearer.strip()) if scheme.lower() == "bearer" else None


def anybody(request: Request, credentials: Credentials, *, revoked: bool = False) -> ApiKey:
    """The key of the request, whatever its scopes."""
    key = key_of(request.scope, credentials)
    state = request.scope.setdefault("state", {})
    if key is None or key.publishable:
        state[wire.ANYBODYS] = True
    if key is not None:
        state[KEY_NAME] = key.name
    if key is None or (key.revoked and not (revoked and key.publishable)):
        raise Problem("unauthorized", "Authorization: Bearer <id>.<secret>; make one with `gateway keys add`")
    return key


def caller(request: Request, credentials: Credentials, *scopes: str, revoked: bool = False) -> ApiKey:
    """The key of the request, which has one of the scopes. `revoked`: a revoked publishable key is still heard, for it
    may opt out.
    """
    key = anybody(request, credentials, revoked=revoked)
    want(key, *scopes)
    return key


def want(key: ApiKey, *scopes: str) -> None:
    """Raises `Problem` where a key has none of the scopes."""
    if not set(scopes) & set(key.scopes):
        raise Problem("forbidden", f"this call wants scope {' or '.join(scopes)}")
