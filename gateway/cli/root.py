"""The command `gateway` itself: options that every command has, and errors that carry their own cure."""

import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module, resources
from typing import NamedTuple

import click

from gateway import __version__
from gateway.terms import WORDS, Unusable

EXIT_UNUSABLE = 3
GLOSSARY = "words"  # the text that is no file: `gateway.terms` has it
LIMIT = 60  # characters of a command's line in --help


class Lazy(NamedTuple):
    """A command whose file is loaded when it is asked for: `--version`, `--help` and `decode` need no ledger."""

    file: str
    name: str
    help: str

    def load(self) -> click.Command:
        """What is loaded is not looked through for garbage again: that took 80 ms, under the writers' lock too."""
        name = f"gateway.cli.{self.file}"
        is_new = name not in sys.modules
        command: click.Command = getattr(import_module(name), self.name)
        if is_new:
            gc.freeze()
        return command


class Commands(click.Group):
    """The commands by name; the list of them is printed without loading any."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted([*COMMANDS, *self.commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name)
        return lazy.load() if lazy else super().get_command(ctx, cmd_name)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        own = {name: command.get_short_help_str(LIMIT) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**own, **{name: lazy.help for name, lazy in COMMANDS.items()}}.items()))


@click.group(cls=Commands, help="The consent gateway. `gateway help` lists longer texts.")
@click.version_option(__version__, prog_name="gateway")
def group() -> None:
    pass


INTRODUCED = """# Our words: what each means here, in one sentence

What the code and these texts mean by a word that has a meaning of its own here, one sentence each. Words that a call
may say (purposes, data classes, reasons, sources) stand in `gateway/terms.py`; the words of the law are the law's.

