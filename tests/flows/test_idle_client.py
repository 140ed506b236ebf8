"""A keep-alive client that is idle about as long as many servers wait: no check may fail for it."""

import subprocess

import pytest
from support.service import service

pytestmark = pytest.mark.slow
CLIENT = """
const http = require("http");
const body = JSON.stringify({identifiers: [], recipient: "advertisers", place: "US-NY"});
const check = agent => new Promise(done => {
  const call = http.request({agent, host: "127.0.0.1", port: +process.argv[1], path: "/v1/check", method: "POST",
    headers: {"content-type": "application/json", authorization: "Bearer dev.dev", "content-length": body.length}},
    answer => { answer.resume(); answer.on("end", () => done(answer.statusCode === 200 ? 0 : 1)); });
  call.on("error", () => done(1)); call.end(body); });
const sleep = ms => new Promise(done => setTimeout(done, ms));
const idle = async pause => { const agent = new http.Agent({keepAlive: true, maxSockets: 32}), results = [];
  for (const wait of [0, pause]) { await sleep(wait);
    results.push(...await Promise.all(Array.from({length: 32}, () => check(agent)))); }
  agent.destroy(); return results; };
(async () => { const results = (await Promise.all([4900, 4970, 5000, 5030, 5100].map(idle))).flat();
  console.log(JSON.stringify({total: results.length, failed: results.reduce((a, b) => a + b, 0)})); })();
"""


def run(node: str, port: int) -> str:
    return subprocess.run([node, "-e", CLIENT, str(port)], capture_output=True, text=True, timeout=120).stdout.strip()


def test_a_client_idle_for_five_seconds_loses_no_check(tmp_path, tool, figure):
    with service(tmp_path) as running:
        told = run(tool("node"), running.port)
        figure("client idle for 4.9 to 5.1 s", told)
        assert told == '{"total":320,"failed":0}'
