"""Braze as the sender of Currents: events of many types, over HTTP or as Avro files.

The same event can be had in both forms. Events are drawn from a seeded source, so that
the same seed gives the same bytes. Source: Braze docs, "Currents event glossary".
"""

import hashlib
import io
import json
import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import fastavro

BATCH = 100
"""Events a call of the HTTP connector holds by default."""

_MESSAGE = (
    "app_group_id",
    "campaign_id",
    "campaign_name",
    "message_variation_id",
    "message_variation_name",
    "send_id",
    "dispatch_id",
)
_EMAIL = (*_MESSAGE, "email_address", "ip_pool", "from_domain")
_CANVAS = (
    "app_group_id",
    "canvas_id",
    "canvas_name",
    "canvas_variation_id",
    "canvas_variation_name",
    "canvas_step_id",
    "canvas_step_name",
)
_DEVICE = ("app_group_id", "app_id", "platform", "os_version", "device_model")

KINDS: dict[str, tuple[str, ...]] = {
    "users.messages.email.Send": _EMAIL,
    "users.messages.email.Delivery": (*_EMAIL, "esp"),
    "users.messages.email.Open": (*_EMAIL, "user_agent", "machine_open"),
    "users.messages.email.Click": (*_EMAIL, "user_agent", "url", "link_id"),
    "users.messages.pushnotification.Send": (*_MESSAGE, *_DEVICE[:3]),
    "users.messages.pushnotification.Open": (*_MESSAGE, *_DEVICE),
    "users.messages.inappmessage.Click": (*_MESSAGE, *_DEVICE, "button_id"),
    "users.messages.contentcard.Impression": (*_MESSAGE, *_DEVICE, "content_card_id"),
    "users.messages.sms.Delivery": (*_MESSAGE, "to_phone_number"),
    "users.messages.whatsapp.Read": (*_CANVAS, "from_phone_number", "send_id"),
    "users.messages.webhook.Send": _MESSAGE,
    "users.canvas.Entry": _CANVAS,
    "users.campaigns.Conversion": (*_MESSAGE[:6], "conversion_behavior"),
    "users.behaviors.app.SessionStart": (*_DEVICE, "session_id"),
    "users.behaviors.CustomEvent": (*_DEVICE, "name", "custom_properties"),
    "users.behaviors.Purchase": (
        *_DEVICE,
        "product_id",
        "price",
        "currency",
        "purchase_properties",
    ),
}
"""Properties by event type: a sample of every channel."""

_USER_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148"
)
_DRAWN: dict[str, Callable[[random.Random], Any]] = {
    "conversion_behavior": lambda _: '{"type":"purchase","window":86400}',
    "currency": lambda _: "EUR",
    "custom_properties": lambda rng: {
        "title": f"Episode {rng.randrange(300)}",
        "hd": True,
    },
    "dispatch_id": lambda rng: f"{rng.getrandbits(128):032x}",
    "email_address": lambda rng: f"person{rng.randrange(9999)}@example.com",
    "machine_open": lambda _: "true",
    "name": lambda rng: rng.choice(["Video Watched", "Search Performed", "Level Up"]),
    "platform": lambda rng: rng.choice(["ios", "android", "web"]),
    "price": lambda rng: round(rng.uniform(1, 200), 2),
    "purchase_properties": lambda rng: {
        "quantity": rng.randrange(1, 5),
        "coupon": "SPRING",
    },
    "url": lambda rng: f"https://shop.example/{rng.randrange(99)}?utm_source=braze",
    "user_agent": lambda _: _USER_AGENT,
}
"""What has a form of its own; other values are ids or texts by their name."""

FLOATS = frozenset({"price"})
_OWN = ("custom_properties", "purchase_properties")


@dataclass
class CurrentsSource:
    """Draws events of the given `types` about `users`, from `start` on."""

    users: Sequence[str]
    start: int
    seed: int = 1
    types: Sequence[str] = field(default_factory=lambda: tuple(KINDS))
    anonymous: float = 0.0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311 - repeatable, no secret
        self._drawn = 0

    def event(self, event_type: str | None = None) -> dict[str, Any]:
        """One event in the HTTP form."""
        rng = self._rng
        chosen = event_type or rng.choice(self.types)
        self._drawn += 1
        user: dict[str, Any] = {
            "user_id": f"{rng.getrandbits(96):024x}",
            "external_user_id": rng.choice(self.users),
            "device_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "timezone": "Europe/Berlin",
        }
        if rng.random() < self.anonymous:
            user["external_user_id"] = None
        return {
            "event_type": chosen,
            "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "time": self.start + self._drawn // 50,
            "user": user,
            "properties": {name: self._value(name) for name in KINDS[chosen]},
        }

    def _value(self, name: str) -> Any:
        rng = self._rng
        if name in _DRAWN:
            return _DRAWN[name](rng)
        number = rng.randrange(40)
        if name.endswith(("variation_id", "step_id", "session_id")):
            return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name} {number}"))
        if name.endswith("_id"):
            return hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:24]
        return f"{name.replace('_', ' ')} {number}"


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """The storage form of an event; its type is that of the file."""
    record = {"id": event["id"], "time": event["time"], **event["user"]}
    for name, value in event["properties"].items():
        if name in _OWN:
            record["properties"] = json.dumps(value)
        else:
            record[name] = value
    return record


def avro_file(event_type: str, events: Iterable[dict[str, Any]]) -> bytes:
    """An Avro container with events of one type, as Currents writes it to storage."""
    records = [flat(event) for event in events]
    names = dict.fromkeys(name for record in records for name in record)
    schema = {
        "type": "record",
        "name": event_type.rpartition(".")[2],
        "namespace": f"dataexport.S3.inner.{event_type.rpartition('.')[0]}",
        "fields": [{"name": name, **_avro_type(name)} for name in names],
    }
    content = io.BytesIO()
    fastavro.writer(content, schema, records)
    return content.getvalue()


def avro_key(event_type: str, number: int = 0) -> str:
    """Where Currents would put such a file."""
    source = "dataexport.prod-03.S3.integration.65a1b2c3"
    folder = f"{source}/event_type={event_type}/date=2026-11-24-11/version=12/prod"
    return f"currents/{folder}/{source}+{number}+000.avro"


def _avro_type(name: str) -> dict[str, Any]:
    if name == "time":
        return {"type": "int"}
    if name in {"id", "user_id", "properties"}:
        return {"type": "string"}
    inner = "float" if name in FLOATS else "string"
    return {"type": ["null", inner], "default": None}
