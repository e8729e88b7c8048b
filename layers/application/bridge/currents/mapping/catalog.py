"""The catalog of Currents events: each type with its name in Mixpanel, one a line.

Names are those of Braze's own Mixpanel connector where it has one. Where channels would
share a name (LINE, RCS) the channel precedes it, and a name that Mixpanel exempts from
the MTU count is spelt as in Mixpanel's list: decision 0020.
"""

from collections.abc import Mapping
from typing import NamedTuple

FAMILIES = ("message", "behavior", "campaign", "canvas", "other")
MESSAGE, BEHAVIOR, CAMPAIGN, CANVAS, OTHER = FAMILIES

CUSTOM_EVENT = "users.behaviors.CustomEvent"
CUSTOM_EVENT_PREFIX = "[Braze Custom Event]"
PURCHASE = "users.behaviors.Purchase"


class Event(NamedTuple):
    """One event type; for a custom event `name` is the prefix of its own name."""

    type: str
    name: str
    family: str


# fmt: off
EVENTS = (
    Event("agentconsole.AgentExecuted", "Agent Executed", OTHER),
    Event("agentconsole.ToolInvocation", "Agent Tool Invocation", OTHER),
    Event("contentoptimizer.ComponentStore", "Content Optimizer Component Store", OTHER),
    Event("users.RandomBucketNumberUpdate", "Random Bucket Number Update", BEHAVIOR),
    Event("users.UserDeleteRequest", "User Delete Request", BEHAVIOR),
    Event("users.UserOrphan", "User Orphan", BEHAVIOR),
    Event("users.behaviors.CustomEvent", "[Braze Custom Event]", BEHAVIOR),
    Event("users.behaviors.InstallAttribution", "Install Attribution", BEHAVIOR),
    Event("users.behaviors.Location", "Location", BEHAVIOR),
    Event("users.behaviors.Purchase", "Purchase", BEHAVIOR),
    Event("users.behaviors.Uninstall", "Uninstall", BEHAVIOR),
    Event("users.behaviors.UpgradedApp", "Upgraded App", BEHAVIOR),
    Event("users.behaviors.app.FirstSession", "First Session", BEHAVIOR),
    Event("users.behaviors.app.NewsFeedImpression", "News Feed Impression", BEHAVIOR),
    Event("users.behaviors.app.SessionEnd", "Session End", BEHAVIOR),
    Event("users.behaviors.app.SessionStart", "Session Start", BEHAVIOR),
    Event("users.behaviors.liveactivity.PushToStartTokenChange", "Live Activity Push To Start Token Change", BEHAVIOR),
    Event("users.behaviors.liveactivity.UpdateTokenChange", "Live Activity Update Token Change", BEHAVIOR),
    Event("users.behaviors.pushnotification.TokenStateChange", "Push Notification Token State Change", BEHAVIOR),
    Event("users.behaviors.subscription.GlobalStateChange", "Global Subscription State Change", BEHAVIOR),
    Event("users.behaviors.subscriptiongroup.StateChange", "Subscription Group State Change", BEHAVIOR),
    Event("users.campaigns.Abort", "Campaign Abort", CAMPAIGN),
    Event("users.campaigns.Conversion", "Campaign Conversion", CAMPAIGN),
    Event("users.campaigns.EnrollInControl", "Campaign Control Group Enrollment", CAMPAIGN),
    Event("users.campaigns.UniqueReceipt", "Campaign Unique Receipt", CAMPAIGN),
    Event("users.canvas.Abort", "Canvas Abort", CANVAS),
    Event("users.canvas.Conversion", "Canvas Conversion", CANVAS),
    Event("users.canvas.Entry", "Canvas Entry", CANVAS),
    Event("users.canvas.costep.Conversion", "Canvas Content Optimizer Step Conversion", CANVAS),
    Event("users.canvas.costep.Send", "Canvas Content Optimizer Step Send", CANVAS),
    Event("users.canvas.exit.MatchedAudience", "Exit Match Audience", CANVAS),
    Event("users.canvas.exit.PerformedEvent", "Exit Perform Event", CANVAS),
    Event("users.canvas.experimentstep.Conversion", "Experiment Step Conversion", CANVAS),
    Event("users.canvas.experimentstep.SplitEntry", "Experiment Split Entry", CANVAS),
    Event("users.canvas.sendtodestination.NotSent", "Canvas Send To Destination Not Sent", CANVAS),
    Event("users.canvas.sendtodestination.Sent", "Canvas Send To Destination Sent", CANVAS),
    Event("users.canvasstep.Progression", "Canvas Step Progression", CANVAS),
    Event("users.messages.banner.Abort", "Banner Abort", MESSAGE),
    Event("users.messages.banner.Click", "Banner Click", MESSAGE),
    Event("users.messages.banner.Dismiss", "Banner Dismissal", MESSAGE),
    Event("users.messages.banner.Impression", "Banner Impression", MESSAGE),
    Event("users.messages.contentcard.Abort", "Content Card Abort", MESSAGE),
    Event("users.messages.contentcard.Click", "Content Card Click", MESSAGE),
    Event("users.messages.contentcard.Dismiss", "Content Card Dismiss", MESSAGE),
    Event("users.messages.contentcard.Impression", "Content Card Impression", MESSAGE),
    Event("users.messages.contentcard.Send", "Content Card Send", MESSAGE),
    Event("users.messages.email.Abort", "Email Abort", MESSAGE),
    Event("users.messages.email.Bounce", "Email Bounce", MESSAGE),
    Event("users.messages.email.Click", "Email Click", MESSAGE),
    Event("users.messages.email.Deferral", "Email Deferral", MESSAGE),
    Event("users.messages.email.Delivery", "Email Delivery", MESSAGE),
    Event("users.messages.email.MarkAsSpam", "Email Mark As Spam", MESSAGE),
    Event("users.messages.email.Open", "Email Open", MESSAGE),
    Event("users.messages.email.Retry", "Email Retry", MESSAGE),
    Event("users.messages.email.Send", "Email Send", MESSAGE),
    Event("users.messages.email.SoftBounce", "Email Soft Bounce", MESSAGE),
    Event("users.messages.email.Unsubscribe", "Email Unsubscribe", MESSAGE),
    Event("users.messages.featureflag.Impression", "Feature Flag Experiment Impression", MESSAGE),
    Event("users.messages.inappmessage.Abort", "In-App Message Abort", MESSAGE),
    Event("users.messages.inappmessage.Click", "In-App Message Click", MESSAGE),
    Event("users.messages.inappmessage.Impression", "In-App Message Impression", MESSAGE),
    Event("users.messages.landingpage.Click", "Landing Page Click", MESSAGE),
    Event("users.messages.landingpage.FormSubmission", "Landing Page Form Submission", MESSAGE),
    Event("users.messages.landingpage.Impression", "Landing Page Impression", MESSAGE),
    Event("users.messages.line.Abort", "LINE Abort", MESSAGE),
    Event("users.messages.line.Click", "LINE Click", MESSAGE),
    Event("users.messages.line.InboundReceive", "LINE Inbound Receive", MESSAGE),
    Event("users.messages.line.Retry", "LINE Retry", MESSAGE),
    Event("users.messages.line.Send", "LINE Send", MESSAGE),
    Event("users.messages.liveactivity.Outcome", "Live Activity Outcome", MESSAGE),
    Event("users.messages.liveactivity.Send", "Live Activity Send", MESSAGE),
    Event("users.messages.newsfeedcard.Abort", "News Feed Card Abort", MESSAGE),
    Event("users.messages.newsfeedcard.Click", "News Feed Card Click", MESSAGE),
    Event("users.messages.newsfeedcard.Impression", "News Feed Card Impression", MESSAGE),
    Event("users.messages.pushnotification.Abort", "Push Notification Abort", MESSAGE),
    Event("users.messages.pushnotification.Bounce", "Push Notification Bounce", MESSAGE),
    Event("users.messages.pushnotification.InfluencedOpen", "Push Notification Influenced Open", MESSAGE),
    Event("users.messages.pushnotification.IosForeground", "Push Notification iOS Foreground Open", MESSAGE),
    Event("users.messages.pushnotification.Open", "Push Notification Open", MESSAGE),
    Event("users.messages.pushnotification.Retry", "Push Notification Retry", MESSAGE),
    Event("users.messages.pushnotification.Send", "Push Notification Send", MESSAGE),
    Event("users.messages.rcs.Abort", "RCS Abort", MESSAGE),
    Event("users.messages.rcs.Click", "RCS Click", MESSAGE),
    Event("users.messages.rcs.Delivery", "RCS Delivery", MESSAGE),
    Event("users.messages.rcs.InboundReceive", "RCS Inbound Receive", MESSAGE),
    Event("users.messages.rcs.Read", "RCS Read", MESSAGE),
    Event("users.messages.rcs.Rejection", "RCS Rejection", MESSAGE),
    Event("users.messages.rcs.Send", "RCS Send", MESSAGE),
    Event("users.messages.sms.Abort", "SMS Abort", MESSAGE),
    Event("users.messages.sms.CarrierSend", "SMS Send to Carrier", MESSAGE),
    Event("users.messages.sms.Delivery", "SMS Delivery", MESSAGE),
    Event("users.messages.sms.DeliveryFailure", "SMS Delivery Failure", MESSAGE),
    Event("users.messages.sms.InboundReceive", "SMS Inbound Received", MESSAGE),
    Event("users.messages.sms.Rejection", "SMS Rejection", MESSAGE),
    Event("users.messages.sms.Retry", "SMS Retry", MESSAGE),
    Event("users.messages.sms.Send", "SMS Send", MESSAGE),
    Event("users.messages.sms.ShortLinkClick", "SMS Short Link Click", MESSAGE),
    Event("users.messages.survey.Response", "Survey Response", MESSAGE),
    Event("users.messages.webhook.Abort", "Webhook Abort", MESSAGE),
    Event("users.messages.webhook.Failure", "Webhook Failure", MESSAGE),
    Event("users.messages.webhook.Retry", "Webhook Retry", MESSAGE),
    Event("users.messages.webhook.Send", "Webhook Send", MESSAGE),
    Event("users.messages.whatsapp.Abort", "WhatsApp Abort", MESSAGE),
    Event("users.messages.whatsapp.Click", "WhatsApp Tracked Link Click", MESSAGE),
    Event("users.messages.whatsapp.Delivery", "WhatsApp Delivery", MESSAGE),
    Event("users.messages.whatsapp.Failure", "WhatsApp Failure", MESSAGE),
    Event("users.messages.whatsapp.InboundReceive", "WhatsApp Inbound Received", MESSAGE),
    Event("users.messages.whatsapp.Read", "WhatsApp Read", MESSAGE),
    Event("users.messages.whatsapp.Retry", "WhatsApp Retry", MESSAGE),
    Event("users.messages.whatsapp.Send", "WhatsApp Send", MESSAGE),
    Event("users.profile.Update", "Profile Update", BEHAVIOR),
)
# fmt: on

