"""Numbers of things, and text from outside (names of files, cases, groups), as a log shows them."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Replace characters that are not seen but act: `\x1b`, `\n`, `\u202e`.

    Those are control characters, line ends, zero-width characters and marks of the writing
    direction: they move the cursor, forge lines of a log, or hide parts of a name. A byte of a file
    name that is not UTF-8 becomes `\xff`. Letters of every script stay.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def number_of(number: float, noun: str) -> str:
    """Return "1 case", "2 cases", "2.5 minutes"."""
    text = f"{number:g}" if isinstance(number, float) else str(number)
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00  # Python stores a byte of a file name that is no text so
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"
    return character.encode("unicode_escape").decode("ascii")
