"""The properties of a usual event, mapped with as little work as Python allows.

`transform` looks at each property by itself. Where all of an event's properties keep or
change their names, or are left out, one dict comprehension does the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

MAX_LEARNT = 1_000
"""Unknown names that a lane remembers; a producer may make them up."""

LEFT_OUT = False

type Out = dict[str, Any]
type Action = str | bool | Callable[[Out, Any], None]


class PropertyMapper:
    """One event type in one form: what becomes of each property that was met.

    `actions` are those that are planned, `taken` the names they may write, and
    `unknown` tells what becomes of a name that the plan does not hold.
    """

    __slots__ = ("_actions", "_learnt", "_names", "_plain", "_taken", "_unknown")

    def __init__(
        self,
        actions: Mapping[str, Action],
        taken: frozenset[str],
        unknown: Callable[[str], Action],
    ) -> None:
        self._actions = dict(actions)
        # A name, or LEFT_OUT: all that is left out is written to that one key.
        self._names: dict[str, Any] = {
            name: action for name, action in actions.items() if not callable(action)
        }
        self._taken = taken
        self._unknown = unknown
        self._learnt = 0
        self._plain = True

    def properties(self, given: Mapping[str, Any]) -> Out | None:
        """The properties as Mixpanel gets them; None if one of them is new here."""
        if self._plain:
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
            action: Any = self._actions.get(name)
            if action.__class__ is str:
                out[action] = value
            elif action is None:
                self._learn(given)
                return None
            elif action:
                action(out, value)
        # A type of which one event holds what takes some work has more of these.
        self._plain = False
        return out

    def _learn(self, given: Mapping[str, Any]) -> None:
        """Unknown names pass the next time, unless they could meet a known one.

        What the customer's own properties become has a space in it.
        """
        for name in given.keys() - self._actions.keys():
            action = self._unknown(name)
            goes_as_it_is = action == name and " " not in name
            if action is LEFT_OUT or (goes_as_it_is and name not in self._taken):
                if self._learnt == MAX_LEARNT:
                    return
                self._learnt += 1
                self._actions[name] = self._names[name] = action
