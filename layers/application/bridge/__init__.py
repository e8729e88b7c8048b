"""The bridge between Mixpanel and Braze: cohorts one way, Currents events the other.

Dependencies point one way: flows (`cohorts`, `currents`) → vendors (`mixpanel`,
`braze`) → the foundations beside this file. An import contract keeps it so.
"""

__version__ = "0.1.0"
