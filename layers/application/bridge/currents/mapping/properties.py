"""Every property of Currents events, stated once for all event types.

The names are Braze's. What Braze's own Mixpanel connector renames or leaves out is
renamed or left out here as well, so that existing reports keep working.
"""

from collections.abc import Mapping
from functools import cache

from bridge.currents.mapping.catalog import CUSTOM_EVENT
from bridge.currents.mapping.values import (
    Read,
    as_text,
    parse_json_text,
    shortest_float32,
)

RENAMED = {"device_model": "$device", "os_version": "$os"}

RENAMED_IN_PART: Mapping[str, tuple[tuple[str, ...], str]] = {
    "content_card_id": (("users.messages.contentcard.",), "card_id"),
    "canvas_step_message_variation_id": (
        ("users.messages.banner.", "users.messages.survey."),
        "canvas_step_message_variation_api_id",
    ),
}
"""Renamed only in events whose type begins with one of the prefixes."""

WITHHELD = frozenset(
    {
        # Left out by Braze's connector.
        "button_action_type",
        "button_string",
        "external_user_id",
        "phone_number",
        "sending_ip",
        "timezone",
        "user_id",
        # Deprecated twins of ids, always null.
        "app_api_id",
        "app_group_api_id",
        "campaign_api_id",
        "canvas_api_id",
        "canvas_step_api_id",
        "canvas_variation_api_id",
        "message_variation_api_id",
    }
)

FLOAT32 = {
    "alt_accuracy": "users.behaviors.Location",
    "altitude": "users.behaviors.Location",
    "duration": "users.behaviors.app.SessionEnd",
    "latitude": "users.behaviors.Location",
    "ll_accuracy": "users.behaviors.Location",
    "longitude": "users.behaviors.Location",
    "price": "users.behaviors.Purchase",
}
"""Avro floats, by the one event type that has each: 3.14 reads as 3.140000104904175.

The `duration` of an agent is another property: a whole number of milliseconds.
"""

JSON_TEXT = frozenset(
    {
        "answer_multiple_strings",
        "conversion_behavior",
        "custom_attributes",
        "data_object_provenance",
        "flow_response_json",
        "message_extras",
        "tool_arguments",
    }
)
"""JSON inside a text; some of Braze's samples do not parse and stay a text."""

TEXT_BOOLEANS = frozenset({"machine_open"})
"""Texts such as "true" in Braze; a real boolean becomes that text."""

OWN_PROPERTIES = {
    "custom_properties": "[Custom event property]",
    "purchase_properties": "[Purchase property]",
}
"""The customer's own, sent under this prefix and a space (requirement R12)."""

PERSONAL = frozenset(
    {
        # Marked as personal in Braze's event glossary.
        "abort_log",
        "ad_id",
        "altitude",
        "bounce_reason",
        "channel_identifier",
        "country",
        "deferral_reason",
        "dob",
        "email_address",
        "first_name",
        "flow_response_json",
        "gender",
        "home_city",
        "input",
        "language",
        "last_name",
        "latitude",
        "locale_key",
        "longitude",
        "message_extras",
        "native_line_id",
        "output",
        "phone_number",
        "template_name",
        "to_phone_number",
        "user_phone_number",
        # Not marked, but written by a person or identifying one.
        "answer_long_string",
        "bsuid",
        "custom_attributes",
        "message_body",
    }
)
"""Properties that the rule `personal` drops or hashes."""

RESERVED = frozenset({"alias", "bucket", "distinct_id", "ip", "time", "token"})
"""Names that Mixpanel reserves, beside every name that begins with `$`."""

