"""A browser's way to the service as it was before Fetch Metadata, and with the Origin hidden (R32)."""

import contextlib
import urllib.error
import urllib.request

from support.listening import Quiet, listening

HOP = {"connection", "content-length", "transfer-encoding", "host", "date", "server"}


class _Passed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None  # the browser follows by itself


@contextlib.contextmanager
def old_safari(url: str):
    """An address that hands requests on to `url` without Sec-Fetch-* and with `Origin: null`."""
    opener = urllib.request.build_opener(_Passed)

    class Handing(Quiet):
        def do_GET(self):  # noqa: N802 - the library's name
            self.hand_on(None)

        def posted(self):
            self.hand_on(self.body())

        def hand_on(self, body):
            kept = {n: v for n, v in self.headers.items() if n.lower() not in HOP and not n.lower().startswith("sec-")}
            kept |= {"Origin": "null"} if body is not None else {}
            asked = urllib.request.Request(url + self.path, body, kept, method=self.command)
            try:
                answer = opener.open(asked, timeout=10)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                read = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(read)))
                self.end_headers()
                self.wfile.write(read)

    with listening(Handing) as address:
        yield address
