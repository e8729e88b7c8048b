"""What a person does on the page: move people, sync, send events, break things.

Actions run one at a time, in the order of the clicks. Each leaves one sentence that
says what the bridge does about it.
"""

import json
import random
import secrets
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridge.cohorts.messages import CohortKey
from cli.quarantined import Filter, found
from cli.replay import Replay, replay_events
from cli.stack import RunningStack
from sandbox.cloud import Cloud
from sandbox.live import sentences, state
from sandbox.live.cloud import RULES_KEY, Kills
from sandbox.live.currents import BIG_PROPERTY, Sender
from sandbox.live.people import People, Person
from sandbox.live.readings import Reader
from sandbox.live.sentences import Sentence
from sandbox.live.wire import Wire
from sandbox.mixpanel import NAMED_DIALECTS, Cohort, CohortSync
from sandbox.mixpanel.sync import _poster

COHORT, NAME = 8120046, "Trial, day 10"
PAGE_SIZE = 12
PATIENCE = 0.05
"""Mixpanel's pauses between retries, a minute in all, run so much faster."""
DRAIN_SECONDS = 120
RULES = {
    "exclude": ["users.messages.sms.*"],
    "drop_properties": [f"custom_properties.{BIG_PROPERTY}"],
}
WIRE_SWITCHES = ("lost_request", "lost_answer", "abort", "duplicate")
BRAZE_FAULTS = {"braze_429": ("429", 0.4), "braze_outage": ("503", 1.0)}
MIXPANEL_FAULTS = {"mixpanel_429": ("429", 0.4), "mixpanel_outage": ("503", 1.0)}
"""Switch → kind of fault, and the share of calls that meet it."""


