"""The local cloud as the page needs it: every fault within reach.

The functions call the vendors through proxies that can kill them, a message whose
consumer was killed comes again after seconds, and the rules of events are a file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.cloud import Cloud
from sandbox.servers.kill_proxy import KillProxy, KillSwitch

RULES_KEY = "rules/currents.json"
PARAMETERS = {"EventRules": RULES_KEY, "WriteGapSeconds": "1"}
"""Syncs are seconds apart here, and this Braze applies each write before it answers."""
REDELIVERY = 3
"""Seconds, in place of the queue's visibility timeout of twelve minutes."""


@dataclass(frozen=True, slots=True)
class Kills:
    """Switches that kill a function just after its next call to a vendor took effect.

    That is the worst moment: the vendor has it, and the bridge does not know.
    """

    consumer: KillSwitch = field(default_factory=KillSwitch)
    importer: KillSwitch = field(default_factory=KillSwitch)


@contextmanager
def live_cloud(build_dir: Path, logs: Path) -> Iterator[tuple[Cloud, Kills]]:
    """A running cloud with an empty rules file; raises TemplateError as `Cloud`."""
    kills = Kills()
    with KillProxy(kills.consumer) as braze, KillProxy(kills.importer) as mixpanel:
        cloud = Cloud(
            build_dir,
            logs=logs,
            parameters=PARAMETERS,
            redelivery=REDELIVERY,
            environment={
                "BRAZE_REST_ENDPOINT": braze.url,
                "MIXPANEL_URL": mixpanel.url,
            },
        )
        with cloud:
            braze.upstream = cloud.description["braze_url"]
            mixpanel.upstream = cloud.description["mixpanel_url"]
            cloud.client("s3").put_object(
                Bucket=cloud.description["resources"]["DataBucket"],
                Key=RULES_KEY,
                Body=b"{}",
            )
            yield cloud, kills
