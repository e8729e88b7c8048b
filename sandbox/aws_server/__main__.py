"""`python -m sandbox.aws_server PORT`: serve until the process ends."""

from sandbox.aws_server.server import main

main()
