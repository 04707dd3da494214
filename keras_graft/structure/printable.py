"""Names of layers, classes and files as they may be shown.

Keras and file systems take any character in a name: those that a terminal
obeys instead of showing, too.
"""


def printable(text: str, kept: str = "") -> str:
    r"""Returns a text with an escape for each character that cannot be seen.

    Args:
        text: Any text.
        kept: Characters that stay as they are, such as the end of a line.

    Returns:
        The text; ESC is `\x1b` in it, as in Python.
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c in kept
        else c.encode("unicode_escape").decode()
        for c in text
    )
