"""The operator's command on a local cloud with something to see on every screen."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import OpenPush
from cli.__main__ import main
from sandbox.cloud import Cloud
from tests.system import scene
from tests.system.scene import BLOCKED, ENDED, LEFT, NAMELESS, TRIAL, UNKNOWN

type Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def stage(built: Path) -> Iterator[Cloud]:
    with Cloud(built, parameters=scene.PARAMETERS) as cloud:
        scene.play(cloud)
        yield cloud


@pytest.fixture
def bridge(stage: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command on this cloud: its exit status, and what it said."""
    path = tmp_path / "description.json"
    path.write_text(json.dumps(stage.description))

    def run(*command: str) -> tuple[int, str]:
        capsys.readouterr()
        words = " ".join(command).split()
        status = main([*words, "--description", str(path)])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return status, said.out if "--json" in words else said.out + said.err

    return run


def in_braze(stage: Cloud, cohort: str = TRIAL) -> set[str]:
    braze: Any = stage.braze
    value = f"mixpanel_{cohort}"
    found: set[str] = braze.workspace.cohort_members("mixpanel_cohorts", value)
    return found


def cohort_of(stage: Cloud) -> Any:
    mixpanel: Any = stage.mixpanel
    return mixpanel.cohorts[TRIAL]


def counts(said: str) -> dict[str, int]:
    """The lines that begin with a number."""
    lines = (line.split(maxsplit=1) for line in said.splitlines() if line.strip())
    return {
        words[1]: int(words[0].replace(",", ""))
        for words in lines
        if len(words) == 2 and words[0].replace(",", "").isdecimal()
    }


def test_status_shows_both_flows_with_the_counts_of_mixpanel(bridge: Run) -> None:
    status, said = bridge("status --json")
    assert status == 0
    seen = json.loads(said)
    (trial,) = [each for each in seen["cohorts"] if each["cohort"] == TRIAL]
    assert seen["mixpanel"][TRIAL] == scene.PEOPLE
    assert (trial["members"], trial["skipped"]) == (118, {"no_identifier": 1})
    assert sum(trial["rejected"].values()) == 1
    events = seen["events"]
    assert events["received"] == 400
    assert events["quarantined"] == {"bad_time": 4, "no_event_type": 2}
    assert events["received"] == events["delivered"] + sum(
        [*events["filtered"].values(), *events["quarantined"].values()]
    )
    status, said = bridge("status")
    assert "Trial, day 10" in said
    assert "skipped in 8120045: no_identifier" in said


@pytest.mark.parametrize(
    ("user", "state", "reason"),
    [
        (BLOCKED, "rejected", "braze_blacklisted_external_user_id"),
        ("d9", "rejected", "braze_blacklisted_external_user_id"),
        (LEFT, "out", ""),
        (NAMELESS, "skipped", "no_identifier"),
        ("nobody", "unknown", ""),
        ("u1", "in", ""),
    ],
)
def test_members_says_why_a_person_is_not_in(
    bridge: Run, user: str, state: str, reason: str
) -> None:
    status, said = bridge(f"members {TRIAL} --user {user} --json")
    answer = json.loads(said)
    assert (answer["state"], answer["reason"]) == (state, reason)
    assert answer["why"]
    assert status == 0


def test_members_lists_each_state_and_all_of_them(bridge: Run) -> None:
    by_state = {}
    for state in ("in", "out", "skipped", "rejected", "waiting"):
        _, said = bridge(f"members {TRIAL} --{state} --json")
        rows = [json.loads(line) for line in said.splitlines()]
        assert {row["state"] for row in rows} <= {state}
        by_state[state] = len(rows)
    assert by_state == {"in": 118, "out": 1, "skipped": 1, "rejected": 1, "waiting": 0}
    _, said = bridge(f"members {TRIAL} --json")
    assert len(said.splitlines()) == sum(by_state.values())


def test_a_plan_changes_nothing(stage: Cloud, bridge: Run) -> None:
    def everything() -> Any:
        dynamodb, s3 = stage.client("dynamodb"), stage.client("s3")
        resources = stage.description["resources"]
        listed = s3.list_objects_v2(Bucket=resources["DataBucket"])["Contents"]
        return (
            dynamodb.scan(TableName=resources["LedgerTable"])["Items"],
            [(each["Key"], each["ETag"]) for each in listed],
            dict(stage.braze.workspace.calls),  # type: ignore[union-attr]
        )

    before = everything()
    for name in ("cohort_webhook_full_sync", "cohort_webhook_partner_users"):
        status, said = bridge(f"plan events/{name}.json --json")
        assert status == 0
        assert json.loads(said.splitlines()[0])["requests"]
    status, said = bridge("plan events/currents_receiver.json --json")
    assert json.loads(said)["events"] == 5
    stage.drain(60)
    assert everything() == before


