"""A client of botocore that asks nobody: what moto cannot show is shown here.

Requests are checked against botocore's own description of the service, as always.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from bridge.aws import clients
from bridge.aws.dynamodb import unpack

type Request = dict[str, Any]


class Refusal:
    """AWS's answer that is an error; `fields` stand beside the error."""

    def __init__(self, code: str, **fields: Any) -> None:
        self.answer = {"Error": {"Code": code, "Message": "canary"}, **fields}


class ScriptedAws:
    """Answers in turn, the last one for ever; keeps what it was asked."""

    def __init__(self, service: str, *answers: Mapping[str, Any] | Refusal) -> None:
        self.client: Any = clients._session().create_client(
            service,
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self.asked: list[tuple[str, Request]] = []
        self._answers = list(answers)
        self.client.meta.events.register_first("before-parameter-build", self._keep)
        self.client.meta.events.register("before-call", self._answer)

    def requests(self, operation: str) -> list[Request]:
        """What this operation was asked, in order."""
        return [request for name, request in self.asked if name == operation]

    def _keep(self, params: Request, model: Any, **_: Any) -> None:
        # botocore wraps the body of an object.
        plain = {
            name: value.getvalue() if isinstance(value, BytesIO) else deepcopy(value)
            for name, value in params.items()
        }
        self.asked.append((model.name, plain))

    def _answer(self, **_: Any) -> Any:
        more = len(self._answers) > 1
        answer = self._answers.pop(0) if more else self._answers[0]
        if isinstance(answer, Refusal):
            return SimpleNamespace(status_code=400), answer.answer
        return SimpleNamespace(status_code=200), answer


class Write:
    """A write to DynamoDB, with names and values in their places."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._names: dict[str, str] = request["ExpressionAttributeNames"]
        self._values = unpack(request["ExpressionAttributeValues"])
        self.sk: str = request["Key"]["sk"]["S"]

    @property
    def condition(self) -> str:
        """Under which it is carried out, empty for always."""
        return self._in_words(self._request.get("ConditionExpression", ""))

    @property
    def sets(self) -> dict[str, Any]:
        """Attributes that get a value."""
        return self._pairs("(#n[0-9]+) = (:v[0-9]+)", self._clause("SET"))

    @property
    def adds(self) -> dict[str, Any]:
        """Numbers that grow, and sets."""
        return self._pairs("(#n[0-9]+) (:v[0-9]+)", self._clause("ADD"))

    @property
    def deletes(self) -> dict[str, Any]:
        """What is taken out of sets."""
        return self._pairs("(#n[0-9]+) (:v[0-9]+)", self._clause("DELETE"))

    def _clause(self, verb: str) -> str:
        parts = re.split("(SET|ADD|DELETE) ", self._request["UpdateExpression"])
        clauses = dict(zip(parts[1::2], parts[2::2], strict=True))
        return clauses.get(verb, "")

    def _pairs(self, pattern: str, clause: str) -> dict[str, Any]:
        pairs = re.findall(pattern, clause)
        return {self._names[name]: self._values[value] for name, value in pairs}

    def _in_words(self, expression: str) -> str:
        known = self._names | {name: str(v) for name, v in self._values.items()}
        return re.sub("[#:][nv][0-9]+", lambda found: known[found[0]], expression)
