"""The texts that people are shown, as documents with a hash: a page includes the very bytes that were logged."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from gateway.ledger.documents import Document
from gateway.web.shell.language import ENGLISH, LANGUAGES

VERSION = "1"
CHOICES = "choices"
MARKETING = "marketing"
OPT_IN = "opt-in"
CONFIRM = "confirm"
KINDS = (CHOICES, MARKETING, OPT_IN, CONFIRM)


@cache
def load_notice(kind: str, language: str = ENGLISH) -> Document:
    """`kind` is the file's name in web/notices."""
    return Document(kind, VERSION, language, _path(kind, language).read_bytes())


@cache
def in_languages(kind: str) -> Mapping[str, Document]:
    """The text in each language that it is written in; read once."""
    return {language: load_notice(kind, language) for language in LANGUAGES if _path(kind, language).is_file()}


def _path(kind: str, language: str) -> Traversable:
    return resources.files("gateway.web") / "notices" / f"{kind}.{language}.txt"


def shipped() -> list[Document]:
    return [document for kind in KINDS for document in in_languages(kind).values()]


def paragraphs(document: Document) -> list[str]:
    return [part.strip() for part in document.body.decode().split("\n\n") if part.strip()]
