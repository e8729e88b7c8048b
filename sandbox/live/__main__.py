"""`make live`: the local cloud, and the page beside it, until Ctrl-C."""

import argparse
import shutil
import signal
import sys
from pathlib import Path

from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.description import shown_to_the_command
from sandbox.live.cloud import live_cloud
from sandbox.live.server import PORT, LivePage
from sandbox.live.world import World

LOGS = Path(".sandbox/logs")


def main() -> int:
    """Run until a signal; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.live", description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path(".aws-sam/build"))
    parser.add_argument("--port", type=int, default=PORT, help="of the page")
    parser.add_argument(
        "--tempo", type=float, default=1.0, help="of the pauses; 0.5 halves them"
    )
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    shutil.rmtree(LOGS, ignore_errors=True)
    try:
        with live_cloud(options.build_dir, LOGS) as (cloud, kills):
            world = World(cloud, kills, tempo=options.tempo)
            shown = shown_to_the_command(cloud.description)
            with shown, LivePage(world, options.port) as page:
                sys.stdout.write(f"The page is at {page.url}; Ctrl-C stops it.\n")
                sys.stdout.flush()
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except TemplateError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
