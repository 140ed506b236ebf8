"""A letter to a person: what a code is sent in. Its words are the page's, in the reader's language."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Letter:
    """Plain text. `language` is a BCP 47 tag."""

    subject: str
    text: str = field(repr=False)
    language: str = "en"
