"""What a long command says while it works is seen on a terminal and by nobody who reads results."""

import contextlib
import io
import subprocess
import sys
import time

import pytest
from support.people import email

from gateway.app import composition, maintenance
from gateway.cli import main, opt_out_list, progress


class Terminal(io.StringIO):
    """What a person sees, but that nothing scrolls away."""

    def isatty(self):
        return True

    def until(self, text):
        """Waits until it stands there."""
        until = time.monotonic() + 60
        while text not in self.getvalue():
            assert time.monotonic() < until, self.getvalue()
            time.sleep(0.005)

    def lines(self):
        """What stands on each line at last, each letter being written over by the later one in its place."""
        found = []
        for line in self.getvalue().split("\n"):
            shown = []
            for part in line.split("\r"):
                shown[: len(part)] = part
            found.append("".join(shown).rstrip())
        return found


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "PERIOD", 0.001)
    return Terminal()


def slowly(monkeypatch, terminal, module, name, text):
    """The work of a command, which is not done before the person has seen the text."""
    work = getattr(module, name)

    def waits(*arguments, **more):
        terminal.until(text)
        return work(*arguments, **more)

    monkeypatch.setattr(module, name, waits)


def run(capsys, terminal, *words):
    with contextlib.redirect_stderr(terminal), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "module", "name", "text"),
    [
        (["verify"], composition, "verify_ledger", "reading the whole ledger, 0 s"),
        (["prune", "--dry-run"], composition, "prune_ledger", "reading the whole ledger, before and after, 0 s"),
        (["backup", "COPY"], maintenance, "back_up", "copying the ledger, and reading the copy, 0 s"),
        (["rekey", "pepper"], maintenance, "pepper", "wrapping every stored key, 0 s"),
    ],
)
def test_a_person_sees_what_is_done_and_the_result_alone_is_left(
    folder, tmp_path, capsys, monkeypatch, terminal, words, module, name, text
):
    said = [str(tmp_path / "copy") if word == "COPY" else word for word in words]
    slowly(monkeypatch, terminal, module, name, text)
    code, out = run(capsys, terminal, *said, "--data", folder)
    assert code == 0
    assert out
    assert "\r" not in out
    assert text not in out
    assert terminal.lines() == [""]


def test_lines_of_a_list_are_counted_and_those_in_doubt_stay(folder, tmp_path, capsys, monkeypatch, terminal):
    (tmp_path / "list.csv").write_text(f"type,value\nemail,{email(1)}\nemail,nobody\nemail,{email(2)}\n")
    monkeypatch.setattr(opt_out_list, "BATCH", 1)
    entered, seen = opt_out_list._entered, []

    async def waits(*arguments):
        terminal.until("lines entered: 2, 0 s" if seen else "lines entered:, 0 s")
        seen.append(1)
        return await entered(*arguments)

    monkeypatch.setattr(opt_out_list, "_entered", waits)
    code, out = run(capsys, terminal, "import", tmp_path / "list.csv", "--data", folder)
    assert (code, out) == (1, "3 lines: 2 kept, 0 kept in doubt, 1 refused, 0 empty\n")
    [line, rest] = terminal.lines()
    assert line.startswith("  line 3: ")
    assert rest == ""


def test_what_fails_leaves_no_half_a_line(terminal):
    with contextlib.redirect_stderr(terminal), pytest.raises(LookupError), progress.Progress("working"):
        terminal.until("working, 0 s")
        raise LookupError
    assert terminal.lines() == [""]


def test_where_stderr_is_no_terminal_nothing_is_said(folder, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    with progress.Progress("working") as working:
        time.sleep(0)
        working.tell("line 3: odd")
    assert not working._thread.is_alive()
    assert capsys.readouterr().err == "line 3: odd\n"
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "verify", "--data", str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.endswith("passed\n")
