"""Types of what is asked for, as strict as the OpenAPI document says they are: pydantic alone would take "5" for 5, and
a number of seconds for a day.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, StrictFloat

from api.errors import AnyRequest, Detail, InvalidError

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL holds none: no text that is asked for has one."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DAY.pattern + r"[Tt][0-9].*", re.DOTALL)


def _day(given: Any) -> Any:
    """ValueError for anything but a day as text."""
    if given is None or isinstance(given, date) or (isinstance(given, str) and _DAY.fullmatch(given)):
        return given
    raise ValueError("must be a day: YYYY-MM-DD")


def _moment(given: Any) -> Any:
    """ValueError for anything but a moment as text."""
    if given is None or isinstance(given, datetime) or (isinstance(given, str) and _MOMENT.fullmatch(given)):
        return given
    raise ValueError("must be a moment: 2026-04-01T09:00:00Z")


def _whole(given: Any) -> Any:
    """ValueError for what is no number; 5.0 is 5, as JSON has it."""
    if given is None or (isinstance(given, int | float) and not isinstance(given, bool)):
        return given
    raise ValueError("must be a whole number")


WHOLE = BeforeValidator(_whole)
"""Of an int: no text and no truth value. Limits stand before it."""
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
North = Annotated[StrictFloat, Field(ge=-90, le=90)]
East = Annotated[StrictFloat, Field(ge=-180, le=180)]


def only(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """Part of a schema: this field is there, and is of this type, so not null. `more`: what else holds of it."""
    return {"required": [name], "properties": {name: {"type": kind, **more}}}


def absent(*names: str) -> dict[str, Any]:
    """Part of a schema: these are not there, or null, or hold nothing."""
    return {"properties": {name: {"type": ["null", "array"], "maxItems": 0} for name in names}}


def rule(*holds: dict[str, Any]) -> dict[str, Any]:
    """What holds between the fields of a body: within allOf, where generators of clients see no other shapes."""
    return {"allOf": list(holds)}


async def refuse_null(request: AnyRequest) -> None:
    """Before every request: no address can say null, but the framework would take the word for it where no text is
    asked for. InvalidError.
    """
    if b"null" not in request.scope["query_string"]:
        return
    for parameter in request.route_handler.parsed_fn_signature.parameters.values():
        asked = parameter.kwarg_definition
        name = getattr(asked, "name", None) or parameter.name
        texts = str in (parameter.annotation, *(one.annotation for one in parameter.inner_types))
        if not texts and request.query_params.get(name) == "null":
            raise InvalidError("The request is not valid.", [Detail(field=name, message="leave it out instead")])
