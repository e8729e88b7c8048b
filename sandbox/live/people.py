"""The people of the page: who is in Mixpanel's cohort, and whom that means in Braze."""

import random
from dataclasses import dataclass, field
from typing import Any

from sandbox.braze import Workspace
from sandbox.mixpanel import Cohort

PEOPLE, ANONYMOUS, MEMBERS = 120, 8, 84
"""In all; of these the last ones known by a device alone; members at the start."""
DEVICE_PREFIX = "$device:"


@dataclass(slots=True)
class Person:
    """One person; `user` is their external id in Braze, once they are identified."""

    number: int
    user: str
    distinct_id: str
    properties: dict[str, Any] = field(default_factory=dict)
    moves: int = 0

    @property
    def anonymous(self) -> bool:
        return self.distinct_id.startswith(DEVICE_PREFIX)

    @property
    def device(self) -> str:
        return self.distinct_id.removeprefix(DEVICE_PREFIX)


class People:
    """Moves people; a cohort holds them by distinct id, a workspace by external id."""

    def __init__(self, workspace: Workspace, seed: int = 1) -> None:
        self.all = [_person(number) for number in range(1, PEOPLE + 1)]
        self._workspace = workspace
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, no secret
        self._left: list[Person] = []
        for person in self.all:
            if person.anonymous:
                workspace.add_user(devices=[person.device])
            else:
                workspace.add_user(external_id=person.user)

    def members_at_start(self) -> dict[str, dict[str, Any]]:
        """Some, half of the anonymous ones among them."""
        anonymous = [person for person in self.all if person.anonymous]
        identified = [person for person in self.all if not person.anonymous]
        half = len(anonymous) // 2
        chosen = self._rng.sample(identified, MEMBERS - half) + anonymous[:half]
        return {person.distinct_id: dict(person.properties) for person in chosen}

    def by_user(self) -> dict[str, Person]:
        """Everybody, by the name of their user in Braze."""
        return {self._name_in_braze(person): person for person in self.all}

    def _name_in_braze(self, person: Person) -> str:
        """The external id, or the Braze id of who is known by a device alone."""
        kind = "device" if person.anonymous else "external_id"
        value = person.device if person.anonymous else person.user
        profile = self._workspace.find(kind, value)
        return profile.name if profile else person.user

    def join(self, cohort: Cohort, number: int) -> list[Person]:
        """So many identified people join who are out; those who did."""
        out = [
            person
            for person in self.all
            if person.distinct_id not in cohort.members and not person.anonymous
        ]
        # Whoever just left comes back by the button for that.
        fresh = [person for person in out if person not in self._left] or out
        return self._add(cohort, self._rng.sample(fresh, min(number, len(fresh))))

    def leave(self, cohort: Cohort, number: int) -> list[Person]:
        """So many identified people leave; those who did."""
        members = [
            person
            for person in self.all
            if person.distinct_id in cohort.members and not person.anonymous
        ]
        self._left = self._rng.sample(members, min(number, len(members)))
        return self.remove(cohort, self._left)

    def come_back(self, cohort: Cohort) -> list[Person]:
        """Those who left last join again."""
        back, self._left = self._left, []
        return self._add(cohort, back)

    def remove(self, cohort: Cohort, people: list[Person]) -> list[Person]:
        """These people leave."""
        for person in people:
            cohort.members.pop(person.distinct_id, None)
        return people

    def identify(self, cohort: Cohort, number: int) -> list[Person]:
        """Log in so many anonymous people, members first; those who did.

        Braze's SDK then gives the device's profile an external id, and Mixpanel knows
        them by that in place of the device.
        """
        anonymous = [person for person in self.all if person.anonymous]
        anonymous.sort(key=lambda person: person.distinct_id not in cohort.members)
        for person in anonymous[:number]:
            was_in = cohort.members.pop(person.distinct_id, None) is not None
            self._workspace.log_in(person.device, person.user)
            person.distinct_id = person.user
            if was_in:
                cohort.members[person.distinct_id] = dict(person.properties)
        return anonymous[:number]

    def change_identifier(self, cohort: Cohort, number: int) -> list[Person]:
        """Give so many members another external id; those who have one now."""
        members = [
            person
            for person in self.all
            if person.distinct_id in cohort.members and not person.anonymous
        ]
        changed = self._rng.sample(members, min(number, len(members)))
        for person in changed:
            person.moves += 1
            person.user = f"user-{person.number:03}.{person.moves + 1}"
            person.properties = {"$braze_external_id": person.user}
            self._workspace.add_user(external_id=person.user)
            cohort.members[person.distinct_id] = dict(person.properties)
        return changed

    def _add(self, cohort: Cohort, people: list[Person]) -> list[Person]:
        for person in people:
            cohort.members[person.distinct_id] = dict(person.properties)
        return people


def _person(number: int) -> Person:
    user = f"user-{number:03}"
    anonymous = number > PEOPLE - ANONYMOUS
    return Person(number, user, f"{DEVICE_PREFIX}{number:032x}" if anonymous else user)