def test_a_planned_request_is_the_one_that_is_made(
    stage: Cloud, bridge: Run, tmp_path: Path
) -> None:
    """A page whose members Braze holds already asks for no call."""
    page = {
        "action": "add_members",
        "parameters": {
            "mixpanel_project_id": cohort_of(stage).project_id,
            "mixpanel_cohort_id": TRIAL,
            "mixpanel_cohort_name": "Trial, day 10",
            "mixpanel_session_id": "a-plan",
            "page_info": {"total_pages": 1, "page_count": 1},
            "members": [
                {"mixpanel_distinct_id": "d1", "$braze_external_id": "u1"},
                {"mixpanel_distinct_id": "d7", "$braze_external_id": LEFT},
            ],
        },
    }
    path = tmp_path / "page.json"
    path.write_text(json.dumps(page))
    _, said = bridge(f"plan {path} --json")
    planned = json.loads(said)
    assert planned["outcomes"] == {"added": 1, "no-op": 1}
    (request,) = planned["requests"]
    assert request["path"] == "/users/track"
    assert request["body"]["attributes"] == [
        {
            "mixpanel_cohorts": {"add": ["mixpanel_8120045"]},
            "external_id": LEFT,
            "_update_existing_only": True,
        }
    ]


def test_a_plan_with_other_rules_shows_the_difference(
    bridge: Run, tmp_path: Path
) -> None:
    rules = tmp_path / "new.json"
    rules.write_text('{"exclude": ["users.messages.email.Click"]}')
    files = "events/currents_receiver.json events/currents_loader.avro"
    status, said = bridge(f"plan --rules {rules} {files} --json")
    assert status == 3
    changes = {each["kind"]: each for each in json.loads(said)["changes"]}
    # What the present rules exclude is delivered again.
    assert changes["users.messages.email.Open"]["after"].startswith("delivered")
    assert changes["users.messages.email.Click"]["after"].startswith("filtered")
    assert set(changes) == {"users.messages.email.Open", "users.messages.email.Click"}


def test_rules_are_put_in_place_after_a_check(
    stage: Cloud, bridge: Run, tmp_path: Path
) -> None:
    s3, bucket = stage.client("s3"), stage.description["resources"]["DataBucket"]

    def in_force() -> Any:
        key = scene.PARAMETERS["EventRules"]
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_text('{"exlude": []}')
    good.write_text('{"exclude": ["users.canvas.Entry"]}')
    assert bridge(f"rules put {bad} --yes")[0] == 1
    assert in_force() == scene.RULES
    assert bridge(f"rules put {good} --yes")[0] == 0
    assert in_force() == {"exclude": ["users.canvas.Entry"]}
    good.write_text(json.dumps(scene.RULES))
    assert bridge(f"rules put {good} --yes")[0] == 0


def test_a_ledger_that_is_as_mixpanel_says_reconciles(
    bridge: Run, tmp_path: Path
) -> None:
    status, said = bridge(f"reconcile {TRIAL} --state {tmp_path}")
    assert status == 0
    assert counts(said)["in both"] == 118
    assert bridge("reconcile")[0] == 0


def test_what_a_sync_never_said_is_found_and_fed(
    stage: Cloud, bridge: Run, tmp_path: Path
) -> None:
    """As after an answer that was lost: Mixpanel believes it has told us."""
    members = cohort_of(stage).members
    gone = members.pop("d5")
    members["d122"] = {"$braze_external_id": "u122"}
    try:
        status, said = bridge(f"reconcile {TRIAL} --list --json --state {tmp_path}")
        assert status == 3
        rows = [json.loads(line) for line in said.splitlines()]
        assert {row["identifier"]: row["what"] for row in rows[:-1]} == {
            "u5": "surplus",
            "u122": "lacking",
        }
        status, said = bridge(f"reconcile {TRIAL} --apply --state {tmp_path}")
        assert status == 0
        stage.drain(60)
        assert "u5" not in in_braze(stage)
        assert "u122" in in_braze(stage)
        assert bridge(f"reconcile {TRIAL} --state {tmp_path}")[0] == 0
        # The connection is the one that was there: no second sender is seen.
        assert "two connections" not in bridge("cohorts")[1]
    finally:
        members["d5"] = gone
        del members["d122"]
    scene.sync(stage, TRIAL)
    assert bridge(f"reconcile {TRIAL} --apply --state {tmp_path}")[0] == 0
    stage.drain(60)
    assert "u5" in in_braze(stage)


