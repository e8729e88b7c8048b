"""`make live`: the two flows on a page, beside the local cloud.

`world` is what a person does there, `readings` what is read of the stand-ins, the
ledger, the queues and the functions' logs, `state` the one place that computes the
page's figures from those, `tour` the six scenes, and `server` serves it with the files
of `page`. Nothing of it is deployed, and no other part of the sandbox imports it.
"""
