"""CloudFormation's intrinsic functions, as far as a SAM template of ours uses them.

An intrinsic that is not known here is an error with its name: a value resolved wrongly
would let the sandbox run something that is not what would be deployed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")
_NO_VALUE = object()


class TemplateError(Exception):
    """The built template asks for something the sandbox cannot give."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What Ref and Fn::GetAtt of a resource answer."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Resolver:
    """Turns template values into plain ones.

    `values` are parameters and pseudo parameters; `identify` knows the resources.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        values: Mapping[str, Any],
        identify: Callable[[str], Identity],
    ) -> None:
        self._mappings: Mapping[str, Any] = template.get("Mappings") or {}
        self._conditions: Mapping[str, Any] = template.get("Conditions") or {}
        self._values = {**values, "AWS::NoValue": _NO_VALUE}
        self._identify = identify

    def resolve(self, value: Any) -> Any:
        match value:
            case {"Condition": str(name), **rest} if not rest:
                return self.condition(name)
            case dict() if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name == "Ref" or str(name).startswith("Fn::"):
                    return self._intrinsic(name, argument)
        if isinstance(value, dict):
            pairs = ((key, self.resolve(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not _NO_VALUE}
        if isinstance(value, list):
            items = (self.resolve(item) for item in value)
            return [item for item in items if item is not _NO_VALUE]
        if isinstance(value, str) and "{{resolve:" in value:
            raise TemplateError(f"dynamic references are not supported: {value}")
        return value

    def condition(self, name: str) -> bool:
        if name not in self._conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.resolve(self._conditions[name]))

    def _intrinsic(  # noqa: C901, PLR0912 - one case an intrinsic
        self, name: str, argument: Any
    ) -> Any:
        match name, argument:
            case "Ref", str():
                return self._ref(argument)
            case "Fn::GetAtt", str():
                resource, _, attribute = argument.partition(".")
                return self._attribute(resource, attribute)
            case "Fn::GetAtt", [resource, attribute]:
                return self._attribute(resource, self.resolve(attribute))
            case "Fn::Sub", str():
                return self._substitute(argument, {})
            case "Fn::Sub", [text, variables]:
                return self._substitute(text, self.resolve(variables))
            case "Fn::Join", [separator, items]:
                return str(separator).join(map(str, self.resolve(items)))
            case "Fn::Split", [separator, text]:
                return str(self.resolve(text)).split(separator)
            case "Fn::Select", [index, items]:
                return self.resolve(items)[int(self.resolve(index))]
            case "Fn::If", [condition, then, otherwise]:
                return self.resolve(then if self.condition(condition) else otherwise)
            case "Fn::Equals", [left, right]:
                return str(self.resolve(left)) == str(self.resolve(right))
            case "Fn::Not", [operand]:
                return not self.resolve(operand)
            case "Fn::And", [*operands]:
                return all(self.resolve(operand) for operand in operands)
            case "Fn::Or", [*operands]:
                return any(self.resolve(operand) for operand in operands)
            case "Fn::FindInMap", [mapping, first, second]:
                keys = [self.resolve(key) for key in (mapping, first, second)]
                found: Any = self._mappings
                for key in keys:
                    if key not in found:
                        raise TemplateError(f"Fn::FindInMap finds nothing for {keys}")
                    found = found[key]
                return self.resolve(found)
        raise TemplateError(f"the sandbox does not know {name} of {argument!r}")

    def _ref(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        return self._identify(name).ref

    def _attribute(self, resource: str, attribute: str) -> str:
        known = self._identify(resource).attributes
        if attribute not in known:
            raise TemplateError(f"the sandbox has no attribute {resource}.{attribute}")
        return known[attribute]

    def _substitute(self, text: str, variables: Mapping[str, Any]) -> str:
        def replacement(match: re.Match[str]) -> str:
            name = match.group(1).strip()
            if name in variables:
                return str(variables[name])
            if "." in name and name not in self._values:
                resource, _, attribute = name.partition(".")
                return self._attribute(resource, attribute)
            return str(self._ref(name))

        return _VARIABLE.sub(replacement, text).replace("${!", "${")
