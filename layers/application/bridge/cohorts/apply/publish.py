"""Tell Braze the name of a cohort, and notice that the destination has changed."""

from collections import Counter

from bridge.cohorts.apply.context import Context
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.model import Cohort
from bridge.errors import Rejected


def publish(context: Context, key: CohortKey, cohort: Cohort) -> Counter[str]:
    """Publish the cohort's name; if the destination changed, queue a rescan.

    Nothing is known of what another destination holds, so all members are compared.
    The answer counts a rejection of the name, by reason.
    """
    destination = context.route.destination()
    has_moved = cohort.destination != destination
    if not has_moved and cohort.published_name == cohort.name:
        return Counter()
    rejected: Counter[str] = Counter()
    if cohort.name:
        try:
            context.route.name(key.cohort, cohort.name)
        except Rejected as error:
            # The members matter more than what Braze calls the cohort.
            rejected[error.reason] += 1
    if has_moved and cohort.destination:
        context.queue.send(
            RescanMessage(
                key=key,
                baseline=cohort.baseline,
                # A change back within minutes is another one.
                destination=f"{destination} {cohort.revision}",
            )
        )
    context.ledger.publish(key, destination, cohort.name)
    return rejected
