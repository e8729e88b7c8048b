"""Compile the mapping of one event type, so that a single event costs little.

The catalog, the properties and the customer's rules are joined once per type; an event
then only looks up the treatment of each of its properties.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.braze.currents_event import FLAT_KEYS, FLAT_PROPERTIES
from bridge.currents.mapping.catalog import (
    NO_DEVICE_IN_STORAGE,
    WITHOUT_USER,
    Event,
    counted_type,
)
from bridge.currents.mapping.properties import (
    OWN_PROPERTIES,
    is_reserved,
    mapped_properties,
)
from bridge.currents.mapping.property_mapper import PropertyMapper
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import Rules
from bridge.currents.mapping.treatments import (
    LEFT_OUT,
    Digest,
    NoteName,
    PropertyRules,
    Treatment,
    treat,
    treat_own,
)
from bridge.reasons import Reason

MAX_UNKNOWN = 1_000
"""Unknown names whose treatment is cached per type; a producer may make names up."""


@dataclass(frozen=True, slots=True)
class CompiledProperties:
    """The treatment of each known property of one type, in either form.

    `unknown` gives the treatment of a name that the catalog does not know. The mappers
    serve the fast path.
    """

    nested: dict[str, Treatment]
    flat: dict[str, Treatment]
    unknown: Callable[[str], Treatment]
    nested_mapper: PropertyMapper
    flat_mapper: PropertyMapper


@dataclass(frozen=True, slots=True)
class CompiledMapping:
    """What holds for all events of one type, or of one custom event's name.

    `name` is the event's name in Mixpanel, `counted` the type it is counted under.
    `filtered` is set where no such event is sent; `share` is the share of users whose
    events are kept, and `sampled_out` the result for the others. `device_identifies`
    says whether a device id may stand for an anonymous user; `unidentified` is the
    result for an event without external id, if the type alone says it. `drift` holds
    the type if the catalog does not know it.
    """

    name: str
    counted: str
    filtered: Filtered | None
    share: float
    sampled_out: Filtered
    properties: CompiledProperties
    device_identifies: bool
    unidentified: Filtered | None
    drift: tuple[str, ...]


def compile_mapping(
    event_type: str,
    name: str,
    row: Event | None,
    rules: Rules,
    properties: CompiledProperties,
) -> CompiledMapping:
    """Compile one type; `name` is that of the catalog, whose `row` it is if any."""
    family = row.family if row else ""
    without_user = event_type in WITHOUT_USER
    filtered = rules.filtering(event_type, name, family)
    sample = rules.sampling(event_type, name, family)
    renamed = rules.rename_events
    return CompiledMapping(
        renamed.get(name) or renamed.get(event_type) or name,
        counted_type(event_type),
        Filtered(filtered) if filtered else None,
        sample.keep if sample else 1,
        Filtered(f"sample {' '.join(sample.events)}" if sample else ""),
        properties,
        event_type not in NO_DEVICE_IN_STORAGE,
        # Of an unknown type only the event itself says whether it has a user.
        Filtered(Reason.NO_EXTERNAL_ID) if row and not without_user else None,
        () if row else (event_type,),
    )


def compile_properties(
    event_type: str, rules: Rules, digest: Digest, note_name: NoteName = len
) -> CompiledProperties:
    """Compile the properties of one event type.

    `note_name` is given each name that a producer has made up, when it is first met.
    """
    mapped = mapped_properties(event_type)
    sources: dict[str, set[str]] = {}
    for name, (target, _) in mapped.items():
        sources.setdefault(target, set()).add(name)
    nested: dict[str, Treatment] = {}
    for name, (target, read) in mapped.items():
        if not target:
            nested[name] = LEFT_OUT
            continue
        # A rule may name a property as either form of Braze, or as Mixpanel, does.
        property_rules = PropertyRules(rules, sources[target] | {target})
        if name in OWN_PROPERTIES:
            nested[name] = treat_own(name, rules, property_rules, digest, note_name)
        else:
            nested[name] = treat(target, read, property_rules, digest)
    flat = nested | dict.fromkeys(FLAT_KEYS - {"device_id"}, LEFT_OUT)
    if own := FLAT_PROPERTIES.get(event_type):
        flat["properties"] = nested[own]

    unknown = _unknown_treatments(rules, digest, note_name)
    reserved = frozenset({*sources, *rules.rename_properties.values()})
    mappers = (
        PropertyMapper(treatments, reserved, unknown) for treatments in (nested, flat)
    )
    return CompiledProperties(nested, flat, unknown, *mappers)


def _unknown_treatments(
    rules: Rules, digest: Digest, note_name: NoteName
) -> Callable[[str], Treatment]:
    """Treats a property that is newer than the catalog: it keeps its own name."""
    treatments: dict[str, Treatment] = {}

    def unknown(name: str) -> Treatment:
        if name not in treatments:
            if len(treatments) >= MAX_UNKNOWN:
                treatments.clear()
            # Under a reserved name Mixpanel would misread the value, or drop it.
            target = f"[Braze] {name}" if is_reserved(name) else name
            note_name(target)
            property_rules = PropertyRules(rules, {name})
            treatments[name] = treat(target, None, property_rules, digest)
        return treatments[name]

    return unknown