"""


@click.command("help", help="Print a longer text; without a name, list them, each with what it is about.")
@click.argument("name", required=False)
def manual(name: str | None) -> None:
    texts = read_manual()
    if name is None:
        width = max(map(len, texts))
        click.echo("\n".join(f"{each:<{width}}  {heading_of(text)}" for each, text in sorted(texts.items())))
    elif name in texts:
        click.echo(texts[name])
    else:
        raise click.UsageError(f"no text {name!r}; there are {', '.join(sorted(texts))}")


def read_manual() -> dict[str, str]:
    """The longer texts by name."""
    folder = resources.files("gateway") / "manual"
    files = [item for item in folder.iterdir() if item.name.endswith(".md")]
    words = INTRODUCED + "\n".join(f"- **{word}**: {text}" for word, text in WORDS.items())
    return {GLOSSARY: words} | {item.name.removesuffix(".md"): item.read_text(encoding="utf-8") for item in files}


def heading_of(text: str) -> str:
    """What a longer text is about, in its own first line."""
    return text.partition("\n")[0].removeprefix("# ")


COMMANDS: dict[str, Lazy] = {
    "access": Lazy("ask", "access", "What is held about whoever has these identifiers, and who..."),
    "age": Lazy("say", "age", "Record how old somebody is."),
    "answered": Lazy("officer", "answered", "Count a request that was answered elsewhere, or denied:..."),
    "appeal": Lazy("officer", "appeal", "Record that somebody appealed against the answer to a..."),
    "backup": Lazy("ledger", "backup", "Copy the ledger into the new folder DEST, while the..."),
    "check": Lazy("ask", "check", "Ask whether data may go to a recipient."),
    "choose": Lazy("say", "choose", "Enter a choice that came by e-mail, phone or letter:..."),
    "config": Lazy("serve", "config", "The configuration."),
    "copy": Lazy("ledger", "copy", "Move an installation's ledger and its persons' keys from..."),
    "decode": Lazy("signals", "decode", "Show what a signal string, or a Cookie header, says,..."),
    "deliveries": Lazy("deliveries", "deliveries", "List what recipients are still to be told, and send it..."),
    "desk": Lazy("desk", "desk", "Who sits at the desk, what was looked at there, and its..."),
    "disclosures": Lazy("officer", "disclosures", "Answer who got what. received: who got data of one person..."),
    "drop": Lazy("drop", "drop", "Take in and answer a state's deletion list, as..."),
    "encode": Lazy("signals", "encode", "Write a GPP string from what `decode gpp --json` shows."),
    "erase": Lazy("ledger", "erase", "Forget a person, of the identifiers that they proved..."),
    "evidence": Lazy("officer", "evidence", "What was counted on a day (UTC), what failed from when..."),
    "explain": Lazy("ask", "explain", "Show every rule that was tried for a verdict, and which..."),
    "export": Lazy("officer", "export", "Take records out: requests for an auditor or a successor."),
    "history": Lazy("ask", "history", "Every entry about one identifier, each checked against..."),
    "hosts": Lazy("rehearse", "hosts", "List the hosts that pages were seen to talk to, with the..."),
    "import": Lazy("opt_out_list", "import_", "Take in existing opt-outs from a CSV in UTF-8 with a..."),
    "init": Lazy("init", "init", "Write a configuration for your own case into a new FILE,..."),
    "keys": Lazy("keys", "keys", "API keys for callers, and the keys of the installation."),
    "law": Lazy("law", "law", "The law, as the dated tables have it."),
    "ledger": Lazy("receipt", "ledger", "The log itself."),
    "link": Lazy("say", "link", "Tell which identifiers an account has."),
    "migrate": Lazy("ledger", "migrate", "Make the installation's folder, or bring an older one up..."),
    "notice": Lazy("say", "notice", "Log a text that people are shown, once; prints the hash..."),
    "prune": Lazy("ledger", "prune", "Take away what [retention] no longer keeps: details, then..."),
    "receipt": Lazy("receipt", "receipt", "Receipts of choices: check them without the log, or show..."),
    "recipe": Lazy("recipe", "recipe", "Print tested configuration for a proxy or for this..."),
    "record": Lazy("officer", "record", "One choice as a record in a standard's form: ISO/IEC TS..."),
    "rehearse": Lazy("rehearse", "rehearse", "Try every way to opt out that the configuration has open..."),
    "rekey": Lazy("keys", "rekey", "Replace a key of the installation, as an entry of the log."),
    "replica": Lazy("serve", "replica", "Answer checks here from a copy of the gateway's..."),
    "report": Lazy("report", "report", "Numbers for whoever runs ads: counts only, of nobody."),
    "restore": Lazy("ledger", "restore", "Put the ledger of BACKUP in place, with the service..."),
    "serve": Lazy("serve", "serve", "Start the gateway."),
    "suppression": Lazy("officer", "suppression", "Write the digests of those who opted out, of the people..."),
    "systems": Lazy("deliveries", "systems", "What the operator's own systems are asked to delete, by..."),
    "told": Lazy("say", "told", "Record that people were shown or sent a notice, or that..."),
    "unsubscribe-link": Lazy("say", "unsubscribe", "Print a link that ends marketing for whoever is named,..."),
    "verify": Lazy("ledger", "verify", "Read the whole ledger: the tree made again from the bytes..."),
    "void": Lazy("say", "void", "Void choices that are believed to be forged, in good..."),
    "void-consents": Lazy("say", "void_consents", "Take back every opt-in that one screen asked for (11 CCR..."),
    "witness": Lazy("serve", "witness", "Run a witness: it signs a log's checkpoint when that grew..."),
}
group.add_command(manual)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; an error that carries its cure is printed as it is."""
    _speak()
    try:
        group.main(list(arguments) if arguments is not None else None, standalone_mode=True)
    except (Unusable, OSError) as refused:  # a full disk, a folder that is not there or may not be written to
        if isinstance(refused, OSError) and refused.errno is None:
            raise  # none of the system's: a fault of ours
        click.echo(f"gateway: {told_refusal(refused)}", err=True)
        sys.exit(EXIT_UNUSABLE)


def _speak() -> None:
    """What is written into a file or a pipe is UTF-8, whatever the locale, for receipts are compared to the byte; a
    terminal that has no such letter gets another one instead of half an answer.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def told_refusal(error: Unusable | OSError) -> str:
    """What is wrong and what helps. Of the system's refusals the file; what that was for is the caller's to say."""
    if isinstance(error, Unusable):
        return str(error)
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    what = error.strerror or type(error).__name__
    return f"{where}{what}. Make room, or put right what is named; then do the same again"
