"""Every reason that a log, a metric, the quarantine or the ledger can show.

Below each stands, for each thing that can become of an item, in one sentence what
happened and what to do: docs/runbook.md is generated from these sentences. Values are
published: operators search for them.
"""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons that are fixed texts; see `ReasonPattern` for the others."""

    # Bodies of all three doors, and events in them
    NOT_JSON = "not_json"
    """page refused: The body is not JSON, or a field that is read occurs twice or is NaN: fix the sender, then resume the sync.
    event quarantined: The bytes are not JSON in any form that producers use: fix the producer and send the events again.
    """
    NOT_AN_OBJECT = "not_an_object"
    """page refused: The body is not a JSON object: fix the sender, then resume the sync.
    member skipped: The member is not a JSON object: fix the sender.
    event quarantined: The event, its user or its properties are not a JSON object; `field` says which.
    """
    NOT_UTF8 = "not_utf8"
    """page refused: The body is not UTF-8 text: fix the sender, then resume the sync."""
    TOO_DEEP = "too_deep"
    """page refused: The body is nested too deeply: fix the sender, then resume the sync."""
    BODY = "body"
    """page refused: The body's base64 is damaged: fix the sender, then resume the sync."""
    ENVELOPE = "envelope"
    """page refused: A field of Mixpanel's webhook is missing or invalid; `field` names it: fix the sender, then resume the sync."""
    PARTNER = "partner"
    """page refused: The partner's name in the path has more than 64 characters: correct the sender's URL."""
    COHORT_ID = "cohort_id"
    """page refused: `cohort_id` of a cohort import call is not a text of 1 to 100 characters: fix the sender, then resume the sync."""
    COHORT_CHANGES = "cohort_changes"
    """page refused: `cohort_changes` of a cohort import call has another shape than Braze documents: fix the sender, then resume the sync."""
    TOO_MANY_IDS = "too_many_ids"
    """page refused: A cohort import call names more than 1,000 users, Braze's own limit: send smaller calls."""
    NAME = "name"
    """page refused: A cohort import call gives the cohort no name: fix the sender, then resume the sync."""
    CREATED_AT = "created_at"
    """page refused: `created_at` of a cohort import call is not an ISO time: fix the sender, then resume the sync."""

    # Cohort members
    NO_IDENTIFIER = "no_identifier"
    """member skipped: None of the properties in `Identifiers` has a value: add one to Mixpanel's exported properties, or to `Identifiers`."""
    NOT_TEXT = "not_text"
    """member skipped: The identifier is neither a text nor a whole number: correct the property in Mixpanel.
    event quarantined: A value is not valid Unicode text, so that Mixpanel's JSON cannot hold it.
    """
    PLACEHOLDER_IDENTIFIER = "placeholder_identifier"
    """member skipped: The identifier stands for nobody, such as `null` or `unknown`: correct the property in Mixpanel."""
    INVALID_EMAIL = "invalid_email"
    """member skipped: The value is no e-mail address: correct the property in Mixpanel, or the entry in `Identifiers`."""
    INVALID_PHONE = "invalid_phone"
    """member skipped: The value is no phone number such as `+15550100017`: correct the property in Mixpanel, or the entry in `Identifiers`."""
    INVALID_TEXT = "invalid_text"
    """member skipped: The identifier holds half a character (a lone surrogate): correct the property in Mixpanel."""
    IDENTIFIER_TOO_LONG = "identifier_too_long"
    """member skipped: The identifier is longer than Braze takes: 987 bytes, for an alias 236."""
    SHARED_IDENTIFIER = "shared_identifier"
    """member skipped: So many Mixpanel profiles share this identifier that it names no single person: correct the property in Mixpanel."""
    RESERVED_ATTRIBUTE = "reserved_attribute"
    """member not pushed: The cohort's attribute has the name of a field of Braze's own: change `CohortAttribute`, then `reassert`."""
    ATTRIBUTE_ROUTE_ONLY = "attribute_route_only"
    """member not pushed: The member is known by an e-mail address or a phone number, which Braze's cohort import does not take: change `Identifiers`, or use the attribute route."""
    DEVICE_IDENTIFIED = "device_identified"
    """member not pushed: The device belongs to an identified user, who is reached by external id or alias only: nothing to do."""
    DEVICE_UNKNOWN = "device_unknown"
    """member not pushed: Braze knows no profile with this device; the next reassertion tries again."""
    BRAZE_REJECTED = "braze_rejected"
    """member not pushed: Braze rejected the member without a code; `reassert` tries again."""
    BRAZE_400 = "braze_400"
    """member not pushed: Braze answered 400 to a call with this member alone; `reassert` tries again."""
    BRAZE_TOO_LARGE = "braze_too_large"
    """member not pushed: Braze rejected the size of a call with this member alone; `reassert` tries again."""
    CRASH_POISON = "crash_poison"
    """member not pushed: The process crashed on this member every time, so that it was quarantined alone; `replay` tries it again.
    message quarantined: The process crashed on this member every time: report it; `replay` tries the member again.
    """

    # Messages of the cohort queue
    MESSAGE = "message"
    """message quarantined: The queue delivered a message that this release cannot read: `replay` from the release that wrote it."""
    SYNC_UNKNOWN = "sync_unknown"
    """message quarantined: The ledger holds no such sync any more; the next full sync corrects the cohort."""
    PAGE_EXPIRED = "page_expired"
    """message quarantined: The page's members were deleted from S3 after 14 days; the next full sync corrects the cohort."""
    PAGE_UNREADABLE = "page_unreadable"
    """message quarantined: The stored page is damaged; the next full sync corrects the cohort."""

    # Events that are filtered
    NO_EXTERNAL_ID = "no_external_id"
    """event filtered: The external id is missing or blank; `AnonymousUsers=device` sends such events under the device."""
    REDACTED_EXTERNAL_ID = "redacted_external_id"
    """event filtered: The external id is `[REDACTED]`."""
    PLACEHOLDER_EXTERNAL_ID = "placeholder_external_id"
    """event filtered: The external id stands for nobody, such as `undefined` or `0`, and Mixpanel rejects it."""
    NUMERIC_EXTERNAL_ID = "numeric_external_id"
    """event filtered: The external id is a number with a fraction or of more than 64 bits, which could stand for several users."""
    WITHOUT_USER = "without_user"
    """event filtered: The event is about no user at all; `EventsWithoutUser=send` sends such events without one."""
    BEFORE_2010 = "before_2010"
    """event filtered: The event happened before 2010-01-01."""
    NOT_INCLUDED = "not_included"
    """event filtered: `include` of your [rules](configuration.md#rules) does not name the event."""

    # Events that are quarantined
    REJECTED = "rejected"
    """event quarantined: Mixpanel rejected the event; `field` and `message` are its own words. Fix the cause, then `replay`."""
    RESHAPED = "reshaped"
    """event quarantined: Mixpanel took the event in another shape only, because it has too many properties, keys or elements or is nested too deeply: it is delivered, and this is the original, which `replay` leaves alone."""
    NO_EVENT_TYPE = "no_event_type"
    """event quarantined: The event has no `event_type`."""
    NO_EVENT_NAME = "no_event_name"
    """event quarantined: The custom event has no name."""
    BAD_TIME = "bad_time"
    """event quarantined: `time` is missing, or no time in any unit from seconds to nanoseconds."""
    BAD_USER = "bad_user"
    """event quarantined: A user id is neither a text nor a number."""
    ID_TOO_LONG = "id_too_long"
    """event quarantined: A user id has more than 255 characters, of which Mixpanel keeps the first 255: two users could become one. Give the user a shorter id."""
    RESERVED_TYPE = "reserved_type"
    """event quarantined: Mixpanel would read the event type as a command, such as `$merge`."""
    BAD_GZIP = "bad_gzip"
    """event quarantined: The gzip data is damaged."""
    BAD_AVRO = "bad_avro"
    """event quarantined: The Avro container, or its schema, is damaged or of a kind that is not read."""
    BAD_AGGREGATE = "bad_aggregate"
    """event quarantined: The record looks packed by the Kinesis Producer Library, but is damaged."""
    EMPTY = "empty"
    """event quarantined: The record holds no bytes."""
    TOO_LARGE = "too_large"
    """event quarantined: The event exceeds what Mixpanel (1 MB) or a stream record takes, the record inflates to more than 64 MB, or the body of a call to more than 24 MB; `message` says which. `replay` brings back a body up to 64 MB."""
    TOO_MANY = "too_many"
    """event quarantined: The record, or the body of a call, holds more than 100,000 events or 500,000 broken lines: send smaller ones."""
    FAULT = "fault"
    """event quarantined: The bridge itself failed on this event: report it; `replay` delivers it after the update.
    deferred: The bridge itself failed: the log names the type of the error and where it arose; report it.
    """

    # What is deferred
    OUT_OF_TIME = "out_of_time"
    """deferred: The invocation's time ran out; the next one continues."""
    LEDGER_CONTENTION = "ledger_contention"
    """deferred: Other writers kept changing the same item; retried until it succeeds."""
    LEDGER_THROTTLED = "ledger_throttled"
    """deferred: DynamoDB throttled the ledger's table; retried until it succeeds."""
    STREAM_THROTTLED = "stream_throttled"
    """deferred: Kinesis did not take all records: if it lasts, raise `StreamShards`."""
    SECRET_UNAVAILABLE = "secret_unavailable"
    """deferred: Secrets Manager gives no value: put one in, or restore the function's permission."""
    SECRET_UNUSABLE = "secret_unusable"
    """deferred: The secret's value is invalid; `check` names the mistake."""
    CREDENTIALS_UNVERIFIED = "credentials_unverified"
    """deferred: A caller showed unknown credentials, and the secret was read so short a time ago that they may be newer: the next try within half a minute is answered 200 or 401."""
    NO_KEY = "no_key"
    """deferred: The Braze secret lacks the key that `CohortRoute` needs: put it in."""
    SETTINGS = "settings"
    """deferred: The function's environment is invalid; the log names each variable. Correct the stack's parameters."""
    IDENTIFIERS = "identifiers"
    """deferred: The parameter `Identifiers` cannot be understood; the log names the entry."""
    BRAZE_MESSAGE = "braze_message"
    """deferred: Braze answered 2xx with a failure; retried until it succeeds."""
    BRAZE_EXPORT = "braze_export"
    """deferred: Braze answered a device look-up badly; retried until it succeeds."""
    MIXPANEL_UNCLEAR = "mixpanel_unclear"
    """deferred: Mixpanel's 200 has no usable count; retried until it succeeds."""
    MASS_REJECTION = "mass_rejection"
    """event quarantined: A sample of the events for which the stream waits: they are still in the stream, so `replay` leaves it alone.
    deferred: Mixpanel rejects events of many records: see [below](#when-the-stream-waits-for-a-mass-rejection).
    """
    RULES_MISSING = "rules_missing"
    """deferred: The file of `EventRules` does not exist: put it there."""
    RULES_UNUSABLE = "rules_unusable"
    """deferred: The file of `EventRules`, or its `hmac_key`, is invalid; `check` names the mistake."""
    ACCOUNTS = "accounts"
    """deferred: The events received and those accounted for differ: report it; the batch is retried."""

    # The command and the inside
    QUARANTINE_LINE = "quarantine_line"
    """command failed: An object of the quarantine is damaged; `replay` names it and leaves it."""
    NO_SERVICE_ACCOUNT = "no_service_account"
    """command failed: Mixpanel's query API takes a service account only: `setup` stores one in place of the project token."""
    MIXPANEL_QUERY = "mixpanel_query"
    """command failed: Mixpanel's query API gave an answer that cannot be read: run the command again."""
    MIXPANEL_TOO_LARGE = "mixpanel_too_large"
    """internal: Mixpanel rejected a request for its size, and its halves are sent."""
    MESSAGE_DEFERRED = "message_deferred"
    """internal: Tells the batch processor that a message failed, without the foreign exception."""


