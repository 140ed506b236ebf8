"""Edges, each with the recipe that `gateway recipe` prints, before a real nginx with the door's.

Cloudflare's own runtime runs the Worker. Fastly's own compiler builds its recipe, with Fastly's engine inside, and a
stand-in of ours answers for the machine beneath (fastly_stand_in.mjs). Lambda@Edge runs at Amazon alone: a stand-in gives
the recipe's function what is documented (cloudfront_stand_in.mjs).
"""

import contextlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.recipe import filled
from support import node
from support.ports import free_port
from support.promises_of_proxies import Proxied
from support.proxies import CALIFORNIA, GERMANY, NEW_YORK, Gateway, nginx, program

KEY = "5f" * 32
HERE = Path(__file__).parent
WORKERD = "workerd@1.20261117.1"
JS_COMPUTE = "@fastly/js-compute@3.46.0"
# Where an edge's own network sees each visitor.
SEEN = {NEW_YORK: ("US", "NY"), CALIFORNIA: ("US", "CA"), GERMANY: ("DE", "BE")}
DOOR = "\n# edge-door.conf #\n"
WORKERD_CONFIG = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "network", worker = (
      modules = [(name = "network", esModule = embed "network.mjs")], compatibilityDate = "{date}",
      bindings = [(name = "recipe", service = "recipe"), (name = "PLACES", json = {places})])),
    (name = "recipe", worker = (
      modules = [(name = "recipe", esModule = embed "cloudflare.js")], compatibilityDate = "{date}",
      bindings = [(name = "EDGE_KEY", text = "{key}")], globalOutbound = "servers")),
    (name = "servers", external = (address = "{door}", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "network")],
);
"""


@dataclass(frozen=True)
class Tools:
    """What runs them: nginx's path, and pytest's cache for packages of npm and what they make."""

    nginx: str
    cache: object


@dataclass
class Edged(Proxied):
    """An edge before the door before a site, and the gateway beside that."""

    door: str
    name: str


def edge_text(name: str, running: Gateway, behind: str) -> str:
    """The edge's recipe and the door's, one behind the other."""
    return DOOR.join(filled(each, running.settings, host="HOST", site=behind) for each in (name, "edge-door"))


@contextlib.contextmanager
def edge(name: str, tools: Tools, folder: Path, text: str):
    """An edge with its recipe, before the door with its own; the address of each."""
    recipe, _, doors = text.partition(DOOR)
    (folder / "edge-keys").write_text(f'"{KEY}" 1;\n')
    with (
        nginx(tools.nginx, folder, doors.replace("/etc/nginx", str(folder))) as door,
        RUN[name](tools, folder, recipe, door.removeprefix("http://")) as url,
    ):
        yield url, door


@contextlib.contextmanager
def cloudflare(tools: Tools, folder: Path, recipe: str, door: str):
    """workerd with the recipe's Worker, and before it a stand-in for Cloudflare's network; its address."""
    [workerd] = (node.packages(tools.cache, WORKERD) / "node_modules" / "@cloudflare").glob("workerd-*/bin/workerd")
    port = free_port()
    (date,) = re.findall(r'compatibility_date = "([\d-]+)"', recipe)
    (folder / "cloudflare.js").write_text(recipe)
    shutil.copy(HERE / "cloudflare_network.mjs", folder / "network.mjs")
    places = json.dumps(json.dumps(SEEN))
    config = WORKERD_CONFIG.format(date=date, places=places, key=KEY, door=door, port=port)
    (folder / "workerd.capnp").write_text(config)
    url = f"http://127.0.0.1:{port}"
    with program([str(workerd), "serve", str(folder / "workerd.capnp")], folder / "workerd.log", f"{url}/up.txt"):
        yield url


@contextlib.contextmanager
def _stood_in(name: str, what: Path, door: str):
    """Node with a stand-in of ours around a recipe; its address."""
    port = free_port()
    given = [str(what), str(port), door, KEY, json.dumps(SEEN)]
    command = [node.program(), "--no-warnings", str(HERE / f"{name}_stand_in.mjs"), *given]
    url = f"http://127.0.0.1:{port}"
    with program(command, what.parent / f"{name}.log", f"{url}/up.txt"):
        yield url


@contextlib.contextmanager
def cloudfront(_: Tools, folder: Path, recipe: str, door: str):
    """The recipe's function in a stand-in for CloudFront; its address."""
    (folder / "cloudfront.mjs").write_text(recipe)
    with _stood_in("cloudfront", folder / "cloudfront.mjs", door) as url:
        yield url


@contextlib.contextmanager
def fastly(tools: Tools, folder: Path, recipe: str, door: str):
    """The recipe as Fastly's own compiler builds it, in a stand-in for the machine that runs it; its address."""
    packages = node.packages(tools.cache, JS_COMPUTE)

    def build(to: Path) -> None:
        (folder / "fastly.js").write_text(recipe)
        command = [packages / "node_modules" / ".bin" / "js-compute-runtime", folder / "fastly.js", to]
        subprocess.run(command, check=True, capture_output=True, timeout=300)

    shutil.copy(node.made(packages, recipe, "wasm", build), folder / "fastly.wasm")  # beside which it keeps its log
    with _stood_in("fastly", folder / "fastly.wasm", door) as url:
        yield url


RUN = {"cloudflare": cloudflare, "fastly": fastly, "cloudfront": cloudfront}
