"""The limits of what people are told, and how text is brought within them."""

from collections.abc import Sequence

from webhook.netpol.reading import shorten

LONGEST_MESSAGE = 1024
"""Characters of a refusal: what fits a terminal without drowning the reader."""

LONGEST_WARNING = 120
"""Characters of a warning: the API server cuts them to 256 each once all of them pass 4,096."""

LONGEST_ANNOTATION = 1024
"""Characters of an audit annotation."""

LONGEST_NAME = 63
"""Characters of one name within a message; a longer one is cut in the middle."""


def one_line(text: str, limit: int) -> str:
    """Give *text* without control characters, cut to *limit* characters at its end."""
    clean = text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def warning(text: str) -> str:
    """Give *text* as a warning."""
    return one_line(text, LONGEST_WARNING)


def as_many_as_fit(sentences: Sequence[str], room: int) -> str:
    """Join sentences up to *room* characters, the first one always, and say how many are left out."""
    text = shorten(sentences[0], max(room - len("; and 999 more"), LONGEST_NAME))
    for index, sentence in enumerate(sentences[1:], start=1):
        more = f"; and {len(sentences) - index} more"
        if len(text) + len("; ") + len(sentence) + len(more) > room:
            return text + more
        text = f"{text}; {sentence}"
    return text
