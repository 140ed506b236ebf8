"""The code of `gateway help sdks`, against the vendors' own packages for React Native: the types, which calls are made
in which order, and the names in their native code.
"""

import json
import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from support import client_package, node
from support.client_package import BUNDLER

from gateway.web.shell import wire

pytestmark = pytest.mark.slow
PAGE = (resources.files("gateway") / "manual" / "sdks.md").read_text()
# `### AppsFlyer: `react-native-appsflyer` 6.18.0`: what it is called, the package, its version, the text below.
SECTION = re.compile(r"^### (.+?): `(\S+)` ([\d.]+).*\n((?:(?!#).*\n)*)", re.MULTILINE)
SECTIONS = {
    package: (name, version, "".join(client_package.blocks(text)))
    for name, package, version, text in SECTION.findall(PAGE)
}
AGES = "expo-age-range"
GOOGLE, FIREBASE = "react-native-google-mobile-ads", "@react-native-firebase/analytics"
# Of each SDK: the call that says what it may do, where there is one, and the call from which it sends. Each is written
# as the stand-in writes it, its arguments behind it.
SAYS_AND_SENDS = {
    GOOGLE: (None, ["default().initialize"]),
    "react-native-applovin-max": (["Privacy.setDoNotSell", False], ["AppLovinMAX.initialize", "SDK KEY"]),
    "ironsource-mediation": (["LevelPlay.setMetaData", "do_not_sell", ["false"]], ["LevelPlay.init"]),
    "react-native-fbsdk-next": (["Settings.setDataProcessingOptions", []], ["Settings.initializeSDK"]),
    "react-native-appsflyer": (["default.setSharingFilterForPartners", []], ["default.startSdk"]),
    "react-native-adjust": (["Adjust.enable"], ["Adjust.initSdk"]),
    FIREBASE: (["setConsent"], ["setAnalyticsCollectionEnabled", "getAnalytics()", True]),
}
# What ends it while it runs, and denies at the next start of the app.
ENDS = {
    "react-native-applovin-max": ["Privacy.setDoNotSell", True],
    "ironsource-mediation": ["LevelPlay.setMetaData", "do_not_sell", ["true"]],
    "react-native-fbsdk-next": ["Settings.setDataProcessingOptions", ["LDU"], 0, 0],
    "react-native-appsflyer": ["default.stop", True],
    "react-native-adjust": ["Adjust.disable"],
    FIREBASE: ["setAnalyticsCollectionEnabled", "getAnalytics()", False],
}
# Of a limited one: what keeps ad id and profile back.
LIMITS = {
    "react-native-appsflyer": ["default.disableAdvertisingIdentifier", True],
    FIREBASE: [
        "setConsent",
        "getAnalytics()",
        {"analytics_storage": True, "ad_storage": False, "ad_user_data": False, "ad_personalization": False},
    ],
}
NATIVE = {
    "MAX": "react-native-applovin-max",
    "LevelPlay": "ironsource-mediation",
    "Facebook SDK": "react-native-fbsdk-next",
    "AppsFlyer": "react-native-appsflyer",
    "Adjust": "react-native-adjust",
    "Firebase": FIREBASE,
}


@pytest.fixture(scope="module")
def vendors(request):
    """The folder with their packages, in the versions that the page names."""
    named = [f"{package}@{version}" for package, (_, version, _) in SECTIONS.items()]
    return node.packages(request.config.cache, *named, peers=False) / "node_modules"


@pytest.fixture(scope="module")
def app(project, vendors):
    """An app with the client and the vendors' packages, and each section's code in a file of its own."""
    for package in SECTIONS:
        link = project / "node_modules" / package
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(vendors / package)
    (project / "react-native.d.ts").write_text('declare module "react-native";')
    return project


def file_of(package: str) -> str:
    return re.sub(r"\W", "_", package)


def code_of(package: str) -> str:
    asked = 'import type { Options } from "consent-gateway-app";\ndeclare const options: Options;\n'
    return (asked if package == AGES else "") + SECTIONS[package][2]


