"""Map one Currents event to one Mixpanel event (pure).

The four values by which Mixpanel de-duplicates (event, distinct_id, time, $insert_id)
are a function of the event and of its arrival in the stream alone: anything taken from
the clock or drawn at random would count the event again at each retry.
"""

from hashlib import sha256
from typing import Any

from bridge.braze.currents_event import CurrentsEvent, read_event
from bridge.currents.mapping.catalog import (
    CATALOG,
    CUSTOM_EVENT,
    CUSTOM_EVENT_PREFIX,
    WITHOUT_USER,
)
from bridge.currents.mapping.compile import (
    CompiledMapping,
    CompiledProperties,
    compile_mapping,
    compile_properties,
)
from bridge.currents.mapping.dedup_key import (
    MIN_TIME,
    event_time,
    fitting_id,
    insert_id,
    why_unidentified,
)
from bridge.currents.mapping.properties import (
    is_reserved,
    known_properties,
    parsed_texts,
)
from bridge.currents.mapping.result import Filtered, Sent
from bridge.currents.mapping.rules import MAX_NAME_LENGTH, Rules, is_sampled
from bridge.currents.mapping.shared_ids import Earlier, separate
from bridge.currents.mapping.treatments import keyed_digest
from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import DEVICE_PREFIX
from bridge.reasons import Reason
from bridge.settings import AnonymousUsers, EventsWithoutUser

MAPPING_VERSION = "3"
"""Raised whenever an event may get other values than the release before gave it."""

NO_LOCATION = 0
"""As `ip`: Mixpanel would locate an event by the address of the caller, which is ours
(Mixpanel docs, "Geolocation")."""

MAX_COMPILED = 5_000
"""Mappings cached; there are some hundred types, but a producer may make them up."""

MAX_LONG_NAMES = 200

_NO_DEVICE: dict[str, Any] = {}


class Mapper:
    """Maps events under the customer's rules; `hmac_key` is for rules that hash.

    `compiled` holds the mappings by event type, or by a custom event's whole name.
    `known_names` are the properties in Mixpanel that are not merely the customer's own,
    `parsed_texts` those that may be parsed from a text, with its names in Braze.
    `long_names` are names met so far that Mixpanel cuts, so that two may become one.
    `version` differs wherever an event may get other values.
    """

    def __init__(
        self,
        anonymous: AnonymousUsers,
        rules: Rules | None = None,
        hmac_key: str = "",
        *,
        without_user: EventsWithoutUser = EventsWithoutUser.SKIP,
    ) -> None:
        self._rules = rules or Rules()
        self.takes_devices = anonymous is AnonymousUsers.DEVICE
        self._sends_without_user = without_user is EventsWithoutUser.SEND
        self._digest = keyed_digest(hmac_key.encode())
        renamed = self._rules.rename_properties
        self.known_names = known_properties() | set(renamed.values())
        self.parsed_texts = parsed_texts(renamed)
        self.long_names: set[str] = set()
        self.compiled: dict[str, CompiledMapping] = {}
        self._properties: dict[str, CompiledProperties] = {}
        as_json = self._rules.model_dump_json(exclude_defaults=True)
        digest = sha256(f"{anonymous}{as_json}{hmac_key}".encode()).hexdigest()[:8]
        is_plain = not rules and anonymous is AnonymousUsers.SKIP
        self.version = MAPPING_VERSION if is_plain else f"{MAPPING_VERSION}-{digest}"
        if self._sends_without_user:
            self.version += "-without-user"

    def transform(
        self,
        event: object,
        raw: bytes,
        arrived: float,
        earlier: Earlier | None = None,
    ) -> Sent | Filtered:
        """Map one event; `raw` are its bytes, `arrived` is in epoch seconds.

        `earlier` are the events mapped before it from the same stream record; this one
        joins them. Raises `MalformedInput` naming the field.
        """
        currents = read_event(event)
        key = _custom_name(currents) if currents.type == CUSTOM_EVENT else currents.type
        compiled = self.compiled.get(key) or self._compile(currents.type, key)
        if compiled.filtered:
            return compiled.filtered
        time = event_time(currents.time, arrived)
        if time < MIN_TIME:
            return Filtered(Reason.BEFORE_2010)
        # Rules for `device_id` also hold where it becomes the distinct id.
        device = _device_of(currents, compiled.properties)
        distinct_id = self._distinct_id(currents, compiled, device)
        if isinstance(distinct_id, Filtered):
            return distinct_id
        if compiled.share < 1 and not is_sampled(distinct_id, compiled.share):
            return compiled.sampled_out
        properties: dict[str, Any] = {
            "$partner_id": "braze",
            "ip": NO_LOCATION,
            "distinct_id": distinct_id,
            "$insert_id": insert_id(currents.id, raw),
            "time": time,
        }
        if device:
            properties |= device
        unknown = _add_properties(properties, currents, compiled.properties)
        sent = Sent(
            {"event": compiled.name, "properties": properties},
            compiled.drift + tuple(unknown) if unknown else compiled.drift,
        )
        if earlier is not None:
            first = earlier.setdefault(properties["$insert_id"], raw)
            if first is not raw:
                separate(
                    sent, raw, earlier, lambda each: self.transform(each, b"", arrived)
                )
        return sent

    def _compile(self, event_type: str, key: str) -> CompiledMapping:
        if len(self.compiled) >= MAX_COMPILED:
            self.compiled.clear()
            self._properties.clear()
        row = CATALOG.get(event_type)
        name = key if row is None or row.type == CUSTOM_EVENT else row.name
        if row is None and is_reserved(name):
            # `$merge`, for one, would join two users for good.
            raise MalformedInput(
                Reason.RESERVED_TYPE, "the type is reserved by Mixpanel"
            )
        properties = self._properties.get(event_type)
        if properties is None:
            known = row.type if row else event_type
            properties = compile_properties(
                known, self._rules, self._digest, self._note_name
            )
            self._properties[event_type] = properties
        compiled = compile_mapping(event_type, name, row, self._rules, properties)
        self._note_name(compiled.name)
        self.compiled[key] = compiled
        return compiled

    def _note_name(self, name: str) -> None:
        if len(name) > MAX_NAME_LENGTH and len(self.long_names) < MAX_LONG_NAMES:
            self.long_names.add(name)

    def _distinct_id(
        self, event: CurrentsEvent, compiled: CompiledMapping, device: dict[str, Any]
    ) -> str | Filtered:
        """The user, or their device where that is wanted; requirements R9 and R10."""
        rule = why_unidentified(event.external_user_id)
        if rule is None:
            return str(event.external_user_id)
        if rule == Reason.NO_EXTERNAL_ID and _has_no_user(event):
            return "" if self._sends_without_user else Filtered(Reason.WITHOUT_USER)
        if self.takes_devices:
            devices = device.values() if compiled.device_identifies else ()
            for each in (*devices, event.user_id):
                bare = _without_prefix(each)
                if why_unidentified(bare) is None:
                    return fitting_id(f"{DEVICE_PREFIX}{bare}")
        return Filtered(rule)


