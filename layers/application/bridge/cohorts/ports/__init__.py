"""What the cohort flow needs of the outside world; adapters are real or in memory.

Every method raises `RetryableError` when its store does not answer. Each port has a
module of its own: a function loads those that it uses.
"""
