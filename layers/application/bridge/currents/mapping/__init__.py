"""One Currents event → one Mixpanel event (pure)."""