class World:
    """One page's world; `tempo` scales the pauses that are there for the eye.

    `earlier` are events that were sent before, id → type.
    """

    def __init__(
        self,
        cloud: Cloud,
        kills: Kills,
        *,
        tempo: float = 1.0,
        earlier: Mapping[str, str] = {},
    ) -> None:
        if cloud.braze is None or cloud.mixpanel is None:
            raise ValueError("the page needs both stand-ins")
        described = cloud.description
        self.cloud = cloud
        self.kills = kills
        self.tempo = tempo
        self.braze = cloud.braze
        self.mixpanel = cloud.mixpanel
        self.people = People(self.braze.workspace)
        self.reader = Reader(cloud)
        self.sentence = Sentence(sentences.WELCOME)
        self.finished = 0
        self.dialect = "documented"
        self.switches = dict.fromkeys(
            (
                *WIRE_SWITCHES,
                *BRAZE_FAULTS,
                *MIXPANEL_FAULTS,
                "kill_consumer",
                "kill_importer",
                "rules",
            ),
            False,
        )
        self.sender = Sender(
            described["currents_url"],
            described["currents_token"],
            [person.user for person in self.people.all if not person.anonymous],
            earlier,
        )
        self._worker = ThreadPoolExecutor(1, "live")
        self._queued: deque[str] = deque()
        self._cohorts = 0
        self._lock = threading.Lock()
        self._begin_cohort(self.people.members_at_start())

    def close(self) -> None:
        """Finish the action under way and take no more."""
        self._worker.shutdown(cancel_futures=True)

    # What the page shows

    @property
    def key(self) -> CohortKey:
        return CohortKey(project=self.cohort.project_id, cohort=self.cohort.id)

    @property
    def can_list_all(self) -> bool:
        """Whether this sender ever says `members`; some only say who joined."""
        return NAMED_DIALECTS[self.dialect].first_sync == "members"

    def figures(self) -> dict[str, Any]:
        """What has to be read of the cloud, as JSON."""
        with self._lock:
            cohort = Cohort(self.cohort.id, self.cohort.name, dict(self.cohort.members))
            people = self.people.by_user()
            readings = self.reader.read(self.key, self.sender.sent_by_now())
        return state.figures(readings, cohort, people)

    def controls(self) -> dict[str, Any]:
        """What is known without looking: actions, switches and the wire, as JSON.

        `busy` is the action under way, `finished` counts those that ended.
        """
        return {
            "busy": next(iter(list(self._queued)), ""),
            "finished": self.finished,
            "sentence": asdict(self.sentence),
            "dialect": self.dialect,
            "dialects": list(NAMED_DIALECTS),
            "can_list_all": self.can_list_all,
            "switches": dict(self.switches),
            "pages": [asdict(sent) for sent in list(self.wire.pages)],
        }

    # What a person does

    def submit(self, name: str, value: Any = None) -> Future[Any]:
        """Do one of the actions when it is its turn, or turn a switch at once.

        Raises KeyError for a name that is neither.
        """
        if name in self.switches:
            self.switch(name, on=bool(value))
            if not value and name in sentences.RECOVERED:
                return self.run("recover", lambda: self._recover(name))
            return self.run(name, lambda: None)
        if name == "dialect":
            if value not in NAMED_DIALECTS:
                raise KeyError(value)
            return self.run(name, lambda: self.speak(value))
        action = ACTIONS[name]
        return self.run(name, lambda: action(self))

    def run(self, name: str, act: Callable[[], Any]) -> Future[Any]:
        """Queue anything; what goes wrong is said on the page, and raised."""

        def named() -> Any:
            try:
                return act()
            except Exception as error:
                kind = type(error).__name__
                self.say(f"That did not work: {kind}; the logs may say why.", "bad")
                raise
            finally:
                self._queued.popleft()
                self.finished += 1

        self._queued.append(name)
        return self._worker.submit(named)

    def say(self, text: str, tone: str = "calm") -> None:
        self.sentence = Sentence(text, tone)

    def join(self, number: int = 12) -> list[Person]:
        return self._moved("join", self.people.join(self.cohort, number))

    def leave(self, number: int = 12) -> list[Person]:
        return self._moved("leave", self.people.leave(self.cohort, number))

    def come_back(self) -> list[Person]:
        return self._moved("come_back", self.people.come_back(self.cohort))

    def identify(self) -> list[Person]:
        return self._moved("identify", self.people.identify(self.cohort, 2))

    def change_identifier(self) -> list[Person]:
        """The next sync is a full one: a diff does not name who stays."""
        changed = self.people.change_identifier(self.cohort, 3)
        self.mixpanel_sync.snapshot = None
        return self._moved("change_identifier", changed)

    def _moved(self, what: str, people: list[Person]) -> list[Person]:
        self.say(sentences.moved(what, len(people)))
        return people

    def sync(self) -> bool:
        """Run one sync, wait until it is processed; whether Mixpanel counts it."""
        taken = self.send_sync()
        if taken and self.wait():
            difference = self.figures()["cohort"]["difference"]
            fates = {sent.fate for sent in self.wire.pages_of_sync()}
            self.say(*sentences.synced(difference, fates))
        return taken

    def send_sync(self) -> bool:
        """Run one sync, and do not wait for what follows."""
        self.say(sentences.SYNCING)
        self.wire.begin()
        result = self.mixpanel_sync.run()
        if result.paused:
            self.mixpanel_sync.resume()
        if result.success:
            self.say(sentences.accepted(result.calls, self.switches))
        else:
            self.say(sentences.failed(result.calls), "warn")
        # So that the sync is listed, whether or not a window is open.
        self.figures()
        return result.success

    def full_sync(self) -> bool:
        if self.can_list_all:
            self.mixpanel_sync.snapshot = None
        return self.sync()

    def wait(self) -> bool:
        """Until queues, stream and functions are quiet; False in an outage."""
        until = time.monotonic() + DRAIN_SECONDS
        while not (self.switches["braze_outage"] or self.switches["mixpanel_outage"]):
            try:
                self.cloud.drain(1.0)
            except TimeoutError:
                if time.monotonic() > until:
                    raise
            else:
                return True
        return False

    def events(self, calls: int = 2) -> None:
        for _ in range(calls):
            self._sent(self.sender.send())
        self.say(sentences.EVENTS)
        self._wait_for_events(sentences.EVENTS_DONE)

    def poison(self) -> None:
        self._sent(self.sender.send_odd())
        self.say(sentences.POISON)
        self._wait_for_events(sentences.POISON_DONE)

    def repeat(self) -> None:
        self._sent(self.sender.repeat())
        self.say(sentences.REPEAT)
        self._wait_for_events(sentences.REPEAT_DONE)

    def _sent(self, status: int) -> None:
        if status != 200:
            raise RuntimeError(f"the receiver answered {status}")

    def _wait_for_events(self, done: str) -> None:
        if self.wait():
            self.say(done, "good")

    def replay(self) -> Counter[str]:
        """Replay what is in the events' quarantine, as the operator's command does."""
        stack = self._as_the_command_sees_it()
        items = [each.item for each in found(stack, Filter(flow="currents"))]
        counts = replay_events(Replay(stack), items)
        self.say(sentences.replayed(counts))
        self.wait()
        return counts

    def _as_the_command_sees_it(self) -> RunningStack:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "description.json"
            file.write_text(json.dumps(self.cloud.description))
            return RunningStack.local(file)

    def revoke_key(self) -> None:
        """Braze deletes the bridge's key, and nobody has given it another yet."""
        self._new_key = secrets.token_hex(16)
        self.braze.keys[self._new_key] = self.braze.keys.pop(self._key_now())

    def rotate_key(self) -> None:
        """The operator puts the new key into the bridge's secret."""
        self.cloud.description["braze_rest_api_key"] = self._new_key
        client, secret = self._secret()
        content = json.loads(client.get_secret_value(SecretId=secret)["SecretString"])
        content["rest_api_key"] = self._new_key
        client.put_secret_value(SecretId=secret, SecretString=json.dumps(content))

    def _key_now(self) -> str:
        return str(self.cloud.description["braze_rest_api_key"])

    def _secret(self) -> tuple[Any, str]:
        secret = self.cloud.description["resources"]["BrazeSecret"]
        return self.cloud.client("secretsmanager"), secret

    # Switches

    def switch(self, name: str, *, on: bool) -> None:
        """Turn a fault on or off; a kill turns itself off once it has struck."""
        self.switches[name] = on
        if name in WIRE_SWITCHES:
            setattr(self.wire, name, on)
        elif name == "kill_consumer":
            self._arm(name, self.kills.consumer, "CohortConsumerFunction", on=on)
        elif name == "kill_importer":
            self._arm(name, self.kills.importer, "CurrentsImporterFunction", on=on)
        elif name == "rules":
            self._put_rules(RULES if on else {})
        self._set_rates()
        self.say(sentences.SWITCHED[name][not on], "warn" if on else "calm")

    def _recover(self, name: str) -> None:
        if self.wait():
            self.say(sentences.RECOVERED[name], "good")

    def all_off(self) -> None:
        for name, on in list(self.switches.items()):
            if on:
                self.switch(name, on=False)

    def _set_rates(self) -> None:
        for vendor, faults in (
            (self.braze, BRAZE_FAULTS),
            (self.mixpanel, MIXPANEL_FAULTS),
        ):
            # An outage hides the rest: shares are drawn in this order.
            on = [name for name in sorted(faults, reverse=True) if self.switches[name]]
            vendor.faults.rates = dict(faults[name] for name in on[:1])

    def _arm(self, name: str, switch: Any, function: str, *, on: bool) -> None:
        def kill() -> None:
            self.cloud.kill(function)
            self.switches[name] = False
            self.say(sentences.KILLED[name], "warn")

        switch.arm(0 if on else None, kill, after=True)

    def _put_rules(self, rules: Mapping[str, Any]) -> None:
        """A warm importer reads them every three minutes, a new one at once."""
        self.cloud.client("s3").put_object(
            Bucket=self.cloud.description["resources"]["DataBucket"],
            Key=RULES_KEY,
            Body=json.dumps(rules).encode(),
        )
        self.cloud.kill("CurrentsImporterFunction")

    # The sender

    def speak(self, dialect: str) -> None:
        """Another sender, with a cohort of which the bridge knows nothing yet."""
        self.dialect = dialect
        with self._lock:
            self._begin_cohort(self.cohort.members)
        self.say(sentences.DIALECT)

    def _begin_cohort(self, members: Mapping[str, dict[str, Any]]) -> None:
        described = self.cloud.description
        self.cohort = Cohort(str(COHORT + self._cohorts), NAME, dict(members))
        self._cohorts += 1
        post = _poster(
            described["webhook_url"],
            described["webhook_username"],
            described["webhook_password"],
        )
        self.wire = Wire(post, seconds=0.15 * self.tempo)
        for name in WIRE_SWITCHES:
            setattr(self.wire, name, self.switches[name])
        self.mixpanel_sync = CohortSync(
            self.cohort,
            dialect=NAMED_DIALECTS[self.dialect],
            page_size=PAGE_SIZE,
            post=self.wire,
            sleep=lambda seconds: time.sleep(seconds * PATIENCE),
            rng=random.Random(1),  # noqa: S311 - orders pages
        )


ACTIONS: Mapping[str, Callable[[World], Any]] = {
    "join": World.join,
    "leave": World.leave,
    "come_back": World.come_back,
    "identify": World.identify,
    "change_identifier": World.change_identifier,
    "sync": World.sync,
    "full_sync": World.full_sync,
    "events": World.events,
    "poison": World.poison,
    "repeat": World.repeat,
    "replay": World.replay,
    "all_off": World.all_off,
}
"""The page's buttons; its switches are `World.switches`."""
