import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from support import inside, typed

from gateway.cli.recipe import FILES, INCLUDED, _folder, _text, filled, offered
from gateway.cli.root import COMMANDS, group
from gateway.ledger.audit import verify
from gateway.settings import load as settings_of
from gateway.web.shell import cross_site
from gateway.web.shell.edge import FROM_APPS
from gateway.web.site import header_fields, shared_caches

OURS = "gateway-"  # what a client sends under this goes before Envoy asks
HEARD = {name.lower() for name in shared_caches.HEARD if not name.lower().startswith(OURS)}
BESIDES = {"sec-fetch-mode", "accept", "x-forwarded-for"}  # a navigation, and where it is
# Whether it is one that another site leads to, or that stands in a frame there: whatever is read for that.
LED = {*re.findall(r'"(sec-fetch-[a-z-]+)"', Path(cross_site.__file__).read_text()), "origin"}


def run(*words, **environment):
    return CliRunner().invoke(group, ["recipe", *words], env=environment, catch_exceptions=False)


def text(name, host="www.example.com", site="127.0.0.1:9000", **configured):
    return filled(name, inside.settings(**configured), host=host, site=site)


def test_an_operator_sees_which_recipes_there_are():
    listed = run()
    assert listed.exit_code == 0
    assert listed.output.split() == offered()
    assert {"nginx", "caddy", "envoy", "haproxy", "traefik", "systemd", "container"} <= set(offered())


def test_a_recipe_that_there_is_not_is_refused_with_those_that_there_are():
    refused = run("apache")
    assert refused.exit_code == 2
    assert "nginx" in refused.output


def test_every_file_has_a_name_or_stands_in_one_that_has():
    files = {item.name for item in _folder().iterdir() if "__" not in item.name}
    shared = {name for file in files for name in INCLUDED.findall((_folder() / file).read_text())}
    assert shared == {"edge.js", "edge-fetch.js"}
    assert files <= set(FILES.values()) | shared


def test_the_client_for_apps_is_printed_as_it_lies():
    lies = Path(__file__).parent.parent.parent / "static" / "sdk" / "gateway.ts"
    assert run("react-native").output == lies.read_text()


@pytest.mark.parametrize("name", offered())
def test_a_recipe_has_no_place_left_to_fill_in_and_names_the_operators_addresses(name):
    printed = run(
        name, "--host", "shop.example.com", "--site", "127.0.0.1:9999", GATEWAY_LISTEN__INTERNAL="127.0.0.1:7001"
    )
    assert printed.exit_code == 0
    assert not re.search(r"\{\{\w+\}\}", printed.output)
    if "{{internal" in _text(name):
        assert "7001" in printed.output
    if "{{site" in _text(name):
        assert "9999" in printed.output


def test_the_three_machines_of_a_cluster_are_told_of_each_other_and_each_of_itself():
    here, others = "10.9.0.2", ["10.9.0.1", "10.9.0.3"]
    told = run("etcd", "--machines", ",".join([here, *others])).output
    etcd = dict(line.split("=", 1) for line in told.splitlines() if not line.startswith("#"))
    patroni = yaml.safe_load(run("patroni", "--machines", ",".join([here, *others])).output)
    assert etcd["ETCD_NAME"] == patroni["name"] == "pg-10-9-0-2"
    assert etcd["ETCD_INITIAL_CLUSTER"].count("http://10.9.0.") == len(patroni["etcd3"]["hosts"]) == 3
    assert f"pg-10-9-0-2=http://{here}:2380" in etcd["ETCD_INITIAL_CLUSTER"].split(",")
    assert not [each for each in others if each in json.dumps([patroni["restapi"], patroni["postgresql"]])]
    rules = patroni["bootstrap"]["dcs"]
    assert rules["loop_wait"] + 2 * rules["retry_timeout"] <= rules["ttl"], "else two lead at once"
    assert (rules["synchronous_mode"], rules["synchronous_mode_strict"], rules["failsafe_mode"]) == (
        "quorum",
        True,
        False,
    )