OLDER_SPELLINGS = {
    "users_campaigns_abort": "users.campaigns.Abort",
    "users_canvas_abort": "users.canvas.Abort",
}
"""Event types as Braze's older partner pages spell them."""

CATALOG: Mapping[str, Event] = {event.type: event for event in EVENTS} | {
    older: next(event for event in EVENTS if event.type == newer)
    for older, newer in OLDER_SPELLINGS.items()
}

NO_DEVICE_IN_STORAGE = frozenset(
    {
        "users.behaviors.InstallAttribution",
        "users.behaviors.subscriptiongroup.StateChange",
        "users.campaigns.Conversion",
        "users.campaigns.EnrollInControl",
        "users.canvas.Conversion",
        "users.canvas.Entry",
        "users.messages.email.Bounce",
        "users.messages.email.Click",
        "users.messages.email.Delivery",
        "users.messages.email.MarkAsSpam",
        "users.messages.email.Open",
        "users.messages.email.Send",
        "users.messages.email.SoftBounce",
        "users.messages.email.Unsubscribe",
        "users.messages.sms.CarrierSend",
        "users.messages.sms.Delivery",
        "users.messages.sms.DeliveryFailure",
        "users.messages.sms.Rejection",
        "users.messages.sms.Send",
        "users.messages.sms.ShortLinkClick",
        "users.messages.webhook.Send",
    }
)
"""Types with a device id over HTTP alone: it cannot identify an anonymous user."""

WITHOUT_USER = frozenset({"agentconsole.ToolInvocation"})
"""Types whose events have no user: no id of any kind, in any form."""

WITHOUT_EXTERNAL_ID = WITHOUT_USER | {"users.UserDeleteRequest"}
"""Types whose events have no external id, in any form."""

UNKNOWN_TYPE = "?"
"""Counts every type that the catalog does not know: such a name can be any text."""


def counted_type(event_type: object) -> str:
    """The name under which events of this type are counted."""
    known = isinstance(event_type, str) and event_type in CATALOG
    return str(event_type) if known else UNKNOWN_TYPE
