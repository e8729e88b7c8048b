"""`make deploy` asks once, checks at once, keeps each answer, and can be repeated.

AWS is moto, and sam only writes down how it was called.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import tomlkit
from moto import mock_aws

from bridge.settings import MAX_ATTRIBUTE_PREFIX
from scripts.deployment import __main__ as deployment
from scripts.deployment import account, parameters, questions
from scripts.deployment.account import DeploymentError
from scripts.deployment.answers import Answers, SamConfig, assignments
from tests.infrastructure.resources import Template

ROOT = Path(__file__).parents[2]
SAM = """#!/usr/bin/env bash
printf '%s\\t' "${ARCHITECTURE:--}" "$AWS_DEFAULT_REGION" "$@" >> "$CALLS"
echo >> "$CALLS"
[ "$1" != "${FAILS:-}" ]
"""
ENDPOINT = "https://rest.fra-02.braze.eu"
FIRST = ["", "eu-west-1", "", "EU", ENDPOINT, "ops@example.com", ""]
"""The answers to a first deployment's questions, in order: profile to the rest."""

STACK = {
    "Parameters": {
        "BrazeRestEndpoint": {"Type": "String"},
        "StreamShards": {"Type": "Number", "Default": "2"},
    },
    "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
}


class Terminal:
    """A user at a terminal, and what the command did."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._calls = folder, folder / "calls"
        self._monkeypatch = monkeypatch
        self.asked: list[str] = []
        sam = folder / ".venv-sam" / "bin" / "sam"
        sam.parent.mkdir(parents=True)
        sam.write_text(SAM)
        sam.chmod(0o755)
        (folder / "aws").write_text("[default]\nregion = eu-central-1\n[profile b]\n")

    def deploy(self, *answers: str | BaseException, **environment: str) -> None:
        """Run the command; raises what stops it."""
        left = list(answers)

        def answer(question: str) -> str:
            self.asked.append(question)
            if not left:
                raise EOFError
            given = left.pop(0)
            if isinstance(given, BaseException):
                raise given
            return given

        self._monkeypatch.setattr("builtins.input", answer)
        deployment.run({"CALLS": str(self._calls), **os.environ, **environment})
        assert left == [], "more answers than questions"

    @property
    def calls(self) -> list[list[str]]:
        """Each call of sam: architecture, region, and its arguments."""
        if not self._calls.exists():
            return []
        return [each.split("\t")[:-1] for each in self._calls.read_text().splitlines()]

    def saved(self, environment: str = "default") -> Answers:
        return SamConfig(self.folder / "samconfig.toml").read(environment)

    def stack(self, name: str, template: Any = None, **values: str) -> None:
        """Create one, as an earlier deployment would have."""
        boto3.client("cloudformation", "eu-west-1").create_stack(
            StackName=name,
            TemplateBody=json.dumps(template or STACK),
            Parameters=[
                {"ParameterKey": k, "ParameterValue": v} for k, v in values.items()
            ],
        )


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in [*os.environ]:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    made = Terminal(tmp_path, monkeypatch)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        yield made


def option(call: list[str], name: str) -> str:
    return call[call.index(name) + 1]


def test_a_first_deployment_asks_little_and_sam_asks_nothing(
    terminal: Terminal,
) -> None:
    terminal.deploy(*FIRST)
    assert len(terminal.asked) == len(FIRST)
    build, deploy = terminal.calls
    assert build[:3] == ["arm64", "eu-west-1", "build"]
    assert deploy[:3] == ["arm64", "eu-west-1", "deploy"]
    assert option(deploy, "--template-file") == ".aws-sam/deploy-arm64/template.yaml"
    assert option(deploy, "--config-env") == "default"
    assert option(deploy, "--config-file") == str(terminal.folder / "samconfig.toml")
    assert option(deploy, "--on-failure") == "DELETE"
    assert "--guided" not in deploy
    assert "--no-confirm-changeset" in deploy
    answers = terminal.saved()
    assert answers.places["region"] == "eu-west-1"
    assert answers.places["stack_name"] == "mixpanel-braze-bridge"
    assert answers.parameters == {
        "MixpanelRegion": "EU",
        "BrazeRestEndpoint": ENDPOINT,
        "AlarmEmail": "ops@example.com",
        "Architecture": "arm64",
    }


def test_the_users_own_region_is_offered(terminal: Terminal) -> None:
    terminal.deploy(*FIRST)
    assert "Into which AWS region? [eu-central-1]" in terminal.asked[1]


def test_the_second_deployment_asks_nothing(terminal: Terminal) -> None:
    terminal.deploy(*FIRST)
    asked = len(terminal.asked)
    terminal.deploy()
    assert len(terminal.asked) == asked
    assert len(terminal.calls) == 4


def test_one_parameter_is_changed_by_one_command(terminal: Terminal) -> None:
    terminal.deploy(*FIRST)
    terminal.deploy(SET='StreamShards=2 "CohortAttribute=my cohorts"')
    changed = terminal.saved().parameters
    assert (changed["StreamShards"], changed["CohortAttribute"]) == ("2", "my cohorts")
    assert changed["AlarmEmail"] == "ops@example.com"


def test_a_first_deployment_can_do_without_a_terminal(terminal: Terminal) -> None:
    places = {"profile": "", "region": "eu-west-1", "stack_name": "from-a-robot"}
    SamConfig(terminal.folder / "samconfig.toml").write("default", Answers(places))
    given = f"MixpanelRegion=EU BrazeRestEndpoint={ENDPOINT} AlarmEmail="
    terminal.deploy(SET=given)
    assert terminal.saved().parameters["AlarmEmail"] == ""
    with pytest.raises(DeploymentError, match="nobody answers"):
        terminal.deploy(CONFIG_ENV="another")


WRONG = ["", "http://rest.iad-01.braze.com", ENDPOINT + "/", "rest.iad-01.braze.com"]


def test_a_wrong_answer_is_said_at_once_and_asked_again(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ["nobody", "", "mars", "eu-west-1", "2 words", "", "XX", "EU", *WRONG]
    terminal.deploy(*answers, ENDPOINT, "no address", "", "")
    said = capsys.readouterr().out
    assert "'nobody' is none of default, b" in said
    assert "'mars' must look like eu-central-1" in said
    assert "'2 words' must begin with a letter" in said
    assert "'XX' must be one of US, EU, IN" in said
    assert said.count("must look like https://rest.iad-01.braze.com") == len(WRONG)
    assert terminal.saved().parameters["BrazeRestEndpoint"] == ENDPOINT


def test_an_answer_is_kept_though_the_next_question_is_broken_off(
    terminal: Terminal,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        terminal.deploy(*FIRST[:4], KeyboardInterrupt())
    asked = len(terminal.asked)
    terminal.deploy(ENDPOINT, "")
    assert len(terminal.asked) == asked + 2
    assert terminal.saved().parameters["MixpanelRegion"] == "EU"
    assert len(terminal.calls) == 2


@pytest.mark.parametrize("command", ["build", "deploy"])
def test_after_a_failure_of_sam_the_same_command_goes_on(
    terminal: Terminal, command: str
) -> None:
    with pytest.raises(DeploymentError, match=f"sam {command} failed"):
        terminal.deploy(*FIRST, FAILS=command)
    asked = len(terminal.asked)
    terminal.deploy()
    assert len(terminal.asked) == asked
    assert terminal.calls[-1][2] == "deploy"


def test_a_build_that_failed_is_not_deployed(terminal: Terminal) -> None:
    with pytest.raises(DeploymentError):
        terminal.deploy(*FIRST, FAILS="build")
    assert [call[2] for call in terminal.calls] == ["build"]


def test_a_build_alone_asks_and_deploys_nothing(terminal: Terminal) -> None:
    terminal.deploy(ONLY_BUILD="1")
    assert (terminal.asked, [call[2] for call in terminal.calls]) == ([], ["build"])


def test_all_parameters_are_asked_on_request(
    terminal: Terminal, template: Template
) -> None:
    others = set(template["Parameters"]) - {*questions.ESSENTIAL, "Architecture"}
    terminal.deploy(*FIRST[:-1], "y", *("" for _ in others))
    asked = {question.partition(":")[0] for question in terminal.asked}
    assert others <= asked
    saved = terminal.saved().parameters
    for name in others:
        assert saved[name] == str(template["Parameters"][name]["Default"])


# Brands


def test_another_brand_is_asked_anew_and_changes_nothing_of_the_first(
    terminal: Terminal,
) -> None:
    terminal.deploy(*FIRST)
    before = terminal.saved()
    other = [*FIRST[:4], "https://rest.iad-01.braze.com", "", ""]
    terminal.deploy(*other, CONFIG_ENV="brand-b")
    assert terminal.saved() == before
    theirs = terminal.saved("brand-b")
    assert theirs.places["stack_name"] == "mixpanel-braze-bridge-brand-b"
    assert theirs.parameters["BrazeRestEndpoint"] == "https://rest.iad-01.braze.com"
    assert option(terminal.calls[-1], "--config-env") == "brand-b"


def test_two_environments_never_share_a_stack(terminal: Terminal) -> None:
    terminal.deploy(*FIRST)
    taken = [*FIRST[:2], "mixpanel-braze-bridge"]
    with pytest.raises(
        DeploymentError, match="is the stack of the environment default"
    ):
        terminal.deploy(*taken, CONFIG_ENV="brand-b")
    assert len(terminal.calls) == 2


def test_a_stack_that_is_no_bridge_is_left_alone(terminal: Terminal) -> None:
    other = {
        "Parameters": {"Size": {"Type": "String", "Default": "1"}},
        "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
    }
    terminal.stack("mixpanel-braze-bridge", other)
    with pytest.raises(DeploymentError, match="no bridge: choose another name"):
        terminal.deploy(*FIRST[:3])
    assert terminal.calls == []


def test_comments_and_other_sections_of_samconfig_stay(terminal: Terminal) -> None:
    text = "# mine\nversion = 0.1\n\n[default.build.parameters]\nparallel = true # so\n"
    (terminal.folder / "samconfig.toml").write_text(text)
    terminal.deploy(*FIRST)
    assert (terminal.folder / "samconfig.toml").read_text().startswith(text)


@pytest.mark.parametrize(
    "written",
    [
        'A="x" B="y z" C=1',
        ["A=x", 'B="y z"', "C=1"],
        {"A": "x", "B": "y z", "C": 1},
        "A=x B='y z' C=\"1\"",
    ],
)
def test_overrides_are_read_however_sam_has_them(tmp_path: Path, written: Any) -> None:
    document = {"default": {"deploy": {"parameters": {"parameter_overrides": written}}}}
    (tmp_path / "samconfig.toml").write_text(tomlkit.dumps(document))
    read = SamConfig(tmp_path / "samconfig.toml").read("default")
    assert read.parameters == {"A": "x", "B": "y z", "C": "1"}


def test_sam_reads_the_answers_as_they_were_given(tmp_path: Path) -> None:
    given = {"A": "x y", "B": "", "C": "2", "D": "$a=b,c:d"}
    SamConfig(tmp_path / "s.toml").write("default", Answers({}, given))
    code = (
        "import sys, json\n"
        "from samcli.lib.config.samconfig import SamConfig\n"
        "from samcli.cli.types import CfnParameterOverridesType\n"
        "config = SamConfig(*sys.argv[1:])\n"
        "found = config.get_all(['deploy'], 'parameters', 'default')\n"
        "value = found['parameter_overrides']\n"
        "print(json.dumps(CfnParameterOverridesType().convert(value, None, None)))\n"
    )
    python = ROOT / ".venv-sam" / "bin" / "python"
    said = subprocess.run(  # noqa: S603
        [python, "-c", code, str(tmp_path), "s.toml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(said) == given


# Architecture


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_what_is_built_is_what_is_deployed(
    terminal: Terminal, architecture: str
) -> None:
    terminal.deploy(*FIRST, ARCHITECTURE=architecture)
    build, deploy = terminal.calls
    assert (build[0], deploy[0]) == (architecture, architecture)
    assert option(build, "--build-dir") == f".aws-sam/deploy-{architecture}"
    # SAM's cache would hand out the layer of the other architecture.
    assert option(build, "--cache-dir") == f".aws-sam/cache-{architecture}"
    assert terminal.saved().parameters["Architecture"] == architecture
    terminal.deploy()
    assert terminal.calls[-1][0] == architecture, "and it stays"


# Checks by the template's own words


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("BrazeRestEndpoint=https://example.org", "must look like"),
        ("MixpanelRegion=eu", "must be one of US, EU, IN"),
        ("StreamShards=0", "must be at least 1"),
        ("StreamShards=many", "must be a number"),
        ("MaxRemovalFraction=2", "must be at most 1"),
        ("Nothing=1", "has no parameter Nothing"),
        ('"BrazeWorkspace=it\'s"', "quotation mark"),
        ("CohortRoute=partner Identifiers=email=email", "Identifiers has email"),
        ("CohortRoute=partner Identifiers=device=d,phone=p", "Identifiers has phone"),
        ("CohortForm=boolean CohortAttribute=" + "a" * 151, "CohortAttribute has more"),
    ],
)
def test_a_change_is_checked_before_anything_is_built(
    terminal: Terminal, given: str, says: str
) -> None:
    terminal.deploy(*FIRST)
    before = (terminal.folder / "samconfig.toml").read_text()
    with pytest.raises(DeploymentError, match=says):
        terminal.deploy(SET=given)
    assert len(terminal.calls) == 2
    assert (terminal.folder / "samconfig.toml").read_text() == before


def test_good_values_have_no_problem() -> None:
    read = parameters.read_parameters(ROOT / "template.yaml")
    good = {
        "CohortRoute": "partner",
        "Identifiers": "alias:email=a,external_id=email",
        "MaxRemovalFraction": "0.25",
        "EventRules": "rules/currents.json",
    }
    assert [*parameters.problems(read, good)] == []
    assert parameters.MAX_ATTRIBUTE_PREFIX == MAX_ATTRIBUTE_PREFIX


def test_defaults_of_the_template_pass_its_own_checks() -> None:
    for name, parameter in parameters.read_parameters(ROOT / "template.yaml").items():
        if parameter.default is not None:
            assert parameter.problem(parameter.default) == "", name


@pytest.mark.parametrize(
    ("present", "wanted", "steps"),
    [
        (1, 1, []),
        (1, 2, [2]),
        (1, 3, [2, 3]),
        (1, 8, [2, 4, 8]),
        (5, 3, [3]),
        (5, 2, [3, 2]),
        (8, 1, [4, 2, 1]),
        (3, 6, [6]),
    ],
)
def test_shards_double_or_halve_at_most(
    present: int, wanted: int, steps: list[int]
) -> None:
    assert parameters.shard_steps(present, wanted) == steps


@pytest.mark.parametrize(
    ("shards", "steps"), [(5, [4, 5]), (8, [4, 8]), (4, []), (1, []), (3, [])]
)
def test_more_shards_than_kinesis_takes_at_once_are_refused_with_the_steps(
    terminal: Terminal, shards: int, steps: list[int]
) -> None:
    name = "mixpanel-braze-bridge"
    terminal.stack(name, BrazeRestEndpoint=ENDPOINT, StreamShards="2")
    terminal.deploy(*FIRST[:-1])
    if not steps:
        terminal.deploy(SET=f"StreamShards={shards}")
        return
    with pytest.raises(DeploymentError) as caught:
        terminal.deploy(SET=f"StreamShards={shards}")
    way = ", then ".join(f'make deploy SET="StreamShards={n}"' for n in steps)
    assert str(caught.value).endswith(way)
    assert "StreamShards" not in terminal.saved().parameters


def test_answers_of_a_stack_that_exists_are_offered(terminal: Terminal) -> None:
    """On another machine, or where samconfig.toml was lost."""
    terminal.stack("mixpanel-braze-bridge", BrazeRestEndpoint=ENDPOINT)
    terminal.deploy(*FIRST[:4], "", "")
    assert terminal.saved().parameters["BrazeRestEndpoint"] == ENDPOINT
    assert "--on-failure" not in terminal.calls[-1]


# What an earlier try left


class Stacks:
    """An account whose stack goes through these statuses."""

    def __init__(self, *statuses: str) -> None:
        self._statuses = list(statuses)
        self.deleted: list[str] = []

    def stack(self, name: str) -> account.Present:
        more = len(self._statuses) > 1
        status = self._statuses.pop(0) if more else self._statuses[0]
        return account.Present(status)

    def delete_stack(self, name: str) -> None:
        self.deleted.append(name)


def ready(*statuses: str) -> tuple[account.Present, list[str], list[str]]:
    stacks: Any = Stacks(*statuses)
    said: list[str] = []
    present = account.when_ready(stacks, "s", said.append, lambda _: None)
    return present, stacks.deleted, said


def test_a_deployment_goes_on_from_whatever_an_earlier_one_left() -> None:
    assert ready("")[1] == []
    assert ready("REVIEW_IN_PROGRESS")[0].exists is False
    assert ready("UPDATE_COMPLETE")[0].exists
    assert ready("UPDATE_ROLLBACK_COMPLETE")[0].exists
    present, deleted, said = ready("CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "X")
    assert (present.status, deleted) == ("X", [])
    assert len(said) == 1
    for failed in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"):
        present, deleted, said = ready(failed, "DELETE_IN_PROGRESS", "")
        assert (present.exists, deleted) == (False, ["s"])


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"])
def test_where_only_a_person_helps_it_is_said_how(status: str) -> None:
    with pytest.raises(DeploymentError, match=r"events say why"):
        ready(status)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("NoCredentialsError", "no AWS credentials"),
        ("ProfileNotFound", "no such profile"),
        ("EndpointConnectionError", "cannot be reached"),
        ("ExpiredToken", "have expired"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("AccessDenied", "denied DescribeStacks: AccessDenied"),
    ],
)
def test_an_account_that_cannot_be_used_is_said_before_anything_is_built(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    from botocore import exceptions
    from botocore.client import BaseClient

    made = getattr(exceptions, kind, None)
    if made is None:
        answer: Any = {"Error": {"Code": kind, "Message": "canary"}}
        error: Exception = exceptions.ClientError(answer, "DescribeStacks")
    else:
        error = made(profile="p", endpoint_url="canary")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(BaseClient, "_make_api_call", fail)
    with pytest.raises(DeploymentError, match=says) as caught:
        terminal.deploy(*FIRST[:3])
    assert "canary" not in str(caught.value)
    assert terminal.calls == []
    assert terminal.saved().places["region"] == "eu-west-1", "and is not asked again"


def test_the_command_says_what_is_wrong_in_one_line(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert deployment.main() == 1
    assert capsys.readouterr().err.startswith("not deployed: nobody answers")


def test_set_needs_pairs() -> None:
    assert assignments('A=1 "B=x y" C=') == {"A": "1", "B": "x y", "C": ""}
    with pytest.raises(ValueError, match="NAME=VALUE"):
        assignments("A")


def made(folder: Path, *words: str, **environment: str) -> list[str]:
    """What `make deploy` hands on: SET, and the region, of which it says nothing."""
    for name in ("Makefile", *(f"requirements-{n}.txt" for n in ("uv", "dev", "sam"))):
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "scripts").mkdir()
    (folder / "scripts" / "python").write_text("")
    script = folder / "scripts" / "deploy"
    script.write_text(
        '#!/usr/bin/env bash\necho "$SET"; echo "${AWS_DEFAULT_REGION-}"\n'
    )
    script.chmod(0o755)
    for name in (".venv", ".venv-sam"):
        (folder / name).mkdir()
        (folder / name / "ready").write_text("")
    ran = subprocess.run(  # noqa: S603
        ["make", "deploy", *words],  # noqa: S607
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_make_hands_on_what_is_set_and_no_region_of_its_own(tmp_path: Path) -> None:
    changes = 'Identifiers=device=$d,external_id=$(x) "CohortAttribute=a b"'
    assert made(tmp_path, f"SET={changes}") == [changes, ""]


def test_make_leaves_the_users_region(tmp_path: Path) -> None:
    assert made(tmp_path, AWS_DEFAULT_REGION="eu-west-3") == ["", "eu-west-3"]