class ReasonPattern(StrEnum):
    """The reasons with a part that is not known beforehand, written as `…`."""

    UNAVAILABLE = "…_unavailable"
    """deferred: An AWS store failed (`ledger`, `queue`, `page_store`, `stream`, `quarantine`, `rules`, …); the log has AWS's error code."""
    VENDOR_NETWORK = "…_network"
    """deferred: Mixpanel or Braze gave no answer; retried until it succeeds."""
    VENDOR_STATUS = "…_status_…"
    """deferred: Mixpanel or Braze answered with this status after all tries; retried until it succeeds."""
    VENDOR_COOLING = "…_cooling"
    """deferred: The vendor's rate limit is used up; calls resume when its window ends."""
    BRAZE = "braze_…"
    """member not pushed: Braze rejected the member with this error code of its own; correct the member, then `reassert`.
    deferred: Braze answered with this status. 401, 403, 404 and 415 mean that it rejects the key or its permissions: correct the secret.
    """
    MIXPANEL = "mixpanel_…"
    """deferred: Mixpanel answered with this status. 401, 403 and 404 mean wrong credentials or the wrong region: correct them."""
    EXCLUDE = "exclude …"
    """event filtered: `exclude` of your [rules](configuration.md#rules) has this pattern."""
    SAMPLE = "sample …"
    """event filtered: The user is not in the sample that your [rules](configuration.md#rules) keep of these events."""


_PASSING = frozenset(
    {"", Reason.BRAZE_REJECTED, Reason.BRAZE_400, Reason.BRAZE_TOO_LARGE}
)


def is_lasting(rejected: str) -> bool:
    """Whether a member was rejected for a reason that lies in its identifier for good.

    Braze's own codes are such reasons (Braze docs, "POST: Track users", errors), and so
    is a device that Braze does not know or that belongs to an identified user.
    """
    return rejected not in _PASSING
