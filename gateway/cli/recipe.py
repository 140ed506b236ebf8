"""`gateway recipe`: configuration of proxies and of the machine, code for pages and servers with ads, tested, with this
installation's addresses filled in. It prints and never writes a file.
"""

import gzip
import io
import re
import tarfile
from importlib import resources
from importlib.resources.abc import Traversable
from ipaddress import ip_network
from pathlib import Path

import click
import orjson

from gateway.cli import options
from gateway.settings.load import Settings
from gateway.web.shell.page import static
from gateway.web.site import header_fields, shared_caches
from gateway.web.site.header_fields import delivery_policy

# What a recipe is called, and its file. One that is not in the package is not offered.
FILES = {
    "alerts": "alerts.yml",
    "backup": "gateway-backup.service",
    "backup-timer": "gateway-backup.timer",
    "caddy": "Caddyfile",
    "cloudflare": "cloudflare.js",
    "cloudfront": "cloudfront.mjs",
    "container": "Containerfile",
    "dashboard": "dashboard.json",
    "edge-door": "edge-door.conf",
    "envoy": "envoy.yaml",
    "etcd": "etcd.env",
    "fastly": "fastly.js",
    "haproxy": "haproxy.cfg",
    "haproxy-lua": "haproxy.lua",
    "kubernetes": "kubernetes.yml",
    "nginx": "nginx.conf",
    "page": "page.html",
    "patroni": "patroni.yml",
    "prebid": "prebid.html",
    "prebid-server": "prebid-server.yml",
    "react-native": "gateway.ts",
    "server-tags": "server_tags.py.txt",  # a module of the reader's, not of ours
    "server-tags-node": "server-tags.mjs",
    "systemd": "gateway.service",
    "traefik": "traefik.yml",
    "wordpress": "wordpress.conf",
    "wordpress-plugin": "wordpress.php",
}
MACHINES = "10.0.0.11,10.0.0.12,10.0.0.13"
CLIENT = "react-native"
SDK = "sdk"  # the client for apps, below static/
PACKED_ALWAYS = ("package.json", "README.md", "LICENSE")  # npm packs these whatever `files` names
MOMENT = 499_162_500  # 26 October 1985, as npm dates every file: the same content is the same archive
IN_STATIC = {"gateway.ts": "sdk/gateway.ts"}  # what lies with the owner's other files for browsers and apps
INCLUDED = re.compile(r"^\{\{include ([\w.-]+)\}\}\n", re.MULTILINE)  # another file's text, which several recipes share
# Before a line of a recipe, `{{if NAME}}` or `{{unless NAME}}`: it stands where that has a value, or has none.
CONDITION = re.compile(r"^([ \t]*)\{\{(?:if|(unless)) (\w+)\}\}(.*\n)", re.MULTILINE)
NEVER = r"[^\s\S]"  # a regular expression that nothing matches, in every proxy's dialect
# What no page is made of. Under `enforce` whatever ends so is asked about all the same: a 404 page at /logo.png is a
# page, and a worker's script goes where its own answer's policy lets it.
FILES_ONLY = r"\.(?:css|js|mjs|map|png|jpe?g|gif|webp|avif|svg|ico|woff2?|ttf|mp4|webm|pdf|txt)$"


# Behind the NAT of a container or a cluster everybody comes from such an address, so it is no CDN's. Not Python's
# `is_private`, which has other networks in it, too.
PRIVATE = tuple(
    map(
        ip_network,
        [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
            "::ffff:0:0/96",
        ],
    )
)


def _folder() -> Traversable:
    return resources.files("gateway") / "recipes"


def _text(name: str) -> str:
    file = FILES[name]
    if file in IN_STATIC:
        return static(IN_STATIC[file]).decode()
    return INCLUDED.sub(lambda line: _of_package(line[1]), _of_package(file))


def _of_package(file: str) -> str:
    return (_folder() / file).read_text(encoding="utf-8")


def offered() -> list[str]:
    """The recipes that there are."""
    return [name for name, file in FILES.items() if file in IN_STATIC or (_folder() / file).is_file()]


def filled(name: str, settings: Settings, *, host: str, site: str, machines: str = MACHINES) -> str:
    """A recipe's text with its `{{places}}` filled in. Raises KeyError for a place that nobody knows."""
    enforced = settings.site.enforce
    addresses = {"site": site, "public": settings.listen.public, "internal": settings.listen.internal}
    paths = settings.site.ad_paths if enforced else ()
    known = {
        "host": host,
        "policy": delivery_policy(settings.provider_hosts()) if enforced else "",
        "ad_paths": f"^(?:{'|'.join(map(re.escape, paths))})" if paths else NEVER,
        "ad_beginnings": " ".join(paths),
        "files": NEVER if enforced else FILES_ONLY,
        "file_is_asked_about": "-f $request_filename" if enforced else '$host = ""',  # which it never is
        "vary": shared_caches.vary(settings.place_key())[1].decode(),
        **_of_places(settings),
        **_of_machines(machines.split(",")),
        "own_page_cookies": shared_caches.own_page_cookies(settings.browser.site_ids, name),
        "own_page_headers": " ".join(
            f"$http_{name.lower().replace('-', '_')}" for name in shared_caches.own_page_headers()
        ),
        "hints": header_fields.HINTS,
        "speaking": " ".join(name.lower() for name in header_fields.SPEAKING),
        **{name.lower().replace("-", "_"): value for name, value in header_fields.SILENT.items()},
        **addresses,
        **{f"{name}_address": _as_mapping(address) for name, address in addresses.items()},
    }
    stands = CONDITION.sub(lambda m: f"{m[1]}{m[4]}" if bool(known[m[3]]) is not bool(m[2]) else "", _text(name))
    return re.sub(r"\{\{(\w+)\}\}", lambda place: known[place[1]], stands)


