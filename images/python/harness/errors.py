"""How exceptions are taken apart and put together again on the other side."""

from __future__ import annotations

from typing import Any

from .channel import ProtocolBreach

#: What standard exceptions hold beside their arguments and their `__dict__`.
_HELD: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("filename", "filename2"),
    ImportError: ("name", "path"),
    AttributeError: ("name",),
    NameError: ("name",),
}


def attributes_of(error: BaseException) -> tuple[Any, ...]:
    """What a standard exception holds beside its arguments: names and values by turns."""
    held = [name for kind, names in _HELD.items() if isinstance(error, kind) for name in names]
    found = [(name, value) for name in held if (value := getattr(error, name)) is not None]
    return tuple(x for pair in (*error.__dict__.items(), *found) for x in pair)


def set_attributes(error: BaseException, flat: tuple[Any, ...]) -> None:
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if type(name) is not str or (name[:2] == "__" and name != "__notes__"):
            raise ProtocolBreach("malformed message: an attribute that no exception has")
        setattr(error, name, value)


def new_exception(cls: Any, args: tuple[Any, ...]) -> BaseException:
    made: Any
    try:
        made = cls.__new__(cls, *args) if type(cls) is not type else cls(*args)
        if not isinstance(made, BaseException):
            raise TypeError
    except Exception:
        made = cls.__new__(cls)
    made.args = args
    kept: BaseException = made
    return kept