@pytest.mark.parametrize("name", ["nginx", "caddy", "envoy", "haproxy"])
def test_the_policy_is_in_the_recipe_of_whoever_enforces(name):
    assert "default-src 'self'" in text(name, site__enforce="true")
    assert "default-src 'self'" not in text(name)


def test_ad_paths_are_text_in_a_regular_expression_and_nothing_more():
    printed = text("nginx", site__enforce="true", site__ad_paths="/ads/,/px.gif")
    assert r'"~*^(?:/ads/|/px\.gif)" 1;' in printed
    assert "/ads/" not in text("nginx", site__ad_paths="/ads/")
    with pytest.raises(settings_of.SettingsRefused):
        inside.settings(site__ad_paths='/ads";')


def test_envoy_hands_on_every_header_that_the_gateway_hears():
    (listener,) = yaml.safe_load(text("envoy"))["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    (asked,) = [each["typed_config"] for each in filters if each["name"].endswith("ext_authz")]
    assert {item["exact"] for item in asked["allowed_headers"]["patterns"]} == HEARD | BESIDES | LED
    assert {"sec-fetch-site", "sec-fetch-dest", "sec-fetch-storage-access"} <= LED


CDN = {
    "places__header": "CF-IPCountry",
    "places__region_header": "CF-Region-Code",
    "listen__trusted_proxies": "127.0.0.1,203.0.113.0/24,2001:db8::/32",
}


@pytest.mark.parametrize("configured", [{}, {"places__header": "X-Place"}, CDN], ids=["plain", "header", "CDN"])
def test_traefiks_recipe_holds_together(configured):
    """Names lead somewhere, and what is asked and handed on is named; a real Traefik runs it elsewhere."""
    http = yaml.safe_load(text("traefik", **configured))["http"]
    for router in http["routers"].values():
        assert router["service"] in http["services"]
        assert set(router.get("middlewares", ())) <= set(http["middlewares"])
    asked = http["middlewares"]["gateway-asked"]["forwardAuth"]
    assert asked["address"] == "http://127.0.0.1:8081/authz/forward"
    taken = re.compile(asked["authResponseHeadersRegex"])
    for name in (
        "Gateway-Consent",
        "Gateway-Browser",
        "Gateway-Place",
        "Gateway-Request",
        "Gateway_consent",
        "gateway-x",
    ):
        assert taken.search(name), name
    assert not taken.search("X-Gateway-Consent")
    assert asked["authResponseHeaders"] == ["Cookie"]
    priorities = {name: router["priority"] for name, router in http["routers"].items()}
    assert priorities["gateway-pages"] > priorities["static"] > priorities["pages"]
    for name in ("gateway-pages", "pages"):  # a stranger's word of where he is goes, a CDN's stays
        router, by_cdn = http["routers"][name], http["routers"].get(f"{name}-by-cdn")
        assert ("strangers-place" in router.get("middlewares", ())) is bool(configured)
        assert bool(by_cdn) is (configured is CDN)
        if by_cdn:
            assert "strangers-place" not in by_cdn.get("middlewares", ())
            assert by_cdn["rule"] == f"{router['rule']} && (ClientIP(`203.0.113.0/24`) || ClientIP(`2001:db8::/32`))"
            assert by_cdn["priority"] > router["priority"]
    if configured:
        taken_away = http["middlewares"]["strangers-place"]["headers"]["customRequestHeaders"]
        assert taken_away == dict.fromkeys([each for name, each in configured.items() if "header" in name], "")


@pytest.mark.parametrize("name", ["nginx", "wordpress", "caddy", "envoy", "haproxy", "traefik"])
@pytest.mark.parametrize(
    "behind_nat",
    [
        "172.16.0.0/12",
        "10.89.0.2",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fd00::/8",
        "fe80::/64",
        "127.0.0.2",
        "172.0.0.0/8",
    ],
)
def test_nobody_behind_a_containers_nat_is_taken_for_a_cdn(name, behind_nat):
    placed = CDN | {"listen__trusted_proxies": f"127.0.0.1,{behind_nat}"}
    assert text(name, **placed) == text(name, **placed | {"listen__trusted_proxies": "127.0.0.1"})
    assert text(name, **CDN) != text(name, **placed)


def test_envoy_reads_the_networks_of_a_cdn_as_they_are_meant():
    """A bare `2001:db8::` would be the name of an empty member."""
    (listener,) = yaml.safe_load(text("envoy", **CDN))["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    (known,) = [each["typed_config"] for each in filters if each["name"].endswith("rbac")]
    assert [each["direct_remote_ip"] for each in known["shadow_rules"]["policies"]["cdn"]["principals"]] == [
        {"address_prefix": "203.0.113.0", "prefix_len": 24},
        {"address_prefix": "2001:db8::", "prefix_len": 32},
    ]


def test_the_container_is_given_options_that_the_gateway_knows():
    lines = re.findall(r"^ENV (GATEWAY_\w+)=(.*)$", text("container"), re.MULTILINE)
    assert len(lines) == 5
    lines += re.findall(r"-e (GATEWAY_\w+)=(\S+)", text("container"))
    environment = dict(lines)
    with pytest.raises(settings_of.SettingsRefused, match=r"config\.toml: cannot be read"):
        settings_of.load_settings(None, environment)  # without a file of one's own it does not start
    del environment["GATEWAY_CONFIG"]
    settings = settings_of.load_settings(None, environment)
    assert settings.listen.trusted_proxies == ("10.89.0.2",), "else nobody believes the proxy in the next container"
    assert (settings.listen.public, settings.ledger.checkpoint_store) == ("0.0.0.0:8080", "/checkpoints")


@pytest.mark.parametrize("name", ["systemd", "container"])
def test_the_gateway_has_the_commands_that_a_recipe_starts(name):
    started = re.findall(r"gateway (serve|migrate)\b([^\n\\]*)", text(name).replace('", "', " ").replace('"', " "))
    assert {command for command, _ in started} == {"serve", "migrate"} or name == "container"
    for command, words in started:
        known = {option for each in COMMANDS[command].load().params for option in each.opts}
        assert set(re.findall(r"--[a-z]+", words)) <= known


@pytest.mark.parametrize("name", ["nginx", "wordpress"])
def test_nginx_starts_on_a_machine_where_nothing_was_prepared(name):
    """It makes the folder of a cache, and none above it; Debian's package has no /var/cache/nginx."""
    folders = re.findall(r"_cache_path (\S+)", text(name))
    assert folders
    assert {Path(folder).parent for folder in folders} == {Path("/var/cache")}


@pytest.mark.parametrize("name", ["nginx", "wordpress", "caddy", "envoy", "haproxy", "traefik"])
def test_whatever_is_called_from_the_internet_is_handed_on(name):
    """A STOP that the provider of text messages posts, too (gateway help marketing): the site would answer 404."""
    lines = [line for line in text(name).splitlines() if "/observe" in line or "|observe|" in line]
    assert len(lines) == 1
    for path in FROM_APPS:
        assert re.search(rf"\b{path.rpartition('/')[2]}\b", lines[0]), path


def test_the_unit_allows_as_many_open_files_as_the_manual_asks_for():
    manual = (resources.files("gateway") / "manual" / "public.md").read_text()
    asked = re.search(r"`LimitNOFILE` in the unit\): give it ([\d,]+)", manual)[1]
    assert f"LimitNOFILE={asked.replace(',', '')}\n" in text("systemd")


def test_the_pod_is_one_and_starts_the_image_as_it_is_meant():
    """Ports, volumes and user as in the container's file; options that the gateway knows; probes of a path that is there
    whether the ledger is or not.
    """
    pod, service, _ = yaml.safe_load_all(text("kubernetes"))
    template, image = pod["spec"]["template"]["spec"], text("container")
    assert pod["spec"]["replicas"] == 1
    assert template["securityContext"]["runAsUser"] == int(re.search(r"^USER (\d+)$", image, re.MULTILINE)[1])
    served, ports = template["containers"][0], re.search(r"^EXPOSE (.*)$", image, re.MULTILINE)[1].split()
    assert [str(each["containerPort"]) for each in served["ports"]] == ports
    assert [str(each["port"]) for each in service["spec"]["ports"]] == ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert served[probe]["httpGet"] == {"path": "/livez", "port": "public"}
    claimed = {each["metadata"]["name"] for each in pod["spec"]["volumeClaimTemplates"]}
    there = claimed | {each["name"] for each in template["volumes"]}
    for each in [*template["initContainers"], *template["containers"]]:
        assert {mount["name"] for mount in each["volumeMounts"]} <= there
        assert each["securityContext"]["readOnlyRootFilesystem"]
        options = {item["name"]: item["value"] for item in each.get("env", ())}
        assert settings_of.load_settings(None, options), each["name"]
    [folder] = re.findall(r"gateway keys add --data (\S+)", text("kubernetes"))
    for each in (template["initContainers"][0], served):
        command, *words = each["args"]
        known = {option for param in COMMANDS[command].load().params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known
        assert folder in words, "the head of the file names the folder that is served"


def commands_of_backups():
    """Those of the unit and those of the pod, as a shell reads them."""
    lines = re.findall(r"^ExecStart=(.*)$", text("backup"), re.MULTILINE)
    yield from (line.replace("%%", "%").replace("$$", "$") for line in lines)
    pod, *_ = yaml.safe_load_all(text("kubernetes"))
    [loop] = pod["spec"]["template"]["spec"]["containers"][1]["args"]
    yield loop.replace("while true; do", "").replace("  sleep 600 & wait $!\ndone\n", "")


@pytest.mark.slow
def test_the_backups_that_a_recipe_makes_can_be_put_back(tmp_path, folder):
    program = Path(typed.program()).parent
    gateway = [typed.program()]
    subprocess.run([*gateway, "choose", "opt_out", "--phone", "+14155550123", "--data", folder], check=True)
    places = {
        "/opt/gateway/bin": str(program), "/var/lib/gateway-backup": f"{tmp_path}/unit", "/var/lib/gateway": str(folder),
        "/backup": f"{tmp_path}/pod", "/data/gateway": str(folder),
    }  # fmt: skip
    for maker in ("unit", "pod"):  # one of long ago goes, once there is a newer one
        old = tmp_path / maker / "ledger" / "2026-01-01"
        old.mkdir(parents=True)
        old.joinpath("ledger.sqlite3").write_text("of long ago")
        os.utime(old, (0, 0))
    verified = []
    for command in commands_of_backups():
        spoken = re.sub("|".join(places), lambda place: places[place[0]], command)
        environment = os.environ | {"PATH": f"{program}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", spoken], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, spoken + done.stdout + done.stderr
        if "verify" in command:
            assert (folder / verify.LAST_VERIFY).exists(), "the alarm of the service knows of it"
            (folder / verify.LAST_VERIFY).unlink()
            verified.append(command)
    assert len(verified) == 2
    for maker in ("unit", "pod"):
        made = tmp_path / maker
        [ledger], [keys] = made.joinpath("ledger").iterdir(), made.joinpath("keys").glob("vault-*")
        new = ["--data", str(tmp_path / f"new-{maker}")]
        where = ["--keys", str(keys), "--secrets", str(made / "secrets")]
        subprocess.run([*gateway, "restore", str(ledger), *where, *new], check=True)
        drill = subprocess.run([*gateway, "verify", *new], capture_output=True, text=True)
        assert drill.returncode == 1
        assert drill.stdout.splitlines()[-2].startswith("expected right after a restore, as in a drill")
        subprocess.run([*gateway, "restore", "--new-log", *new], check=True)
        assert subprocess.run([*gateway, "verify", *new], check=False).returncode == 0
        told = subprocess.run([*gateway, "history", "--phone", "+14155550123", *new], capture_output=True, text=True)
        assert "opt_out" in told.stdout


@pytest.mark.slow
def test_systemd_reads_the_backups_units(tmp_path, tool):
    for name in ("backup", "backup-timer"):
        unit = tmp_path / FILES[name]
        unit.write_text(text(name).replace("=/opt/gateway/bin/gateway", f"={tool('true')}"))
    checked = subprocess.run(
        [tool("systemd-analyze"), "verify", str(tmp_path / FILES["backup-timer"]), str(tmp_path / FILES["backup"])],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.slow
def test_systemd_reads_the_unit(tmp_path, tool):
    unit = tmp_path / "gateway.service"
    program = str(Path(sys.executable).parent / "gateway")
    unit.write_text(text("systemd").replace("/opt/gateway/bin/gateway", shutil.which("true") or program))
    checked = subprocess.run([tool("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def whole(name, **configured):
    """HAProxy's is in two files."""
    return text(name, **configured) + (text("haproxy-lua", **configured) if name == "haproxy" else "")


PROXIES = ("nginx", "caddy", "envoy", "haproxy", "wordpress")


@pytest.mark.parametrize("name", PROXIES)
def test_every_recipe_takes_out_all_that_speaks_past_the_policy_and_says_what_all_hearing_reads(name):
    printed = whole(name, site__enforce="true").lower()
    for header in (*header_fields.SPEAKING, *header_fields.SILENT, "Link"):
        assert header.lower() in printed, header
    assert header_fields.HINTS in printed


# --- whose an answer is: every recipe says it by the one table ------------------------------------------------------

VARYING = ("nginx", "wordpress", "caddy", "envoy", "haproxy", "traefik")
KEEPING = ("nginx", "wordpress")  # recipes with a cache of their own


def unsaid(name: str, printed: str, **configured) -> set[str]:
    """What of the table a recipe's lines do not say: `Vary` names every header, and a cache of its own keeps no page
    that the site makes for one person.
    """
    place = inside.settings(**configured).site.place_in_key
    said = " ".join(line for line in printed.lower().splitlines() if re.search(r"\bvary\b", line))
    heard = {*shared_caches.HEARD, *([place] if place else [])}
    missing = {f"Vary: {header}" for header in heard if not re.search(rf"[ ,\"]{header.lower()}[,\"]", said)}
    if name not in KEEPING:
        return missing
    for line in ("_cache_bypass", "_no_cache"):
        found = re.search(rf"^ *\w+{line} (.*);", printed, re.MULTILINE)
        stated = found[1].split() if found else []
        needed = ["$own_page", *(f"$http_{h.lower().replace('-', '_')}" for h in shared_caches.own_page_headers())]
        missing |= {f"{line} {word}" for word in needed if word not in stated}
    found = re.search(r'^map \$http_cookie \$own_page \{\n.*\n  "~\*(.*)" 1;', printed, re.MULTILINE)
    names = [n for mark in shared_caches.MARKS if mark.own_page for n in mark.cookies]
    names += [*inside.settings(**configured).browser.site_ids]
    cookies = {n: f"{n}=x" for n in names} | {n: f"{n}7=x" for n in shared_caches.OF_APPLICATIONS.get(name, ())}
    for cookie, sent in cookies.items():
        for jar in (sent, f"a=b; {sent}", sent.upper()):
            if not (found and re.search(found[1], jar, re.IGNORECASE)):
                missing.add(f"cookie {cookie}")
    return missing


@pytest.mark.parametrize("name", VARYING)
@pytest.mark.parametrize("configured", [{}, {"site__place_in_key": "CF-IPCountry", "browser__site_ids": "uid,s.id"}])
def test_every_recipe_says_whose_a_page_is_as_the_gateway_does(name, configured):
    printed = text(name, **configured)
    assert unsaid(name, printed, **configured) == set()


@pytest.mark.parametrize("name", VARYING)
def test_a_recipe_that_leaves_one_of_them_out_is_found(name):
    """Control, each row of the table."""
    printed = text(name, browser__site_ids="uid")
    for header in shared_caches.HEARD:
        assert f"Vary: {header}" in unsaid(name, re.sub(rf"(?i)(\bvary\b.*?)\b{header}\b", r"\1x", printed)), header
    if name not in KEEPING:
        return
    for word in ("$own_page", *(f"$http_{h.lower().replace('-', '_')}" for h in shared_caches.own_page_headers())):
        assert len(unsaid(name, re.sub(rf"(_cache(?:_bypass)? .*?){re.escape(word)}", r"\1", printed))) == 2, word
    for cookie in ("gateway-account", "uid", *shared_caches.OF_APPLICATIONS.get(name, ())):
        broken = printed.replace(re.escape(cookie), "x")
        assert unsaid(name, broken, browser__site_ids="uid") >= {f"cookie {cookie}"}, cookie


@pytest.mark.parametrize("name", VARYING)
def test_a_page_made_for_one_person_takes_no_header_along_that_a_cache_obeys_first(name):
    printed = whole(name).lower()
    for header in ("surrogate-control", "cdn-cache-control", "cloudflare-cdn-cache-control"):
        ways = {
            "caddy": f"\t-{header}\n",
            "envoy": f'"{header}"',
            "haproxy": f'"{header}"',
            "traefik": f' {header}: ""\n',
        }
        taken = ways.get(name, f"_hide_header {header};")
        assert taken in printed, header
        if name in KEEPING:
            variable = header.replace("-", "_")
            assert f"add_header {header} $page_{variable} always;" in printed
            assert f'map $gw_cache $page_{variable} {{ "" $upstream_http_{variable}; default ""; }}' in printed


@pytest.mark.parametrize("name", KEEPING)
def test_a_recipe_takes_no_store_alone_for_no_store(name):
    found = re.search(r"^  '~\*(.*no-store.*)' \$upstream_http_cache_control;", text(name), re.MULTILINE)
    for said in ("no-store", "public, No-Store ,x", "max-age=1,no-store"):
        assert re.search(found[1], f"private, no-cache|{said}", re.IGNORECASE), said
    for said in ("x-no-store=0", "no-store=0", 'ext="a, no-store, b"', "private"):
        assert not re.search(found[1], f"private, no-cache|{said}", re.IGNORECASE), said


@pytest.mark.parametrize("name", KEEPING)
def test_another_cookie_makes_no_page_somebodys(name):
    found = re.search(r'\n  "~\*(.*gateway.*)" 1;', text(name, browser__site_ids="s.id"))
    for jar in ("a=b", "not-gateway-account=1", "sxid=1", "x=gateway-account", "wordpress_test_cookie=1"):
        assert not re.search(found[1], jar, re.IGNORECASE), jar


@pytest.mark.parametrize(
    "path", ["sw.js", "/sw.js?x=1", "/", "", "https://www.example.com/sw.js", "/a b.js", "/sw.js\n", "/*"]
)
def test_a_service_worker_is_named_by_the_path_of_its_file(tmp_path, path):
    file = tmp_path / "config.toml"
    file.write_text(f"[site]\nservice_workers = [{json.dumps(path)}]\n")
    with pytest.raises(settings_of.SettingsRefused, match="service_workers"):
        settings_of.load_settings(file, {})
