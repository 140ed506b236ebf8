"""A site on real nginx and real php-fpm with our plugin, as `gateway recipe wordpress` and `wordpress-plugin` print it.

WordPress itself cannot be fetched here: `wordpress_stand_in.php` has the functions that the plugin calls.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli.recipe import filled
from gateway.keys import api_keys, secret_files
from support.ports import free_port
from support.proxies import NEW_YORK, Answer, Gateway, Program, _until, ask, nginx, patient
from support.wire import call

STAND_IN = Path(__file__).with_name("wordpress_stand_in.php")
POOL = """[global]
error_log = {folder}/fpm.log
[www]
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 6
catch_workers_output = yes
php_admin_value[error_log] = {folder}/php.log
php_admin_value[opcache.enable] = 0
{user}
"""
INDEX = "<?php require __DIR__ . '/stand-in.php'; page();"
LOGIN = """<?php require __DIR__ . '/stand-in.php';
$user = (int) ($_GET['user'] ?? 0);
if ($user) { setcookie('wordpress_logged_in_test', $user, 0, '/'); do_action('wp_login', 'person', (object) ['ID' => $user]); }
else { setcookie('wordpress_logged_in_test', '', 1, '/'); do_action('wp_logout', get_current_user_id()); }
"""
NAVIGATION = (("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html"))


@dataclass
class WordPress:
    """`recipe`: nginx's part as printed. `root`: the folder that the web sees."""

    gateway: Gateway
    root: Path
    php: str
    recipe: str
    url: str = ""

    @property
    def key(self) -> str:
        return re.search(r"GATEWAY_KEY', '([^']+)'", (self.root / "wp-config.php").read_text())[1]

    @property
    def php_log(self) -> str:
        log = self.root.parent / "php.log"
        return log.read_text() if log.exists() else ""


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


class Fpm(Program):
    """php-fpm speaks no HTTP: it is up once its port is."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        _until(lambda: _listens(int(self.sign)), self.process, self.log)


def until_key_answers(address: str, key: str, status: int) -> None:
    """A running gateway reads its keys twice a second."""
    while call(f"{address}/v1/self", key=key)[0] != status:
        time.sleep(0.05)


def write_site(
    running: Gateway, root: Path, *, ssl: bool = True, plugin: bool = True, account_key: bool = True, waits: bool = True
) -> None:
    """The files of the site: stand-in, configuration, plugin, one style sheet. `waits`: as in `wordpress`."""
    (root / "transients").mkdir(parents=True)
    (root / "wp-content" / "mu-plugins").mkdir(parents=True)
    shutil.copy(STAND_IN, root / "stand-in.php")
    (root / "index.php").write_text(INDEX)
    (root / "wp-login.php").write_text(LOGIN)
    (root / "style.css").write_text("body { color: black }")
    data, address = running.folder / "data", f"http://{running.internal}"
    said = {
        "GATEWAY_URL": address,
        "GATEWAY_KEY": api_keys.add_api_key(data, "wordpress", ["choose"], publishable=False),
    }
    until_key_answers(address, said["GATEWAY_KEY"], 200)
    if account_key:
        said["GATEWAY_ACCOUNT_KEY"] = secret_files.load_secrets(data).accounts[-1].hex()
    lines = [f"define('{name}', '{value}');" for name, value in said.items()]
    lines.append(f"define('SITE_IS_SSL', {str(ssl).lower()});")
    (root / "wp-config.php").write_text("\n".join(["<?php", *lines]))
    if plugin:
        text = filled("wordpress-plugin", running.settings, host="", site="")
        if waits:
            assert "'timeout' => 0.3," in text
            text = text.replace("'timeout' => 0.3,", "'timeout' => 5,")
        (root / "wp-content" / "mu-plugins" / "consent-gateway.php").write_text(text)


@contextlib.contextmanager
def php(path: str, folder: Path):
    """php-fpm, and the address it listens on."""
    folder.mkdir(parents=True, exist_ok=True)
    port, root = free_port(), os.geteuid() == 0
    config = folder / "pool.conf"
    config.write_text(POOL.format(folder=folder, port=port, user="user = root\ngroup = root" if root else ""))
    command = [path, "-F", "-y", str(config), *(["-R"] if root else [])]
    running = Fpm(command, folder / "fpm.out", str(port))
    try:
        running.start()
        yield f"127.0.0.1:{port}"
    finally:
        running.stop()


def recipe(running: Gateway, root: Path, address: str) -> str:
    """nginx's part for that gateway and that php-fpm, with this machine's paths."""
    text = filled("wordpress", running.settings, host="127.0.0.1", site=address)
    text = text.replace("/var/www/html", str(root)).replace(
        "include fastcgi_params", "include /etc/nginx/fastcgi_params"
    )
    assert str(root) in text
    return text


@contextlib.contextmanager
def wordpress(tool, running: Gateway, folder: Path, *, change=lambda text: text, waits: bool = True, **site):
    """The running site. `change` alters nginx's part before it starts; `waits`: as long as it takes a gateway on a busy
    machine, and not as printed; the rest is `write_site`'s.
    """
    root = folder / "site"
    write_site(running, root, waits=waits, **site)
    with php(tool("php-fpm8.4"), folder) as address:
        text = change(recipe(running, root, address))
        text = patient(text) if waits else text
        with nginx(tool("nginx"), folder / "nginx", text) as url:
            yield WordPress(running, root, address, text, url)


@dataclass
class Browser:
    """A person's browser: keeps cookies, navigates, and may say GPC."""

    url: str
    gpc: bool = False
    by: str = NEW_YORK
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/hello", *headers: tuple[str, str]) -> Answer:
        said = [("Sec-GPC", "1")] if self.gpc else []
        if self.cookies:
            said.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        answer = ask(self.url, path, *NAVIGATION, *said, *headers, by=self.by)
        for cookie in answer.all("Set-Cookie"):
            pair, _, attributes = cookie.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower() or "1970" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def page(self, path: str = "/hello", *headers: tuple[str, str]) -> dict:
        answer = self.get(path, *headers)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def sign_in(self, user: int = 7) -> None:
        assert self.get(f"/wp-login.php?user={user}").status == 200

    def sign_out(self) -> None:
        assert self.get("/wp-login.php").status == 200
