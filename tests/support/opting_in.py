"""A person before our pages: a browser that keeps its cookies, presses what stands there, and reads its mail."""

import asyncio
import contextlib
import re
import time
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.app.composition import now
from gateway.keys import api_keys, secret_files
from support import inside
from support.mailbox import mailbox

FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class Browser:
    """One browser. `calling`: a client of the application; `box`: where mail arrives."""

    def __init__(self, calling, box=None, **headers):
        self.calling, self.box, self.jar = calling, box, {}
        self.headers = {"Sec-Fetch-Site": "same-origin", **headers}
        self.urls = []

    async def _went(self, answer):
        """Keeps the cookies, and follows where it is sent."""
        self.urls.append(str(answer.request.url))
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.jar |= {name: value}
            if "Max-Age=0" in line:
                del self.jar[name]
        if answer.status_code == 303:
            parts = urlsplit(answer.headers["location"])
            return await self.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        return answer

    def _headers(self):
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return self.headers | ({"Cookie": cookies} if cookies else {})

    async def get(self, path):
        return await self._went(await self.calling.get(path, headers=self._headers()))

    async def post(self, path, **fields):
        return await self._went(await self.calling.post(path, data=fields, headers=self._headers()))

    async def opts_out(self, **fields):
        return await self.post("/privacy-choices", action="opt_out", **fields)

    async def reads_notice(self, what="sale", by="browser", **typed):
        """The notice, by way of a code where one is needed."""
        shown = await self.post("/privacy-choices/opt-in", what=what, by=by, **typed)
        return await self.enters() if typed and shown.status_code == 200 else shown

    async def asks_code(self, use="access", **typed):
        return await self.post("/privacy-choices/code", action="send", use=use, **typed)

    async def enters(self, code=None):
        return await self.post("/privacy-choices/code", action="enter", code=code or self.box.code())

    async def presses(self, shown, action, **more):
        """The button on a page, with what is hidden in its form."""
        path = "/privacy-choices/opt-in/confirm" if action == "confirm" else "/privacy-choices/opt-in"
        return await self.post(path, action=action, **{**hidden(shown.text), **more})

    async def opts_in(self, **way):
        """The whole way: the last page."""
        first = await self.reads_notice(**way)
        assert first.status_code == 200, first.text
        second = await self.presses(first, "opt_in")
        assert second.status_code == 200, second.text
        return await self.presses(second, "confirm")


def hidden(text: str) -> dict[str, str]:
    return dict(FIELD.findall(text))


class Clock:
    """Now, and later where a test says so."""

    def __init__(self):
        self.later = timedelta(0)

    def __call__(self):
        return now() + self.later


class Site:
    def __init__(self, calling, box, clock, accounts):
        self.calling, self.box, self.clock, self._accounts = calling, box, clock, accounts

    def browser(self, account="", seconds=600, **headers):
        if account:
            asserted = api_keys.assert_account(self._accounts, account, int(time.time()) + seconds)
            headers["Gateway-Account"] = asserted
        return Browser(self.calling, self.box, **headers)

    async def call(self, path, **body):
        return (await self.calling.post(path, json=body, headers=inside.DEV)).json()

    async def sale(self, *identifiers, **more):
        """The reason of a check about a sale in a state where nobody need be asked."""
        body = {"identifiers": list(identifiers), "recipient": "advertisers", "purpose": "targeted_ads"}
        return (await self.call("/v1/check", **{**body, "data": ["ad_id"], "place": "US-TX", **more}))["reason"]

    async def entries(self):
        return (await self.calling.get("/readyz")).json()["ledger"]["entries"]


@contextlib.asynccontextmanager
async def standing(folder, file=None, **more):
    """A site whose codes go through a real mail server, for people of any age. `file`, `more`: as `inside.settings`."""
    clock = Clock()
    secrets = await asyncio.to_thread(secret_files.load_secrets, inside.install(folder))
    with mailbox() as (box, port):
        configured = inside.settings(
            file,
            mail__server="127.0.0.1",
            mail__port=str(port),
            mail__security="none",
            mail__from_address="p@example.com",
            age__floor="0",
            **more,
        )
        async with inside.application(folder, configured, clock=clock) as app, inside.client(app) as calling:
            yield Site(calling, box, clock, secrets.accounts[-1])
