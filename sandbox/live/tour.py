"""The guided tour: six scenes that run by themselves, and the check at the end.

It presses the page's own buttons. Its pauses are there to read, five minutes in all.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.live.world import World

READ, LOOK = 9.0, 5.0
"""Seconds for a sentence, and for a glance at what it changed."""


class Stopped(Exception):
    """Somebody has stopped the tour."""


@dataclass
class Tour:
    """One tour at a time; `scene` counts from 1, 0 before the first.

    `passed` says whether all was equal at the end; None as long as it is not known.
    """

    world: World
    running: bool = False
    scene: int = 0
    passed: bool | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def state(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "scene": self.scene,
            "scenes": [title for title, _ in SCENES],
            "passed": self.passed,
        }

    def start(self) -> None:
        """Begin when it is its turn; a second start does nothing."""
        if not self.running:
            self.running, self.scene, self.passed = True, 0, None
            self._stop.clear()
            self.world.run("tour", self._run)

    def stop(self) -> None:
        """End at the next pause, and turn everything off."""
        self._stop.set()

    def _run(self) -> None:
        world = self.world
        try:
            world.all_off()
            self._equal_to_begin_with()
            for number, (_, scene) in enumerate(SCENES, 1):
                self.scene = number
                scene(self)
            self._check()
        except Stopped:
            world.all_off()
            world.say("The tour has ended early; everything is switched off again.")
        finally:
            self.running = False

    def say(self, text: str, seconds: float = READ, tone: str = "calm") -> None:
        """Say a sentence, and leave time to read it."""
        self.world.say(text, tone)
        self.look(seconds)

    def look(self, seconds: float = LOOK) -> None:
        if self._stop.wait(seconds * self.world.tempo):
            raise Stopped

    def _equal_to_begin_with(self) -> None:
        self.say("First Mixpanel lists the whole cohort, so that both sides are equal.")
        self.world.full_sync()
        self.look()

    def _check(self) -> None:
        self.world.wait()
        found = self.world.figures()
        members, events = found["cohort"], found["events"]
        self.passed = bool(found["equal"])
        if self.passed:
            self.world.say(
                f"After six faults Braze has exactly Mixpanel's {members['mixpanel']} "
                f"members, and each of {events['sent']} events is delivered, filtered "
                "or in quarantine.",
                "good",
            )
        else:
            self.world.say("Something is wrong: the two sides are not equal.", "bad")


def lost_page(tour: Tour) -> None:
    """A request and an answer get lost, and the page comes again."""
    world = tour.world
    tour.say(
        "Twenty-four people leave and twelve join; Mixpanel sends them in pages of "
        "twelve, and this time one request and one answer get lost."
    )
    world.leave(24)
    world.join(12)
    tour.look()
    world.switch("lost_request", on=True)
    world.switch("lost_answer", on=True)
    tour.look()
    world.send_sync()
    tour.say(
        "What is lost, Mixpanel sends again; a page that had arrived already is known "
        "by its content, and changes nothing."
    )
    world.wait()
    world.all_off()
    tour.say("Braze has the cohort, as if nothing had been lost.", tone="good")


def rolled_back_diff(tour: Tour) -> None:
    """A sync is given up half-way, and what it stated is taken back."""
    world = tour.world
    tour.say(
        "Twelve people join, but Mixpanel gives the sync up after its first page and "
        "forgets it."
    )
    joined = world.join(12)
    world.switch("abort", on=True)
    tour.look()
    world.send_sync()
    world.wait()
    tour.say(
        "The bridge has written the first page already: adds go out at once, so that "
        "nobody waits for the rest."
    )
    world.switch("abort", on=False)
    world.people.remove(world.cohort, joined)
    world.leave(6)
    tour.say(
        "Now those twelve leave again, and six others do: for Mixpanel the twelve "
        "never joined, so no diff will ever name them."
    )
    world.sync()
    tour.say(
        "The next sync proves that the earlier one failed: it is aborted, and the "
        "twelve are taken out of Braze, although nobody named them.",
        tone="good",
    )


def outage(tour: Tour) -> None:
    """Braze is down, and the queue waits."""
    world = tour.world
    tour.say("Braze is down, and twenty-four people join.")
    world.switch("braze_outage", on=True)
    world.join(24)
    tour.look()
    world.send_sync()
    tour.say(
        "Mixpanel's pages are accepted all the same, and wait in the queue in their "
        "order: Mixpanel need not know."
    )
    tour.look()
    world.switch("braze_outage", on=False)
    tour.look()
    world.wait()
    tour.say("The queue went on by itself; nothing had to be sent again.", tone="good")


def poison_event(tour: Tour) -> None:
    """Three odd events among good ones."""
    world = tour.world
    tour.say(
        "Braze sends forty events; one has no time, one has three hundred properties, "
        "and one is larger than Mixpanel takes."
    )
    world.poison()
    tour.say(
        "Thirty-seven good events are not held up; the odd ones are in quarantine with "
        "their bytes and their reason, and one was delivered in a shape that fits.",
        tone="good",
    )


def replay(tour: Tour) -> None:
    """The cause is fixed, and the quarantine is replayed; then a call is repeated."""
    world = tour.world
    tour.say(
        "A rules file now drops the property that made one event too large, and an "
        "operator replays the quarantine."
    )
    world.switch("rules", on=True)
    tour.look()
    world.replay()
    tour.look()
    tour.say("What can be delivered now is delivered; the rest stays, with its reason.")
    tour.say("Then Braze, which saw no answer, sends the last call once more.")
    world.repeat()
    world.switch("rules", on=False)
    tour.say(
        "Mixpanel has more copies and not one event more: the keys of a copy are the "
        "same.",
        tone="good",
    )


def rotation(tour: Tour) -> None:
    """Braze's key is deleted before the bridge has the new one."""
    world = tour.world
    tour.say(
        "Somebody deletes the bridge's key in Braze before the bridge has the new one, "
        "and twelve people leave."
    )
    world.revoke_key()
    world.leave(12)
    world.send_sync()
    tour.say(
        "Braze rejects the old key: an alarm is raised, nothing goes to quarantine, "
        "and the pages wait."
    )
    tour.look()
    world.rotate_key()
    tour.say("The new key is in the secret now; the bridge reads it with its next try.")
    world.wait()
    tour.say("The pages are applied, under the new key.", tone="good")


SCENES: tuple[tuple[str, Callable[[Tour], None]], ...] = (
    ("A lost page", lost_page),
    ("A rolled-back diff", rolled_back_diff),
    ("An outage", outage),
    ("A poison event", poison_event),
    ("A replay", replay),
    ("A rotation", rotation),
)