UNCHANGED = frozenset(
    """
    abort_log abort_type action activity_attributes_type activity_id ad_id
    ad_id_type ad_tracking_enabled agent_id agent_name answer_long_string
    answer_single_boolean answer_single_number answer_single_string answer_type
    app_group_id app_id archived attempt_count banner_placement_id
    boolean_custom_attributes bounce_reason browser bsuid button_id cache_hit
    cache_tokens campaign_id campaign_name canvas_entry_id canvas_id canvas_name
    canvas_step_id canvas_step_message_variation_api_id
    canvas_step_name canvas_step_type
    canvas_variation_id canvas_variation_name card_id carrier catalog_id
    category channel channel_identifier click_url combination_token
    completion_tokens content content_length content_optimizer_step_id
    conversion_behavior_index conversion_type country currency deferral_reason
    destination_api_id destination_name destination_type
    destination_variant_type destination_variation_name device_class device_id device_os
    dispatch_id dob element_label element_type email_address endpoint_url error
    esp exit_reason experiment_split_id experiment_split_name experiment_step_id
    feature_flag_id_name first_name float_custom_attributes flow_id from_domain
    from_phone_number from_rcs_sender gender has_url_parameters home_city host
    http_status_code in_control_group in_reply_to inbound_phone_number input
    interaction_type invocation_id invocation_source ios_push_token_apns_gateway
    ip_pool is_active is_amp is_archived is_canvas_entry is_control is_drop
    is_error is_sms_fallback is_suspected_bot_click is_terminal is_unique
    landing_page_api_id landing_page_name language last_name line_channel_id
    line_channel_name link_alias link_aliasing_enabled link_id liquid_enabled
    live_activity_event_outcome live_activity_event_type llm_owned_by_customer
    locale_key mailbox_provider media_id media_urls message_body
    message_id message_variation_id message_variation_name model_name
    model_provider name native_line_id new_app_version next_step_id
    number_custom_attributes old_app_version orphaned_by_id output platform
    prev_random_bucket_number product_id progression_type prompt_tokens
    provider_error_code provider_error_title provider_request_id
    push_to_start_token push_token push_token_created_at push_token_device_id
    push_token_foreground_push_disabled push_token_provisionally_opted_in
    push_token_state_change_type push_token_updated_at question_id
    question_reporting_id quick_reply_text random_bucket_number raw_response
    reason reasoning_tokens recipient_domain request_id resolution response_id
    retry_count retry_log retry_type sdk_version send_id send_time session_id
    short_url source state_change_source string_custom_attributes
    subscription_group_id subscription_status survey_completion_status survey_id
    survey_session_id suspected_bot_click_reason target template_name
    thinking_level time_custom_attributes time_ms to_phone_number to_rcs_sender
    tool_call_id tool_name total_tokens update_source update_token url url_path
    user_agent user_phone_number version web_push_token_public_key
    web_push_token_user_auth web_push_token_vapid_public_key webhook_duration
    webhook_failure_source
    """.split()
)


def mapped_properties(event_type: str) -> dict[str, tuple[str, Read | None]]:
    """Each known property of this type: its name in Mixpanel, and how it is read.

    The name is empty for a property that is left out.
    """
    mapped: dict[str, tuple[str, Read | None]] = {
        name: (name, None) for name in UNCHANGED
    }
    mapped |= {name: (renamed, None) for name, renamed in RENAMED.items()}
    for name, (prefixes, renamed) in RENAMED_IN_PART.items():
        applies = event_type.startswith(prefixes)
        mapped[name] = (renamed if applies else name, None)
    mapped |= dict.fromkeys(WITHHELD, ("", None))
    for name, only in FLOAT32.items():
        mapped[name] = (name, shortest_float32 if event_type == only else None)
    mapped |= {name: (name, parse_json_text) for name in JSON_TEXT}
    mapped |= {name: (name, as_text) for name in TEXT_BOOLEANS}
    mapped |= {
        name: (prefix, parse_json_text) for name, prefix in OWN_PROPERTIES.items()
    }
    if event_type == CUSTOM_EVENT:
        mapped["name"] = ("", None)
    return mapped


@cache
def known_properties() -> frozenset[str]:
    """Every known name of a property, in Braze and in Mixpanel."""
    in_part = {renamed for _, renamed in RENAMED_IN_PART.values()}
    mapped = mapped_properties("")
    return frozenset({*mapped, *(target for target, _ in mapped.values())} | in_part)


def parsed_texts(renamed: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Properties in Mixpanel that may be parsed from a text, with its names in Braze.

    `renamed` are the rules' new names. In storage the customer's own are one text.
    """
    texts = {renamed.get(name, name): (name,) for name in JSON_TEXT}
    return texts | {
        renamed.get(name, prefix): (name, "properties")
        for name, prefix in OWN_PROPERTIES.items()
    }


def is_reserved(name: str) -> bool:
    """Whether Mixpanel might take the name for one of its own.

    Invisible characters do not count: Mixpanel may trim them.
    """
    visible = "".join(filter(str.isprintable, name)).strip()
    return visible in RESERVED or visible.startswith("$")
