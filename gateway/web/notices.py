"""The texts that people are shown, as documents with a hash: the page includes the very bytes that were logged."""

from importlib import resources

from gateway.ledger.documents import Document

VERSION = "1"
LANGUAGE = "en"


def load(kind: str, language: str = LANGUAGE) -> Document:
    """`kind` is the file's name in web/notices."""
    path = resources.files("gateway.web") / "notices" / f"{kind}.{language}.txt"
    return Document(kind, VERSION, language, path.read_bytes())


CHOICES = "choices"
OPT_IN = "opt-in"
CONFIRM = "confirm"


def shipped() -> list[Document]:
    return [load(CHOICES), load(OPT_IN), load(CONFIRM)]


def paragraphs(document: Document) -> list[str]:
    return [part.strip() for part in document.body.decode().split("\n\n") if part.strip()]
