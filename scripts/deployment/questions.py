"""The questions of a first deployment; an answer is checked at once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.deployment.account import Present, profiles, usual_region
from scripts.deployment.answers import Answers
from scripts.deployment.parameters import OURS, Parameter

ESSENTIAL = {
    "MixpanelRegion": "In which region is the Mixpanel project's data? (Project "
    "Settings > Overview > Data Residency)",
    "BrazeRestEndpoint": "Which REST endpoint has the Braze instance, such as "
    "https://rest.iad-01.braze.com? (Settings > APIs and Identifiers)",
    "AlarmEmail": "To which e-mail address do alarms go? (empty for none; AWS asks it "
    "for a confirmation)",
}
"""What is asked of everybody; the rest has defaults, and is asked on request."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")

type Check = Callable[[str], str]


def name_problem(name: str) -> str:
    """What CloudFormation would not take as a stack's name."""
    if _NAME.fullmatch(name):
        return ""
    return "must begin with a letter, then letters, digits and hyphens"


def region_problem(region: str) -> str:
    """What is no region of AWS."""
    return "" if _REGION.fullmatch(region) else "must look like eu-central-1"


def profile_problem(profile: str) -> str:
    """What the user's configuration has no profile for."""
    known = profiles()
    return "" if not profile or profile in known else f"is none of {', '.join(known)}"


@dataclass
class Questions:
    """Asks for what is missing, and has each answer kept before the next question."""

    ask: Callable[[str], str]
    say: Callable[[str], None]
    answers: Answers
    keep: Callable[[], None]

    def place(self, name_by_default: str, environment: Mapping[str, str]) -> None:
        """Ask where the stack is to be."""
        places = self.answers.places
        if "profile" not in places and profiles():
            # Without a word from the user these come from the shell, or a default.
            usual = environment.get("AWS_PROFILE", "")
            shell = "AWS_ACCESS_KEY_ID" in environment
            if not usual and not shell and "default" in profiles():
                usual = "default"
            self._place("profile", "Which AWS profile?", usual, profile_problem)
        if "region" not in places:
            usual = usual_region(places.get("profile", ""))
            self._place("region", "Into which AWS region?", usual, region_problem)
        if "stack_name" not in places:
            question = "What is the stack's name?"
            self._place("stack_name", question, name_by_default, name_problem)

    def parameters(
        self, parameters: Mapping[str, Parameter], present: Present, *, everything: bool
    ) -> None:
        """Ask the essential parameters that are missing; all of them on request."""
        known = self.answers.parameters
        first = not known and not present.exists
        for name, question in ESSENTIAL.items():
            if name not in known:
                self._parameter(parameters[name], question, present)
        if not everything and first:
            others = len(parameters) - len(ESSENTIAL) - 1
            everything = self.ask(
                f"{others} more parameters have defaults (docs/configuration.md). "
                "Go through them? [y/N] "
            ).strip().lower() in {"y", "yes"}
        if everything:
            for name, parameter in parameters.items():
                if name not in ESSENTIAL and name != OURS:
                    self._parameter(parameter, parameter.description, present)

    def _place(self, name: str, question: str, usual: str, check: Check) -> None:
        self.answers.places[name] = self._asked(question, usual, check)
        self.keep()

    def _parameter(self, parameter: Parameter, question: str, present: Present) -> None:
        name = parameter.name
        usual = self.answers.parameters.get(name, present.parameters.get(name))
        if usual is None:
            usual = parameter.default
        if parameter.choices:
            question = f"{question} One of {', '.join(parameter.choices)}."
        answer = self._asked(f"{name}: {question}", usual, parameter.problem)
        self.answers.parameters[name] = answer
        self.keep()

    def _asked(self, question: str, usual: str | None, check: Check) -> str:
        """Ask until the answer can be used; an empty one is the usual one."""
        none = "; - for none" if not check("") else ""
        shown = f" [{usual}{none}]" if usual else ""
        while True:
            answer = self.ask(f"{question}{shown} ").strip() or usual or ""
            if answer == "-" and not check(""):
                # The only way to say "none" where there is a usual answer.
                answer = ""
            problem = check(answer)
            if not problem:
                return answer
            self.say(f"  {answer!r} {problem}")
