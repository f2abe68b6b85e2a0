"""Data from outside: every field is checked, and an error says what is allowed instead."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T", bound="Checked")
Rule = tuple[str, Callable[[Any], bool]]  # what is allowed: in words, and as a test

Headers = tuple[tuple[str, str], ...]
RefusalStatus = Annotated[int, "an error"]


def _is_header(pair: Any) -> bool:
    """Return whether a pair is a header that can be sent, and none of those that frame the body.

    Source: RFC 9110, section 5, https://www.rfc-editor.org/rfc/rfc9110#section-5
    """
    match pair:
        case (str(name), str(value)):
            return (
                re.fullmatch(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", name) is not None
                and re.fullmatch(r"([!-~]([ \t!-~]*[!-~])?)?", value) is not None
                and name.lower() not in ("content-length", "transfer-encoding")
            )
    return False


RULES: dict[Any, Rule] = {
    str: ("a text", lambda value: isinstance(value, str)),
    str | None: ("a text or null", lambda value: value is None or isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number from 0 up", lambda value: type(value) is int and value >= 0),
    float: (
        "a number from 0 up",
        lambda value: type(value) in (int, float) and 0 <= value < math.inf,
    ),
    RefusalStatus: ("400 to 599", lambda value: type(value) is int and 400 <= value <= 599),
    Headers: (
        "pairs of a name and a value in ASCII, without content-length and transfer-encoding",
        lambda value: isinstance(value, tuple) and all(map(_is_header, value)),
    ),
}


class Checked:
    """Base of a dataclass whose fields are checked when an object is made; raises ValueError."""

    _rules: ClassVar[dict[str, Rule]]

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls._rules = {name: RULES[hint] for name, hint in hints.items() if hint in RULES}
        for name, hint in hints.items():
            if get_origin(hint) is Literal:
                values = get_args(hint)
                cls._rules[name] = (" or ".join(map(repr, values)), values.__contains__)

    def __post_init__(self) -> None:
        for name, (allowed, holds) in self._rules.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(
                    f"{type(self).__name__} has {name}={value!r:.60}. Allowed is {allowed}."
                )


def make(kind: type[T], fields: Any) -> T:
    """Return an object of this kind from a JSON object; lists become tuples. Raises ValueError."""
    if not isinstance(fields, dict):
        raise ValueError(f"A {kind.__name__} is a JSON object, and this is {fields!r:.60}.")
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a Checked is a dataclass
    unknown = [name for name in fields if name not in known]
    needed = [name for name, field in known.items() if field.default is dataclasses.MISSING]
    missing = [name for name in needed if name not in fields]
    if unknown or missing:
        what = f"has no field {unknown[0]!r}" if unknown else f"needs the field {missing[0]!r}"
        raise ValueError(f"{kind.__name__} {what}. Its fields: {', '.join(known) or 'none'}.")
    return kind(**{name: _tuples(value) for name, value in fields.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
