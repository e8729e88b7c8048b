"""The local cloud: a built template running on one machine, without an account.

It exists so that what is tried locally is what would be deployed: the same template,
the same handlers under AWS's own runtime client, the same rules of the mappings.
"""
