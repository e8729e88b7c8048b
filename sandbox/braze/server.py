"""Braze's REST API over a workspace, in the order of checks that its docs suggest.

Switches for what the docs leave open are the arguments of `BrazeStandIn`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.braze.partner import partner_call
from sandbox.braze.workspace import Workspace
from sandbox.faults import Faults
from sandbox.web import Answer, Call, StandIn

MAX_BODY = 4_000_000
OBJECTS_PER_CALL = 75
EXPORT_IDS = 50
NOTHING_VALID = (
    "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
)
_PERMISSIONS = {"/users/track": "users.track", "/users/export/ids": "users.export.ids"}
_STATUS_FAULTS = {"500": 500, "502": 502, "503": 503, "504": 504, "423": 423}


class BrazeStandIn(StandIn):
    """A Braze on 127.0.0.1.

    `rest_api_keys` are keys with every permission, or key → permissions;
    `partner_keys` and `import_keys` open the partner's cohort import. `apply_delay` is
    how many seconds after its answer a write takes effect; `limit` is the number of
    calls a window of `window` seconds; `epoch_reset` says how the reset is told.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        rest_api_keys: Iterable[str] | Mapping[str, Iterable[str]] = ("key",),
        partner_keys: Iterable[str] = (),
        import_keys: Iterable[str] = (),
        faults: Faults | None = None,
        apply_delay: float = 0.0,
        limit: int = 250_000,
        window: float = 3600.0,
        epoch_reset: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.workspace = Workspace()
        self.faults = faults or Faults()
        if isinstance(rest_api_keys, Mapping):
            self.keys = {key: set(allowed) for key, allowed in rest_api_keys.items()}
        else:
            self.keys = {key: set(_PERMISSIONS.values()) for key in rest_api_keys}
        self.partner_keys = set(partner_keys)
        self.import_keys = set(import_keys)
        self._apply_delay = apply_delay
        self._limit = limit
        self._window = window
        self._epoch_reset = epoch_reset
        self._clock = clock
        self._used = 0
        self._window_began = clock()
        self._lock = threading.Lock()
        super().__init__(port)

    def respond(self, call: Call) -> Answer:
        """Answer one call, with a fault if one is planned."""
        if call.path.startswith("/_stand_in/"):
            return self._inspect(call)
        self.workspace.calls[call.path] += 1
        fault = self.faults.next(call.path)
        if fault == "reset before":
            return Answer(0, reset=True)
        if fault in _STATUS_FAULTS:
            return Answer(_STATUS_FAULTS[fault], raw=b"<html>upstream</html>")
        if fault == "429":
            return Answer(429, {}, {"x-ratelimit-retry-after": "1"})
        if fault == "429 bare":
            return Answer(429, {})
        answer = self._checked(call)
        return _spoilt(answer, fault)

    def _checked(self, call: Call) -> Answer:
        partner = call.path.startswith("/partners/")
        if not partner and call.path not in _PERMISSIONS:
            return Answer(404, {"message": "Invalid URL"})
        if call.method != "POST":
            return Answer(405, {"message": "Method Not Allowed"})
        if not call.headers.get("content-type", "").startswith("application/json"):
            return Answer(415, {"message": "Unsupported Media Type"})
        if len(call.body) > MAX_BODY:
            return Answer(413, {"message": "Request Entity Too Large"})
        if not partner:
            refused = self._authorize(call)
            if refused:
                return refused
        headers = self._count()
        if "x-ratelimit-retry-after" in headers:
            return Answer(429, {"message": "Rate limit exceeded"}, headers)
        try:
            body = call.json()
        except (ValueError, RecursionError):
            text = "Error while parsing request body. Please check your syntax."
            return Answer(400, {"error": text}, headers)
        if not isinstance(body, dict):
            return Answer(400, {"message": NOTHING_VALID}, headers)
        if partner:
            status, answer = partner_call(
                self.workspace, call.path, body, self.partner_keys, self.import_keys
            )
        elif call.path == "/users/track":
            status, answer = self._track(body)
        else:
            status, answer = self._export(body)
        return Answer(status, answer, headers)

    def _authorize(self, call: Call) -> Answer | None:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        empty = {f"x-ratelimit-{n}": "" for n in ("limit", "remaining", "reset")}
        if key not in self.keys:
            return Answer(401, {"message": f"Invalid API key: {key}"}, empty)
        if _PERMISSIONS[call.path] not in self.keys[key]:
            return Answer(403, {"message": "Access Denied"}, empty)
        return None

    def _count(self) -> dict[str, str]:
        """Rate headers of this call, or the one that says how long to wait."""
        with self._lock:
            now = self._clock()
            if now - self._window_began >= self._window:
                self._window_began, self._used = now, 0
            ends = self._window_began + self._window
            if self._used >= self._limit:
                return {"x-ratelimit-retry-after": str(int(ends - now) + 1)}
            self._used += 1
            reset = ends if self._epoch_reset else ends - now
            return {
                "x-ratelimit-limit": str(self._limit),
                "x-ratelimit-remaining": str(self._limit - self._used),
                "x-ratelimit-reset": str(int(reset)),
            }

    def _track(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        arrays = {
            name: body[name]
            for name in ("attributes", "events", "purchases")
            if isinstance(body.get(name), list)
        }
        if sum(map(len, arrays.values())) > OBJECTS_PER_CALL:
            return 400, {"message": "Max Input Length Exceeded"}
        attributes = arrays.get("attributes", [])
        verdicts = [self.workspace.verdict(item) for item in attributes]
        errors = [
            {"type": verdict, "input_array": "attributes", "index": index}
            for index, verdict in enumerate(verdicts)
            if verdict
        ]
        accepted = [
            item
            for item, refused in zip(attributes, verdicts, strict=True)
            if not refused
        ]
        if not accepted:
            return 400, {"message": NOTHING_VALID, "errors": errors}
        self._apply(accepted)
        answer = {"message": "success", "attributes_processed": len(accepted)}
        return 201, answer | ({"errors": errors} if errors else {})

    def _apply(self, items: list[Any]) -> None:
        def carry_out() -> None:
            for item in items:
                self.workspace.apply(item)

        if self._apply_delay:
            threading.Timer(self._apply_delay, carry_out).start()
        else:
            carry_out()

    def _export(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        ids = list(body.get("external_ids", ()))
        aliases = list(body.get("user_aliases", ()))
        if len(ids) + len(aliases) > EXPORT_IDS:
            text = "The max number of external_ids and aliases per request was exceeded"
            return 400, {"message": text}
        find = self.workspace.find
        keys = [("external_id", each) for each in ids]
        keys += [("alias", f"{a['alias_label']}\0{a['alias_name']}") for a in aliases]
        if body.get("device_id"):
            keys.append(("device", body["device_id"]))
        if not keys:
            return 400, {"message": "no ids given"}
        found = {kind_value: find(*kind_value) for kind_value in keys}
        users = [
            {
                "braze_id": profile.braze_id,
                **({"external_id": profile.external_id} if profile.external_id else {}),
                "custom_attributes": dict(profile.attributes),
            }
            for profile in dict.fromkeys(found.values())
            if profile
        ]
        fields = set(body.get("fields_to_export", ()))
        users = [{k: v for k, v in user.items() if k in fields} for user in users]
        invalid = [
            value for (kind, value), p in found.items() if not p and kind != "device"
        ]
        answer: dict[str, Any] = {"users": users, "message": "success"}
        return 201, answer | ({"invalid_user_ids": invalid} if invalid else {})

    def _inspect(self, call: Call) -> Answer:
        """`GET state`, `POST users`, `POST faults`, `POST reset` below /_stand_in/."""
        match call.path.removeprefix("/_stand_in/"):
            case "state":
                return Answer(200, self._state())
            case "users":
                for user in call.json():
                    self.workspace.add_user(**user)
                return Answer(200, {"users": len(self.workspace.profiles)})
            case "faults":
                plan = call.json()
                self.faults.rates = plan.get("rates", {})
                for planned in plan.get("next", ()):
                    self.faults.plan(**planned)
                return Answer(200, {})
            case "reset":
                self.workspace = Workspace()
                self.faults.clear()
                return Answer(200, {})
        return Answer(404, {"message": "Invalid URL"})

    def _state(self) -> dict[str, Any]:
        space = self.workspace
        with space.lock:
            return {
                "users": len(space.profiles),
                "data_points": space.data_points,
                "noop_writes": space.noop_writes,
                "calls": dict(space.calls),
                "attributes": {
                    profile.name: profile.attributes
                    for profile in space.profiles
                    if profile.attributes
                },
                "cohorts": {
                    key: {"name": cohort.name, "members": sorted(cohort.members)}
                    for key, cohort in space.cohorts.items()
                },
            }


def _spoilt(answer: Answer, fault: str | None) -> Answer:
    """The answer after a call that was carried out, with what goes wrong on its way."""
    odd: dict[str | None, Answer] = {
        "reset after": Answer(0, reset=True),
        "stall": Answer(0, reset=True, delay=60.0),
        "slow": replace(answer, delay=1.0),
        "empty": Answer(201, raw=b""),
        "{}": Answer(201, {}),
        "html": Answer(201, raw=b"<html>"),
        "errors null": Answer(201, {"message": "success", "errors": None}),
        "errors text": Answer(201, {"message": "success", "errors": ["it is odd"]}),
        "errors no index": Answer(
            201, {"message": "success", "errors": [{"type": "x"}]}
        ),
        "fatal message": Answer(201, {"message": "something went wrong"}),
    }
    return odd.get(fault, answer)
