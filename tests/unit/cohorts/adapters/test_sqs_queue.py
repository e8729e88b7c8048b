"""What is asked of SQS for a message."""

import pytest

from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.cohort_messages import (
    MeasureRemovalMessage,
    Message,
    ReleaseMessage,
    RescanMessage,
)
from bridge.cohorts.messages import CohortKey, PageMessage, write
from bridge.errors import RetryableError
from bridge.mixpanel.cohort_webhook import Action
from tests.unit.scripted_aws import Refusal, ScriptedAws

KEY = CohortKey(project="33", cohort="7")


PAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="d")


URL = "https://queue.example/cohorts.fifo"


@pytest.mark.parametrize(
    "message",
    [
        PAGE,
        RescanMessage(key=KEY),
        MeasureRemovalMessage(key=KEY, seq=5),
        ReleaseMessage(key=KEY, seq=5),
    ],
    ids=lambda message: message.kind,
)
def test_a_message_names_its_cohort_as_the_group_and_itself(message: Message) -> None:
    aws = ScriptedAws("sqs", {"MessageId": "m"})
    SqsQueue(aws.client, URL).send(message)
    assert aws.requests("SendMessage") == [
        {
            "QueueUrl": URL,
            "MessageBody": write(message),
            "MessageGroupId": KEY.group,
            "MessageDeduplicationId": message.deduplication_id,
        }
    ]


def test_an_error_of_the_queue_does_not_repeat_what_sqs_says() -> None:
    aws = ScriptedAws("sqs", Refusal("AWS.SimpleQueueService.QueueDeletedRecently"))
    with pytest.raises(RetryableError) as caught:
        SqsQueue(aws.client, URL).send(PAGE)
    assert caught.value.reason == "queue_unavailable"
    assert "canary" not in f"{caught.value!r}"