def test_a_sync_that_came_while_the_list_was_fetched_is_not_undone(
    stage: Cloud, bridge: Run, tmp_path: Path
) -> None:
    """u6 leaves after the list was fetched, and Mixpanel has said so."""
    # Somebody whom the ledger lacks, so that there is something to feed.
    assert bridge("forget u20 --apply --yes")[0] == 0
    assert bridge(f"reconcile {TRIAL} --state {tmp_path}")[0] == 3
    members = cohort_of(stage).members
    gone = members.pop("d6")
    scene.sync(stage, TRIAL)
    status, said = bridge(f"reconcile {TRIAL} --apply --state {tmp_path}")
    assert status == 0
    assert counts(said)["changed since"] == 1
    stage.drain(60)
    assert "u6" not in in_braze(stage)
    assert json.loads(bridge(f"members {TRIAL} --user u20 --json")[1])["state"] == "in"
    members["d6"] = gone
    scene.sync(stage, TRIAL)
    assert "u6" in in_braze(stage)


def test_what_braze_holds_is_compared_and_corrected(stage: Cloud, bridge: Run) -> None:
    braze: Any = stage.braze
    profiles = {profile.name: profile for profile in braze.workspace.profiles}
    profiles["u3"].attributes["mixpanel_cohorts"].remove(f"mixpanel_{TRIAL}")
    profiles[LEFT].attributes["mixpanel_cohorts"].append(f"mixpanel_{TRIAL}")
    status, said = bridge(f"audit {TRIAL} --all --list --json")
    assert status == 3
    rows = [json.loads(line) for line in said.splitlines()]
    assert {row["identifier"]: row["what"] for row in rows[:-1]} == {
        "u3": "lacking",
        LEFT: "there though out",
        UNKNOWN: "unknown to Braze",
    }
    points = braze.workspace.data_points
    assert bridge(f"audit {TRIAL} --all --apply")[0] == 0
    stage.drain(60)
    assert "u3" in in_braze(stage)
    assert LEFT not in in_braze(stage)
    assert braze.workspace.data_points == points + 2, "nobody else is written"
    assert bridge(f"audit {TRIAL} --all")[0] == 0


def test_a_deleted_cohort_is_taken_out_and_forgotten(stage: Cloud, bridge: Run) -> None:
    assert len(in_braze(stage, ENDED)) == 8
    assert bridge(f"forget-cohort {ENDED} --remove-from-braze --yes")[0] == 0
    assert in_braze(stage, ENDED) == set()
    assert ENDED not in bridge("cohorts")[1]
    assert bridge(f"forget-cohort {ENDED} --yes")[0] == 1
    assert len(in_braze(stage)) > 100, "no other cohort"


def test_a_person_is_found_and_forgotten(stage: Cloud, bridge: Run) -> None:
    # A push that a crash has left open names them too.
    key = CohortKey(project=cohort_of(stage).project_id, cohort=TRIAL)
    table = stage.description["resources"]["LedgerTable"]
    ledger = DynamoLedger(Table(stage.client("dynamodb"), table), 0)
    ledger.begin_push(key, OpenPush("here", 1, ["e:u12", "e:u13"]))
    assert "nothing is deleted yet" in bridge("forget u12")[1]
    status, said = bridge("forget u12 --apply --yes")
    assert status == 0
    assert counts(said)["members of the ledger deleted"] == 1
    bucket = stage.description["resources"]["DataBucket"]
    s3 = stage.client("s3")
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        assert b'"d12"' not in content
        assert b",d12," not in content
    assert "nothing was found" in bridge("forget u12")[1]
    (left,) = ledger.open_pushes(key)
    assert left.keys == ["e:u13"]
    ledger.end_push(key, left)


def test_an_option_of_the_whole_command_may_stand_anywhere(
    stage: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps(stage.description))
    for words in (
        ["--json", "--description", str(path), "cohorts"],
        ["cohorts", f"--description={path}", "--json"],
    ):
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)[0]["cohort"] == TRIAL
