"""The commands, a module for each group; what they do is in the modules above."""
