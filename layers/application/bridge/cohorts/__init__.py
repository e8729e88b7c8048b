"""The flow of cohorts from Mixpanel to Braze."""
