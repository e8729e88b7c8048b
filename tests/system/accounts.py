"""The accounts of the cohort flow, read from where the bridge keeps them.

Every page that was answered 2xx is processed, in the queue, or in quarantine. The
ledger says which pages were registered and processed, the bucket what was in them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from boto3.dynamodb.types import TypeDeserializer

from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.messages import CohortKey
from bridge.quarantine import QuarantinedItem, from_lines
from sandbox.cloud import Cloud
from tests.system.syncs import PageSent

_plain = TypeDeserializer().deserialize


@dataclass
class CohortAccount:
    """The pages of one cohort in the ledger, by sync."""

    accepted: set[tuple[str, str]] = field(default_factory=set)
    processed: set[tuple[str, str]] = field(default_factory=set)
    registered: set[PageSent] = field(default_factory=set)


def accounts(cloud: Cloud, cohorts: Iterable[CohortKey]) -> dict[str, CohortAccount]:
    """What the ledger holds, by cohort id; registered pages with their members.

    A sync's counts must be those of its pages.
    """
    names = {f"C#{quote(k.project)}#{quote(k.cohort)}": k for k in cohorts}
    bucket = cloud.description["resources"]["DataBucket"]
    store = S3PageStore(cloud.client("s3"), bucket)
    found: dict[str, CohortAccount] = defaultdict(CohortAccount)
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    for item in _items(cloud):
        key = names.get(item["pk"])
        kind, _, rest = item["sk"].partition("#")
        if key is None:
            continue
        account = found[key.cohort]
        if kind == "S":
            counted[key.cohort, rest] = (
                sum(
                    int(value)
                    for name, value in item.items()
                    if name.startswith("accepted_")
                ),
                int(item.get("processed", 0)),
            )
        elif kind == "P":
            seq, action, page = rest.split("#")
            account.accepted.add((seq, f"{action} {page}"))
            if item.get("processed"):
                account.processed.add((seq, f"{action} {page}"))
            members = store.get(key, item["digest"])
            # Without page_info its name is of twelve hexadecimal digits.
            number = int(page) if len(page) < 12 else None
            ids = frozenset(member.distinct_id for member in members)
            account.registered.add(PageSent(action, number, ids))
    for (cohort, seq), numbers in counted.items():
        account = found[cohort]
        pages = (account.accepted, account.processed)
        assert numbers == tuple(sum(p[0] == seq for p in each) for each in pages)
    return found


def cohorts_in_ledger(cloud: Cloud) -> set[str]:
    """The ids of all cohorts that ever got a page."""
    return {
        item["pk"].rpartition("#")[2]
        for item in _items(cloud)
        if item["pk"].startswith("C#")
    }


def _items(cloud: Cloud) -> Iterable[dict[str, Any]]:
    table = cloud.description["resources"]["LedgerTable"]
    pages = cloud.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            yield {name: _plain(value) for name, value in item.items()}


def waiting(cloud: Cloud, queue: str = "CohortQueue") -> int:
    """Messages in a queue, visible or in flight."""
    answer = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.description["resources"][queue], AttributeNames=["All"]
    )["Attributes"]
    return int(answer["ApproximateNumberOfMessages"]) + int(
        answer["ApproximateNumberOfMessagesNotVisible"]
    )


def quarantine(cloud: Cloud, flow: str = "cohorts") -> list[QuarantinedItem]:
    """What one of the flows has put into quarantine."""
    s3 = cloud.client("s3")
    bucket = cloud.description["resources"]["DataBucket"]
    pages = s3.get_paginator("list_objects_v2")
    return [
        item
        for page in pages.paginate(Bucket=bucket, Prefix=f"quarantine/{flow}/")
        for entry in page.get("Contents", ())
        for item in from_lines(
            s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        )
    ]


def quarantined_pages(cloud: Cloud) -> Counter[str]:
    """How many accepted pages were quarantined later, by cohort id."""
    found: Counter[str] = Counter()
    for item in quarantine(cloud):
        try:
            message = json.loads(item.original)
            found[message["key"]["cohort"]] += message["kind"] == "page"
        except (ValueError, TypeError, KeyError):
            continue  # a malformed body, which was never answered 2xx
    return found
