"""Stream → Mixpanel."""
