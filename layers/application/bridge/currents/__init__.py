"""The flow of events from Braze to Mixpanel."""
