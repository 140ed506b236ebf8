"""A company's own sign-in (OpenID Connect) on this machine: it lets everybody in as the subject that a test says, and
says of them in its ID token what a test wants wrong.
"""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "privacy-desk", "made-up"


class StandInCompany:
    """`says`: members of the ID token in place of the right ones; `key`: what it signs with; `shown`: the public one."""

    def __init__(self) -> None:
        self.key = self.shown = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.subject, self.says, self.issuer = "s-1", {}, ""
        self.nonces, self.asked = {}, []

    def comes_back(self, location: str) -> str:
        """What a browser does there: signs in, and is led back; the address."""
        query = {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}
        self.nonces["code-1"] = query["nonce"]
        self.asked.append(query)
        return f"{query['redirect_uri']}?code=code-1&state={query['state']}"

    def answer(self, path: str, form: dict[str, list[str]]) -> dict:
        if path == "/.well-known/openid-configuration":
            at = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            return {"issuer": self.issuer, **{name: self.issuer + where for name, where in at.items()}}
        if path == "/keys":
            return {"keys": [self.shown.as_dict(private=False)]}
        self.asked.append({name: value[0] for name, value in form.items()})
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": self.subject, "iat": now, "exp": now + 60}
        claims |= {"nonce": self.nonces.get(form["code"][0]), **self.says}
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        return {"access_token": "made-up", "token_type": "Bearer", "id_token": signed}


@contextlib.contextmanager
def standing_in():
    company = StandInCompany()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer({})

        def do_POST(self):
            self._answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def _answer(self, form):
            body = json.dumps(company.answer(urlsplit(self.path).path, form)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    company.issuer = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield company
    finally:
        server.shutdown()
        server.server_close()