def wrong(compiler, app, changed):
    """What TypeScript says of all sections' code, changed."""
    files = [app / "react-native.d.ts"]
    for package in SECTIONS:
        files.append(app / f"{file_of(package)}.ts")
        files[-1].write_text(changed(code_of(package)))
    return client_package.compiled(compiler, app, *BUNDLER, "--noEmit", files=files)


@pytest.fixture(scope="module")
def run(compiler, app):
    """Runs a section's code, with a stand-in for its package."""
    out = app / "out"
    files = [app / f"{file_of(package)}.ts" for package in SECTIONS]
    for package, file in zip(
        SECTIONS, files, strict=True
    ):  # what an app does with a bracket is no part of what is called
        file.write_text(code_of(package).split("import { Gateway }")[0])
    options = ["--module", "commonjs", "--esModuleInterop", "--noCheck", "--noResolve", "--outDir", str(out)]
    assert client_package.compiled(compiler, app, *options, files=files) == ""
    (out / "package.json").write_text('{"type": "commonjs"}')
    driver = Path(client_package.__file__).parent / "sdk_calls.cjs"

    def calling(package, *calls, returns=None):
        command = ["node", str(driver), str(out / f"{file_of(package)}.js"), package]
        asked = json.dumps({"calls": calls, "returns": returns or {}})
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return calling


def begins(call, pattern):
    return pattern is not None and call[: len(pattern)] == pattern


def place(calls, pattern):
    return next((number for number, call in enumerate(calls) if begins(call, pattern)), None)


def test_the_page_has_the_sdks_that_are_asked_for_most():
    assert set(SECTIONS) == {*SAYS_AND_SENDS, AGES}
    rows = PAGE.split("\n\n")[2]
    for name in ("AdMob", "MAX", "LevelPlay", "Facebook", "Audience Network", "AppsFlyer", "Adjust", "Firebase"):
        assert name in rows
    assert re.search(r"read on \d+ \w+ 20\d\d", PAGE)


def test_the_code_has_the_types_of_the_vendors_packages(compiler, app):
    assert wrong(compiler, app, lambda code: code) == ""


def test_a_name_that_a_vendors_package_has_not_is_found_in_each(compiler, app):
    names = r"\b(initialize|setDoNotSell|setMetaData|setDataProcessingOptions|anonymizeUser|disable\(|setConsent\(|lowerBound)"
    found = wrong(compiler, app, lambda code: re.sub(names, r"misspelt_\1", code))
    for package in SECTIONS:
        assert f"{file_of(package)}.ts(" in found, package


@pytest.mark.parametrize("package", SAYS_AND_SENDS)
def test_an_sdk_is_told_what_it_may_do_before_it_starts(run, package):
    says, sends = SAYS_AND_SENDS[package]
    (started,) = run(package, ["sdk.start", "start"])
    assert place(started["calls"], sends) is not None
    if says:
        assert place(started["calls"], says) < place(started["calls"], sends)


@pytest.mark.parametrize("package", SAYS_AND_SENDS)
def test_an_sdk_that_is_stopped_first_never_starts(run, package):
    _, sends = SAYS_AND_SENDS[package]
    (stopped,) = run(package, ["sdk.stop"])
    assert place(stopped["calls"], sends) is None


@pytest.mark.parametrize("package", SAYS_AND_SENDS)
def test_a_running_sdk_is_stopped_and_starts_again(run, package):
    _, sends = SAYS_AND_SENDS[package]
    _, stopped, again = run(package, ["sdk.start", "start"], ["sdk.stop"], ["sdk.start", "start"])
    if package == GOOGLE:
        assert stopped["exports"]["adRequest"] is None
    else:
        assert place(stopped["calls"], ENDS[package]) is not None
    assert stopped["exports"].get("mayLoad", False) is False
    restarts = ["Adjust.enable"] if package == "react-native-adjust" else sends
    assert place(again["calls"], restarts) is not None


