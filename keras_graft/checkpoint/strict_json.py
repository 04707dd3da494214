"""What is read from disk has the form that was written, or it is refused.

A form is a type that `msgspec` checks: a `msgspec.Struct` with its fields,
`list[float]`, `Annotated[int, msgspec.Meta(ge=0)]`. Nothing is converted: a
text is no number, 1.0 and true are no integers.
"""

import json
from typing import Any

import msgspec


class ContentError(ValueError):
    """Something read from disk is not of its form; the message says where."""


def parse(data: bytes | str, form: Any) -> Any:
    """Reads JSON of a form.

    Args:
        data: The text, UTF-8 if it is bytes.
        form: The type that it has.

    Returns:
        A value of that type.

    Raises:
        ContentError: If it is no JSON, or of another form, or a name is
            there twice in one object.
    """
    try:
        if isinstance(data, bytes):
            data = data.decode("utf-8")
        value = json.loads(data, object_pairs_hook=_each_once)
    except RecursionError as error:
        raise ContentError("it is nested too deeply") from error
    except ContentError:
        raise
    except ValueError as error:
        raise ContentError(f"it is no JSON ({error})") from error
    return check(value, form)


def _each_once(pairs):
    """An object of JSON; of two entries with one name, which one counts?"""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ContentError(f"its entry `{name}` is there twice")
        found[name] = value
    return found


def check(value: Any, form: Any, name: str = "") -> Any:
    """Returns a value as one of a form.

    Args:
        value: What `json` reads.
        form: The type that it has.
        name: Of the entry that holds it, for the message.

    Raises:
        ContentError: If it is of another form.
    """
    try:
        return msgspec.convert(value, form)
    except RecursionError as error:
        raise ContentError(f"{name or 'it'} is nested too deeply") from error
    except msgspec.ValidationError as error:
        what, at, path = str(error).partition(" - at `$")
        inner = path.rstrip("`").removeprefix("." if not name else "")
        entry = f"{name}{inner}"
        reason = what[:1].lower() + what[1:]
        where = f"its entry `{entry}`: " if entry else ""
        raise ContentError(f"{where}{reason}") from error
