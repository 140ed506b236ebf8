"""A system of the operator's own, as its maker would write it after `gateway help systems`: it keeps people in a dict,
checks each message with the specification's library, and answers `deleted` only once they are gone from it.
"""

import contextlib
import json
import threading

from standardwebhooks import Webhook

from support.listening import Quiet, listening


class OwnSystem:
    """`says`: what it answers to a deletion; None: a 503. `arrived`: (message id, body) of each try."""

    def __init__(self, people=()):
        self.people, self.arrived, self.says = set(people), [], {"status": "deleted"}
        self.headers, self.secret, self.url = [], None, ""
        self.hangs = threading.Event()
        self.hangs.set()

    def take(self, headers, body):
        """The status and the body of its answer."""
        self.arrived.append((headers["webhook-id"], json.loads(body)))
        if self.secret:
            Webhook(self.secret).verify(body, {name.lower(): value for name, value in headers.items()})
        self.hangs.wait(60)
        said = json.loads(body)
        if said["type"] != "delete":
            return 204, b""
        if self.says is None:
            return 503, b""
        if isinstance(self.says, dict) and self.says.get("status") == "deleted":
            self.people -= {each["value"] for each in said["identifiers"]}
        return 200, self.says if isinstance(self.says, bytes) else json.dumps(self.says).encode()

    def told(self, word):
        """Its messages of a kind, without those that came again."""
        return list({name: said for name, said in self.arrived if said["type"] == word}.values())


@contextlib.contextmanager
def own_system(*people):
    system = OwnSystem(people)

    class Handler(Quiet):
        def posted(self):
            status, answer = system.take(dict(self.headers), self.body())
            with contextlib.suppress(OSError):  # whoever asked may be gone
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

    with listening(Handler) as system.url:
        try:
            yield system
        finally:
            system.hangs.set()


def listed(file, **systems):
    """A file of settings with these systems: each an address, or with identifiers and more in lines of its own."""
    lines = []
    for name, said in systems.items():
        url, kinds, *more = said if isinstance(said, tuple) else (said, '["email", "phone", "account"]')
        lines += [f"[systems.{name}]", f"identifiers = {kinds}", f'endpoint = "{url}"', *more]
    file.write_text("\n".join(lines) + "\n")
    return file