def _has_no_user(event: CurrentsEvent) -> bool:
    """Whether the event is about no user at all, and not about an anonymous one."""
    is_known = event.type in CATALOG
    may_have_none = event.type in WITHOUT_USER if is_known else True
    return may_have_none and event.user_id is None and event.device_id is None


def _without_prefix(device: object) -> object:
    """A device id without the prefix that some producers give it already."""
    while isinstance(device, str) and device.startswith(DEVICE_PREFIX):
        device = device.removeprefix(DEVICE_PREFIX)
    return device


def _device_of(event: CurrentsEvent, compiled: CompiledProperties) -> dict[str, Any]:
    """The property `device_id` as the rules treat it; empty if there is none."""
    device_id = event.device_id
    if device_id is None:
        return _NO_DEVICE
    treatment = compiled.nested["device_id"]
    if isinstance(treatment, str):
        return {treatment: device_id}
    out: dict[str, Any] = {}
    if callable(treatment):
        treatment(out, device_id)
    return out


def _custom_name(event: CurrentsEvent) -> str:
    name = event.properties.get("name")
    if not isinstance(name, str) or not name.strip():
        raise MalformedInput(
            Reason.NO_EVENT_NAME, "a custom event needs a name", field="properties.name"
        )
    return f"{CUSTOM_EVENT_PREFIX} {name}"


def _add_properties(
    out: dict[str, Any], event: CurrentsEvent, compiled: CompiledProperties
) -> list[str]:
    """Write the properties; returns the names that the catalog does not know."""
    unknown: list[tuple[str, Any]] = []
    treatment_of: Any = (compiled.flat if event.is_flat else compiled.nested).get
    for name, value in event.properties.items():
        if value is None:
            continue
        treatment = treatment_of(name)
        if treatment.__class__ is str:
            out[treatment] = value
        elif treatment is None:
            unknown.append((name, value))
        elif treatment:
            treatment(out, value)
    unknown += [
        (name, value) for name, value in event.others.items() if value is not None
    ]
    # Last, so that an unknown property never takes the place of a known one.
    _add_unknown(out, unknown, compiled)
    return [name for name, _ in unknown]


def _add_unknown(
    out: dict[str, Any], unknown: list[tuple[str, Any]], compiled: CompiledProperties
) -> None:
    for name, value in unknown:
        treatment = compiled.unknown(name)
        if isinstance(treatment, str):
            out[f"[Braze] {name}" if treatment in out else treatment] = value
        elif callable(treatment):
            treatment(out, value)
