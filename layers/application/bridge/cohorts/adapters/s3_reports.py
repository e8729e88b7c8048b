"""The reports of cohort syncs in S3: CSV, one object for each part of a sync."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, override

from bridge.aws.clients import answering
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.reports import Reports
from bridge.cohorts.rules.identifiers import KINDS, Identifier
from bridge.cohorts.rules.outcomes import ReportRow

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = ("identifier", "kind", "distinct_id", "outcome", "reason")

_WORDS = {kind: word for word, kind in KINDS.items()}


class S3Reports(Reports):
    """Stores parts under `reports/` of the data bucket, where they expire."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    @override
    def write(
        self, key: CohortKey, sync: str, part: str, rows: Sequence[ReportRow]
    ) -> None:
        with answering("report_store"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"{report_prefix(key)}{sync}/{part}.csv",
                Body=write_csv(rows),
                ContentType="text/csv; charset=utf-8",
            )


def report_prefix(key: CohortKey) -> str:
    """The folder of a cohort's reports."""
    return f"reports/{key.place.replace('#', '/')}/"


def write_csv(rows: Sequence[ReportRow]) -> bytes:
    """The lines of a report in UTF-8, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_cells, rows))
    return text.getvalue().encode(errors="replace")


def _cells(row: ReportRow) -> tuple[str, ...]:
    identifier = Identifier.from_key(row.key) if row.key else None
    value = identifier.value if identifier else ""
    kind = _WORDS[identifier.kind] if identifier else ""
    return value, kind, row.distinct_id, row.outcome, row.reason