@pytest.mark.parametrize("package", SAYS_AND_SENDS)
def test_a_limited_sdk_keeps_the_ad_id_back_or_does_not_start(run, package):
    _, sends = SAYS_AND_SENDS[package]
    for before in ([], [["sdk.start", "start"], ["sdk.stop"]]):  # from start to limited the client goes by way of stop
        limited = run(package, *before, ["sdk.start", "limited"])[-1]
        if package == GOOGLE:
            asked = {"requestNonPersonalizedAdsOnly": True, "networkExtras": {"rdp": "1"}}
            assert limited["exports"]["adRequest"] == asked
        elif package in LIMITS:
            assert place(limited["calls"], LIMITS[package]) < place(limited["calls"], sends)
        else:
            assert limited["calls"] == []
            assert limited["exports"].get("mayLoad", False) is False


DECLARED = {"ageRangeDeclaration": "selfDeclared"}
PLAY = {"ageRangeSource": "TIER_C"}


@pytest.mark.parametrize(
    ("shared", "told", "years", "band"),
    [
        (None, {"lowerBound": None, "upperBound": 13, **DECLARED}, 0, "under_13"),
        (None, {"lowerBound": 13, "upperBound": 16, **DECLARED}, 13, "13_15"),
        (None, {"lowerBound": 15, "upperBound": 18}, 15, "13_15"),
        (None, {"lowerBound": 18, "upperBound": None, **DECLARED}, 18, "adult"),
        (None, {"lowerBound": 18}, None, None),  # before iOS 26
        ("SHARED", {"lowerBound": 0, "upperBound": 12, **PLAY}, 0, "under_13"),
        ("SHARED", {"lowerBound": 16, "upperBound": 17, **PLAY}, 16, "16_17"),
        ("SHARED", {"lowerBound": 18, "upperBound": None, **PLAY}, 18, "adult"),
        ("SHARED", {"lowerBound": None, "upperBound": None}, None, None),
        ("NOT_SHARED", {"lowerBound": 18, "upperBound": None, **PLAY}, None, None),
        ("VERIFICATION_REQUIRED", {"lowerBound": 18, "upperBound": None, **PLAY}, None, None),
    ],
)
def test_the_bracket_of_an_operating_system_is_the_youngest_that_its_owner_may_be(run, shared, told, years, band):
    returns = {"requestAgeSignalsAccessAsync": shared, "requestAgeRangeAsync": told}
    (said,) = run(AGES, ["ageBracket"], returns=returns)
    assert said["back"] == years
    assert wire.band(years) == band


ROWS = [
    row.strip("| ").split(" | ")
    for row in PAGE.split("| SDK | Kotlin | Swift |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
]


@pytest.mark.parametrize(("name", "kotlin", "swift"), [row for row in ROWS if row[0] in NATIVE], ids=lambda each: each)
def test_the_native_names_are_those_that_the_packages_call(vendors, name, kotlin, swift):
    folder = vendors / NATIVE[name]
    android = "\n".join(path.read_text() for end in ("java", "kt") for path in (folder / "android").rglob(f"*.{end}"))
    apple = "\n".join(path.read_text() for end in ("m", "mm") for path in (folder / "ios").rglob(f"*.{end}"))
    owner, method = re.match(r"`(\w+)(?:\.getInstance\(\w*\))?\.(\w+)\(", kotlin).groups()
    assert re.search(rf"\b{owner}(?:\.getInstance\(.*\))?\.{method}\(", android), kotlin
    owner, method = re.match(r"`(\w+)(?:\.shared(?:\(\))?)?\.(\w+)", swift).groups()
    assert re.search(rf"\[\w*{owner}\b.*?[\s.]{method}\b", apple), swift


def test_the_native_names_of_all_but_two_are_looked_up():
    assert {row[0] for row in ROWS} - set(NATIVE) == {"Audience Network", "Google Mobile Ads"}