def _of_machines(addresses: list[str]) -> dict[str, str]:
    """Of a cluster, in whose recipes this machine is the first."""
    names = [f"pg-{re.sub('[.:]', '-', address)}" for address in addresses]
    return {
        "here": addresses[0],
        "machine": names[0],
        "machines": ", ".join(sorted(addresses)),
        "etcd": ", ".join(f'"{address}:2379"' for address in sorted(addresses)),
        "etcd_cluster": ",".join(
            f"{each}=http://{address}:2380" for each, address in zip(names, addresses, strict=True)
        ),
    }


def _of_places(settings: Settings) -> dict[str, str]:
    """In which headers a visitor's place stands, and which networks are a CDN's, who may say it; a stranger's goes."""
    names = settings.places.headers()
    networks = [ip_network(text) for text in settings.listen.trusted_proxies]
    cdn = [each for each in networks if not any(map(each.overlaps, PRIVATE))]
    known = {
        "cdn": " ".join(map(str, cdn)),
        "by_cdn": "yes" if names or cdn else "",
        "cdn_in_geo": " ".join(f"{each} 1;" for each in cdn),
        "cdn_in_rule": " || ".join(f"ClientIP(`{each}`)" for each in cdn),
        "cdn_in_rbac": ", ".join(
            f'{{direct_remote_ip: {{address_prefix: "{each.network_address}", prefix_len: {each.prefixlen}}}}}'
            for each in cdn
        ),
        "stranger": "@stranger " if cdn else "",
        "forwarded_for": "$forwarded_for" if cdn else "$remote_addr",
        "place_headers": " ".join(names).lower(),
        "place_by_cdn": names[0] if names and cdn else "",
        "place_by_nobody": names[0] if names and not cdn else "",
        "region_by_nobody": names[-1] if len(names) > 1 and not cdn else "",
        "region_in_mapping": f', {names[-1]}: ""' if len(names) > 1 else "",
    }
    for what, name in (("place", settings.places.header), ("region", settings.places.region_header)):
        word = name.replace("-", "_")
        known |= {
            f"{what}_header": name, f"{what}_header_lower": name.lower(), f"{what}_variable": f"$http_{word.lower()}",
            f"{what}_parameter": f"HTTP_{word.upper()}",
        }  # fmt: skip
    return known


def _as_mapping(address: str) -> str:
    """As Envoy wants it."""
    host, _, port = address.rpartition(":")
    return f"{{address: {host or '127.0.0.1'}, port_value: {port}}}"


@click.command(
    help="Print tested configuration for a proxy or for this machine, code for pages (page, prebid) and servers"
    " (server-tags) with ads, or the client for apps (react-native); without a name, list what there is."
    " `gateway help proxies`, `script`, `ask` and `apps` explain it."
)
@click.argument("name", required=False)
@click.option("--host", default="www.example.com", show_default=True, help="The site's name.")
@click.option("--site", default="127.0.0.1:9000", show_default=True, help="Where the site itself listens.")
@click.option(
    "--machines",
    default=MACHINES,
    show_default=True,
    help="Of patroni and etcd: three addresses, this machine's first.",
)
@click.option("--npm", is_flag=True, help="Of react-native: the package with its types, a .tgz for `npm install`.")
@options.config
def recipe(name: str | None, host: str, site: str, machines: str, npm: bool, file: Path | None) -> None:
    if npm and name != CLIENT:
        raise click.UsageError(f"--npm goes with {CLIENT}: gateway recipe {CLIENT} --npm > consent-gateway-app.tgz")
    if npm:
        click.echo(packed_client(), nl=False)
    elif name is None:
        click.echo("\n".join(offered()))
    elif name in offered():
        settings = options.stated_settings(file)
        click.echo(filled(name, settings, host=host, site=site, machines=machines), nl=False)
    else:
        raise click.UsageError(f"no recipe {name!r}; there are {', '.join(offered())}")


def packed_client() -> bytes:
    """The client for apps as a .tgz, as `npm pack` makes it, so that an installation without npm can hand it out."""
    archive = io.BytesIO()
    names = (*PACKED_ALWAYS, *orjson.loads(static(f"{SDK}/package.json"))["files"])
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            content = static(f"{SDK}/{name}")
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mtime, entry.mode = len(content), MOMENT, 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), mtime=0)
