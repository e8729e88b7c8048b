"""Map the properties of a usual event with as little work as Python allows.

`transform` treats each property by itself. Where every property of an event is only
renamed or left out, one dict comprehension does the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.currents.mapping.treatments import LEFT_OUT, Out, Treatment

MAX_LEARNT = 1_000
"""Unknown names that a property mapper learns; a producer may make them up."""


class PropertyMapper:
    """The treatment of every property met so far, for one event type in one form.

    `treatments` are those of the known properties, `reserved` the names these may be
    sent under, and `unknown` gives the treatment of any other name.
    """

    __slots__ = (
        "_learnt",
        "_names",
        "_names_only",
        "_reserved",
        "_treatments",
        "_unknown",
    )

    def __init__(
        self,
        treatments: Mapping[str, Treatment],
        reserved: frozenset[str],
        unknown: Callable[[str], Treatment],
    ) -> None:
        self._treatments = dict(treatments)
        # A name, or LEFT_OUT: every property that is left out lands under that one key.
        self._names: dict[str, Any] = {
            name: treatment
            for name, treatment in treatments.items()
            if not callable(treatment)
        }
        self._reserved = reserved
        self._unknown = unknown
        self._learnt = 0
        self._names_only = True

    def properties(self, given: Mapping[str, Any]) -> Out | None:
        """The properties for Mixpanel; None if a name is met for the first time."""
        if self._names_only:
            names = self._names
            try:
                out: dict[Any, Any] = {
                    names[name]: value
                    for name, value in given.items()
                    if value is not None
                }
            except KeyError:
                pass
            else:
                out.pop(LEFT_OUT, None)
                return out
        return self._one_by_one(given)

    def _one_by_one(self, given: Mapping[str, Any]) -> Out | None:
        out: Out = {}
        for name, value in given.items():
            if value is None:
                continue
            treatment: Any = self._treatments.get(name)
            if treatment.__class__ is str:
                out[treatment] = value
            elif treatment is None:
                self._learn(given)
                return None
            elif treatment:
                treatment(out, value)
        # Other events of this type probably hold such a property too.
        self._names_only = False
        return out

    def _learn(self, given: Mapping[str, Any]) -> None:
        """Learn unknown names, unless they could collide with a known one.

        A name with a space could collide with a prefixed one of the customer's own.
        """
        for name in given.keys() - self._treatments.keys():
            treatment = self._unknown(name)
            is_unchanged = treatment == name and " " not in name
            if treatment is LEFT_OUT or (is_unchanged and name not in self._reserved):
                if self._learnt == MAX_LEARNT:
                    return
                self._learnt += 1
                self._treatments[name] = self._names[name] = treatment
