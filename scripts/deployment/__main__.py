"""Deploy one environment of samconfig.toml.

What it has no answers for is asked and kept, each answer at once: whatever breaks off,
the same command goes on. CONFIG_ENV names the environment, SET="NAME=VALUE …" changes
parameters, ASK=1 goes through all of them, ARCHITECTURE is that of the functions,
CONFIRM=1 shows the changes first, ONLY_BUILD=1 builds and stops.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.deployment.account import Account, DeploymentError, Present, when_ready
from scripts.deployment.answers import SamConfig, assignments
from scripts.deployment.parameters import (
    OURS,
    problems,
    read_parameters,
    shard_steps,
)
from scripts.deployment.questions import Questions

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
SAM = ".venv-sam/bin/sam"
STACK = "mixpanel-braze-bridge"
INTERRUPTED = 130


def say(text: str) -> None:
    """Print a line for the user."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def ask(question: str) -> str:
    """Ask the user; raises `DeploymentError` where nobody can answer."""
    try:
        return input(question)
    except EOFError:
        raise DeploymentError(
            f"nobody answers: {question.strip()}\nGive parameters by SET, as in "
            'make deploy SET="MixpanelRegion=EU BrazeRestEndpoint=https://…", and '
            "profile, region and stack_name in samconfig.toml"
        ) from None


class Deployment:
    """One run of the command, in the folder of the project."""

    def __init__(self, environment: Mapping[str, str], root: Path) -> None:
        self._environ = environment
        self._root = root
        self.name = environment.get("CONFIG_ENV") or "default"
        self._config = SamConfig(root / "samconfig.toml")
        self._parameters = read_parameters(TEMPLATE)
        self.answers = self._config.read(self.name)
        asked = environment.get("ARCHITECTURE")
        default = self._parameters[OURS].default or ""
        self.architecture = asked or self.answers.parameters.get(OURS) or default

    @property
    def built(self) -> str:
        """Where SAM builds for this architecture."""
        return f".aws-sam/deploy-{self.architecture}"

    def prepare(self) -> Present:
        """Ask and check all that a deployment needs; the stack as it is."""
        changes = assignments(self._environ.get("SET", ""))
        self._refuse(problems(self._parameters, changes))
        questions = Questions(ask, say, self.answers, self._keep)
        dashed = "" if self.name == "default" else f"-{self.name}"
        questions.place(STACK + dashed, self._environ)
        self._refuse_twins()
        places = self.answers.places
        account = Account(places.get("profile", ""), places["region"])
        number = account.number()
        stack = places["stack_name"]
        present = when_ready(account, stack, say)
        before = dict(self.answers.parameters)
        self.answers.parameters |= changes
        self._refuse_changes(present)
        questions.parameters(
            self._parameters, present, everything=bool(self._environ.get("ASK"))
        )
        self.answers.parameters[OURS] = self.architecture
        self._refuse_changes(present)
        if before != self.answers.parameters:
            self._keep()
        what = "updating" if present.exists else "creating"
        say(f"{what} {stack} in account {number}, {places['region']}")
        return present

    def _refuse_changes(self, present: Present) -> None:
        # One that a stack of an earlier release has may be none any more.
        theirs = {n: v for n, v in present.parameters.items() if n in self._parameters}
        values = theirs | self.answers.parameters
        self._refuse(problems(self._parameters, values))
        if not present.exists:
            return
        shards = int(present.parameters.get("StreamShards") or 1)
        steps = shard_steps(shards, int(values.get("StreamShards") or shards))
        if len(steps) > 1:
            way = ", then ".join(f'make deploy SET="StreamShards={n}"' for n in steps)
            raise DeploymentError(
                "Kinesis at most doubles or halves its shards at once, and has "
                f"{shards}: {way}"
            )

    def _refuse(self, found: Iterable[str]) -> None:
        if listed := [*found]:
            lines = "\n  ".join(listed)
            raise DeploymentError(f"samconfig.toml, {self.name}, or SET:\n  {lines}")

    def _refuse_twins(self) -> None:
        """Two environments with one stack would overwrite each other."""
        mine = self.answers.places
        for other in self._config.environments():
            theirs = self._config.read(other).places
            same = all(
                theirs.get(each) == mine.get(each) for each in ("stack_name", "region")
            )
            if other != self.name and same:
                raise DeploymentError(
                    f"{mine['stack_name']} in {mine['region']} is the stack of the "
                    f"environment {other}: change stack_name of {self.name} in "
                    "samconfig.toml"
                )

    def _keep(self) -> None:
        self._config.write(self.name, self.answers)

    def build(self) -> None:
        """Build for Lambda's architecture, whatever this machine is."""
        # A cache of its own for each: SAM's knows nothing of ARCHITECTURE.
        self._sam(
            "build",
            "--cached",
            "--parallel",
            "--build-dir",
            self.built,
            "--cache-dir",
            f".aws-sam/cache-{self.architecture}",
            "--parameter-overrides",
            f"{OURS}={self.architecture}",
        )

    def deploy(self, present: Present) -> None:
        """Let SAM upload and deploy, without a question of its own."""
        confirm = bool(self._environ.get("CONFIRM"))
        self._sam(
            "deploy",
            "--template-file",
            f"{self.built}/template.yaml",
            "--no-fail-on-empty-changeset",
            "--confirm-changeset" if confirm else "--no-confirm-changeset",
            # A creation that fails leaves nothing, so that the same command goes on.
            *(() if present.exists else ("--on-failure", "DELETE")),
        )

    def _sam(self, command: str, *options: str) -> None:
        region = self.answers.places.get("region") or "us-east-1"
        file = str(self._root / "samconfig.toml")
        place = ("--config-file", file, "--config-env", self.name)
        environment = {
            **self._environ,
            "ARCHITECTURE": self.architecture,
            "BUILD_PYTHON": str(self._root / ".venv/bin/python"),
            "AWS_DEFAULT_REGION": region,
            "SAM_CLI_TELEMETRY": "0",
        }
        try:
            subprocess.run(  # noqa: S603
                [SAM, command, *place, *options],
                cwd=self._root,
                env=environment,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise DeploymentError(
                f"sam {command} failed (see above). All answers are kept in "
                "samconfig.toml: once the cause is mended, the same command goes on"
            ) from error


def run(environment: Mapping[str, str]) -> None:
    """Build, and deploy if that is asked; raises `DeploymentError`."""
    deployment = Deployment(environment, Path.cwd())
    if environment.get("ONLY_BUILD"):
        deployment.build()
        return
    present = deployment.prepare()
    deployment.build()
    deployment.deploy(present)
    places = deployment.answers.places
    profile = places.get("profile")
    command = f".venv/bin/bridge --stack {places['stack_name']} --region "
    command += places["region"]
    command = f"AWS_PROFILE={profile} {command}" if profile else command
    say("\ndeployed. The vendors' keys, and what to enter there:\n")
    say(f"    {command} setup")


def main() -> int:
    """The exit status; one line says what is wrong."""
    try:
        run(os.environ)
    except (DeploymentError, ValueError) as error:
        sys.stderr.write(f"not deployed: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
