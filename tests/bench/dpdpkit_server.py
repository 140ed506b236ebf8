"""dpdpkit behind its own FastAPI routes, as `peers_bench.py` measures it, in an environment of its own:
`dpdpkit_server.py PORT DATABASE`. Who calls says so in a header. Beside its routes two of ours, in its own way: one that
asks `consent.check` as its dependency does, and one that asks it many times for one request.
"""

import sys

import uvicorn
import yaml
from dpdpkit.config import STARTER_CONFIG
from dpdpkit.fastapi import DPDPKit
from fastapi import FastAPI

PORT, DATABASE = int(sys.argv[1]), sys.argv[2]

app = FastAPI()
kit = DPDPKit(
    db_url=f"sqlite:///{DATABASE}",
    config=yaml.safe_load(STARTER_CONFIG),
    principal_resolver=lambda request: request.headers.get("x-person"),
    signing_key="of the bench",
    migrate_on_startup=True,
)
kit.install(app, track_activity=False)  # else each check of somebody new would write


@app.get("/check/{who}")
def check(who: str) -> dict[str, bool]:
    return {"allowed": kit.kit.consent.checks.check(who, "marketing")}


@app.get("/checks/{first}/{number}")
def checks(first: int, number: int) -> dict[str, int]:
    found = [kit.kit.consent.checks.check(f"p{each}", "marketing") for each in range(first, first + number)]
    return {"asked": len(found)}


uvicorn.run(app, port=PORT, http="httptools", loop="asyncio", log_config=None, access_log=False)
