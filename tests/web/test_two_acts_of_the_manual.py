"""The two acts of opting in, as the manual shows them: its bodies are sent, and its answers are what comes."""

import json
import re
from importlib import resources

import anyio
from click.testing import CliRunner
from support import inside

from gateway.cli.root import group

PATH = "/v1/choices"
SHOWN = re.compile(r"```json\n(.*?)```", re.DOTALL)


def blocks():
    """The first act, its answer, the second act, its answer."""
    manual = (resources.files("gateway") / "manual" / "opting_in.md").read_text()
    part = manual[manual.index("## Opting in by a call") :]
    found = [json.loads(block) for block in SHOWN.findall(part[: part.index("\n## ", 3)])]
    assert len(found) == 4
    return found


def filled(body, **words):
    text = json.dumps(body)
    for word, value in {"JWS": "dev", **words}.items():  # what proves everybody in development
        text = text.replace(f'"{word}"', json.dumps(value))
    return json.loads(text)


def logged(folder, tmp_path):
    """The hashes of two texts, by the manual's commands."""
    found = []
    for name in ("ask", "confirm"):
        text = tmp_path / f"{name}.txt"
        text.write_text(f"May we sell what we know of you? ({name}) Yes. No.\n")
        words = ["notice", str(text), "--name", f"settings-{name}", "--screen", "--data", str(folder)]
        found.append(CliRunner().invoke(group, words, catch_exceptions=False).output.strip())
    return found


def test_the_two_acts_of_the_manual_are_taken_and_answered_as_it_shows(folder, tmp_path):
    first, asked, second, done = blocks()
    one, two = logged(folder, tmp_path)

    async def acts():
        async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
            answer = await client.post(PATH, json=filled(first, SHA256_1=one))
            assert (answer.status_code, answer.json()["ignored"]) == (202, [])
            assert answer.json().keys() >= asked.keys()
            act = filled(second, SHA256_2=two, CONFIRM=answer.json()["confirm"])
            last = await client.post(PATH, json=act)
            assert (last.status_code, (await client.post(PATH, json=act)).status_code) == (201, 422), "once"
            return last.json()

    told = anyio.run(acts)
    assert told.keys() >= done.keys()
    assert (told["standing"], told["still_out"]) == (done["standing"], done["still_out"])


def test_one_act_alone_changes_nothing(folder, tmp_path):
    first, _, _, _ = blocks()
    one, _ = logged(folder, tmp_path)

    async def act():
        async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
            before = (await client.get("/readyz")).json()["ledger"]["entries"]
            assert (await client.post(PATH, json=filled(first, SHA256_1=one))).status_code == 202
            return before, (await client.get("/readyz")).json()["ledger"]["entries"]

    before, after = anyio.run(act)
    assert after == before
