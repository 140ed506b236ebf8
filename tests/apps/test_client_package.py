"""The client as a package of npm: packed, installed into an empty project, imported by Node, read by TypeScript."""

import json
import subprocess
import tarfile
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import client_package
from support.client_package import BUNDLER, NAME, ROOT, SDK

from gateway import __version__
from gateway.cli.root import group

pytestmark = pytest.mark.slow
# What the examples leave to the reader.
READERS = """
import type { Keys, Storage } from "consent-gateway-app";
declare const storage: Storage, preferences: (keys: Keys) => Promise<void>, session: { account: string } | null;
declare const Network: { start(how: { limited: boolean }): void; shutDown(): void };
declare const Keychain: { read(name: string): Promise<string | null>; write(name: string, text: string): Promise<void> };
declare const DefaultPreference: { writeTyped(keys: Keys): Promise<void> };
declare const backend: { assertion(): Promise<string>; attestation(): Promise<string | null> };
declare const idfv: () => Promise<string>, idfa: () => Promise<string>, trackingStatus: () => Promise<number>;
declare const report: (what: string, status?: number) => void;
declare namespace JSX { interface Element {} }
declare const Button: (asked: { title: string; onPress(): void }) => JSX.Element;
"""


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}


def node(project, code):
    command = ["node", "--input-type=module", "-e", code]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True, timeout=60).stdout


def wrong(compiler, project, codes, *options, suffix="ts"):
    """What TypeScript finds wrong with each of some files, all of which it reads in one run."""
    files = {name: project / f"{name}.{suffix}" for name in codes}
    for name, file in files.items():
        file.write_text(codes[name])
    found = client_package.compiled(compiler, project, *options, "--noEmit", files=[*files.values()]).splitlines()
    of_none = [line for line in found if not any(f"{file.name}(" in line for file in files.values())]
    assert of_none == []
    return {name: "\n".join(line for line in found if f"{file.name}(" in line) for name, file in files.items()}


def test_the_package_has_the_gateways_own_version():
    assert json.loads((SDK / "package.json").read_text())["version"] == __version__


def test_script_and_types_are_what_the_one_source_makes(compiler, tmp_path):
    """Made anew by `npx -p typescript tsc -p .` in static/sdk."""
    subprocess.run([compiler, "-p", SDK, "--outDir", tmp_path], check=True, timeout=60)
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert set(made) == {"gateway.js", "gateway.d.ts"}
    assert made == {name: (SDK / name).read_text() for name in made}


def test_an_installation_without_npm_hands_out_what_npm_packs(packed, tmp_path):
    printed = CliRunner().invoke(group, ["recipe", "react-native", "--npm"], catch_exceptions=False)
    ours = tmp_path / "ours.tgz"
    ours.write_bytes(printed.stdout_bytes)
    assert contents(ours) == contents(packed)
    assert set(contents(ours)) == {
        f"package/{name}"
        for name in ("package.json", "README.md", "LICENSE", "gateway.ts", "gateway.js", "gateway.d.ts")
    }
    assert contents(ours)["package/LICENSE"] == (ROOT / "LICENSE").read_bytes(), "its terms go with every copy"
    again = CliRunner().invoke(group, ["recipe", "react-native", "--npm"], catch_exceptions=False)
    assert again.stdout_bytes == printed.stdout_bytes
    (tmp_path / "app").mkdir()
    project = client_package.installed(tmp_path / "app", ours)
    assert (project / "node_modules" / NAME / "gateway.js").read_bytes() == (SDK / "gateway.js").read_bytes()


def test_node_imports_it_by_its_name_and_nothing_else_of_it(project):
    said = node(project, f'import * as client from "{NAME}"; console.log(Object.keys(client).join())')
    assert said.strip() == "Gateway,Refused,UNTIL_FIRST_ANSWER,backoff"
    with pytest.raises(subprocess.CalledProcessError, match="1"):
        node(project, f'await import("{NAME}/gateway.js")')


@pytest.mark.parametrize("options", [BUNDLER, ["--module", "nodenext"]], ids=["bundler", "nodenext"])
def test_typescript_finds_its_types(compiler, project, options):
    good = f'import {{ Gateway, type Sdk }} from "{NAME}";\nexport const asked: Promise<void> = new Gateway({{}} as never).optOut(["sale"]);\n'
    stopless = f'import type {{ Sdk }} from "{NAME}";\nexport const sdk: Sdk = {{ start() {{}} }};\n'
    codes = {"good": good, "text": good.replace('["sale"]', '"sale"'), "stopless": stopless}
    found = wrong(compiler, project, codes, *options)
    assert found["good"] == ""
    assert "TS2345" in found["text"]
    assert "TS2741" in found["stopless"]


def example(text):
    return next(block for block in client_package.blocks(text) if "new Gateway" in block)


@pytest.mark.parametrize(
    "page", [SDK / "README.md", resources.files("gateway") / "manual" / "apps.md"], ids=["README", "manual"]
)
def test_the_examples_have_the_types_that_they_should(compiler, project, page):
    code = READERS + example(page.read_text())
    codes = {"shown": code, "misspelt": code.replace("  identifiers:", "  identifier:")}
    found = wrong(compiler, project, codes, *BUNDLER, "--jsx", "preserve", suffix="tsx")
    assert found["shown"] == ""
    assert "identifiers" in found["misspelt"]
