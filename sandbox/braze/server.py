"""Braze's REST API over a workspace, in the order of checks that its docs suggest.

Path, method, media type, size, key, permission, rate, JSON, number of objects, objects.
Switches for what the docs leave open are the arguments of `BrazeStandIn`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.braze import export, identity, track
from sandbox.braze.backlog import Backlog
from sandbox.braze.faults import AFTER, BEFORE, KINDS
from sandbox.braze.partner import PartnerAccess, is_partner_path, partner_call
from sandbox.braze.rate_limits import NAMES, RateLimit, RateWindows
from sandbox.braze.workspace import Workspace
from sandbox.servers.faults import Faults
from sandbox.servers.web import Answer, Call, StandIn

MAX_BODY = 4_000_000
MAX_BULK_BODY = 2_000_000
PERMISSIONS: Mapping[str, str] = {
    "/users/track": "users.track",
    "/users/track/bulk": "users.track.bulk",
    "/users/export/ids": "users.export.ids",
    "/users/alias/new": "users.alias.new",
    "/users/identify": "users.identify",
}
_NOT_JSON = "Error while parsing request body. Please check your syntax."


class BrazeStandIn(StandIn):
    """A Braze on 127.0.0.1.

    `rest_api_keys` are keys with every permission, or key → permissions;
    `partner_keys` and `import_keys` open the partner's cohort import, whose switches
    are attributes of `partner`. `apply_delay` is how many seconds after its answer a
    write takes effect: 0 is just before it, None is at `backlog.apply_all()`; `swap` is
    the share of writes that overtake the one before. `limits` replaces rate limits by
    path; with `epoch_reset` the reset is given as an epoch, else as seconds left; with
    `fields_required` an export must name its fields. `track_limits` may be replaced.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        rest_api_keys: Iterable[str] | Mapping[str, Iterable[str]] = ("key",),
        partner_keys: Iterable[str] = (),
        import_keys: Iterable[str] = (),
        faults: Faults | None = None,
        apply_delay: float | None = 0.0,
        swap: float = 0.0,
        limits: Mapping[str, RateLimit] | None = None,
        epoch_reset: bool = True,
        fields_required: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.workspace = Workspace()
        self.faults = faults or Faults(KINDS)
        self.backlog = Backlog(apply_delay, swap)
        if isinstance(rest_api_keys, Mapping):
            self.keys = {key: set(allowed) for key, allowed in rest_api_keys.items()}
        else:
            self.keys = {key: set(PERMISSIONS.values()) for key in rest_api_keys}
        self.partner = PartnerAccess(set(partner_keys), set(import_keys))
        self._rates = RateWindows(limits or {}, clock, epoch_reset=epoch_reset)
        self._fields_required = fields_required
        self.track_limits = track.TrackLimits()
        super().__init__(port)

    def respond(self, call: Call) -> Answer:
        """Answer one call, with a fault if one is planned."""
        if call.path.startswith("/_stand_in/"):
            try:
                return self._inspect(call)
            except (ValueError, TypeError, AttributeError) as problem:
                return Answer(400, {"message": f"cannot be read: {problem}"})
        with self.workspace.lock:
            self.workspace.calls[call.path] += 1
        fault = self.faults.next(call.path)
        if not fault:
            return self._checked(call)
        if fault in BEFORE:
            return BEFORE[fault]
        # Looked up first: a fault that does not exist must not write anything.
        change = AFTER[fault]
        return change(self._checked(call))

    def _checked(self, call: Call) -> Answer:
        rejection = self._envelope(call) or self._authorized(call)
        if rejection:
            return rejection
        within, headers = self._rates.count(call.path)
        if not within:
            return Answer(429, {"message": "Rate limit exceeded"}, headers)
        try:
            body = call.json()
        except (ValueError, RecursionError):
            return Answer(400, {"error": _NOT_JSON}, headers)
        if not isinstance(body, dict):
            return Answer(400, {"error": _NOT_JSON}, headers)
        status, answer = self._carry_out(call.path, body)
        return Answer(status, answer, headers)

    def _envelope(self, call: Call) -> Answer | None:
        known = call.path in PERMISSIONS or is_partner_path(call.path)
        if not known and call.path.rstrip("/") in PERMISSIONS:
            return Answer(403, {"message": "Access Denied"})
        if not known:
            return Answer(404, {"message": "Invalid URL"})
        if call.method != "POST":
            return Answer(405, {"message": "Method Not Allowed"})
        if not call.headers.get("content-type", "").startswith("application/json"):
            return Answer(415, {"message": "Unsupported Media Type"})
        if call.path == "/users/track/bulk" and len(call.body) > MAX_BULK_BODY:
            return Answer(400, {"message": track.TOO_MANY})
        if len(call.body) > MAX_BODY:
            return Answer(413, {"message": "Request Entity Too Large"})
        return None

    def _authorized(self, call: Call) -> Answer | None:
        if call.path not in PERMISSIONS:
            return None  # the partner's secrets stand in the body
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or key not in self.keys:
            text = f"Invalid API key: {key}"  # live answers do repeat it
            return Answer(401, {"message": text}, dict.fromkeys(NAMES, ""))
        if PERMISSIONS[call.path] not in self.keys[key]:
            return Answer(403, {"message": "Access Denied"})
        return None

    def _carry_out(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        space = self.workspace
        if path == "/users/export/ids":
            return export.export(space, body, fields_required=self._fields_required)
        if path == "/users/alias/new":
            return identity.new_aliases(space, body)
        if path == "/users/identify":
            return identity.identify(space, body)
        if path not in PERMISSIONS:
            return partner_call(space, path, body, self.partner, self.backlog.put)
        limits = track.BULK if path.endswith("/bulk") else self.track_limits
        validated = track.validate(body, limits, space.blocked)
        if validated.accepted:
            self.backlog.put(lambda: track.apply(space, validated.accepted))
        return validated.status, validated.body

    def reset(self) -> None:
        """Forget everything but the settings."""
        self.backlog.clear()
        self.workspace.clear()
        self.faults.clear()
        self._rates.clear()

    def _inspect(self, call: Call) -> Answer:
        """Below /_stand_in/: `GET state`; `POST users`, `logins`, `faults`, …."""
        match call.method, call.path.removeprefix("/_stand_in/"):
            case "GET", "state":
                return Answer(200, self.state())
            case "POST", "users":
                for user in call.json():
                    self.workspace.add_user(**user)
                return Answer(200, {"users": len(self.workspace.profiles)})
            case "POST", "logins":
                for login in call.json():
                    self.workspace.log_in(**login)
                return Answer(200, {"users": len(self.workspace.profiles)})
            case "POST", "faults":
                self.faults.load(call.json())
                return Answer(200, {})
            case "POST", "apply":
                return Answer(200, {"applied": self.backlog.apply_all()})
            case "POST", "reset":
                self.reset()
                return Answer(200, {})
        return Answer(404, {"message": "Invalid URL"})

    def state(self) -> dict[str, Any]:
        """What an operator would look up, as JSON."""
        space = self.workspace
        with space.lock:
            return {
                "users": len(space.profiles),
                "data_points": space.data_points,
                "noop_writes": space.noop_writes,
                "unknown_users": space.unknown_users,
                "waiting": len(self.backlog),
                "calls": dict(space.calls),
                "attributes": {
                    profile.name: dict(profile.attributes)
                    for profile in space.profiles
                    if profile.attributes
                },
                "cohorts": {
                    key: {
                        "name": cohort.name,
                        "members": sorted(space.partner_cohort(key)),
                    }
                    for key, cohort in space.cohorts.items()
                },
            }
