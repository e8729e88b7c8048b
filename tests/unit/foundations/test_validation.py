"""What a model finds wrong: each field by its path, and never a value."""

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from bridge.validation import Problem, describe, problems


class Inner(BaseModel):
    number: int


class Outer(BaseModel):
    inner: list[Inner]
    name: str


class Whole(BaseModel):
    @model_validator(mode="after")
    def _never(self) -> "Whole":
        raise ValueError("needs more")


def error_of(model: type[BaseModel], data: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return caught.value


def test_every_problem_names_its_field_by_its_path() -> None:
    error = error_of(Outer, {"inner": [{"number": 1}, {"number": "canary"}]})
    assert [problem.field for problem in problems(error)] == ["inner.1.number", "name"]
    text = describe(error)
    assert text.startswith("inner.1.number: Input should be a valid integer")
    assert text.endswith("; name: Field required")
    assert "canary" not in text


def test_a_problem_of_the_whole_names_no_field() -> None:
    error = error_of(Whole, {})
    assert problems(error) == [Problem("", "Value error, needs more")]
    assert describe(error) == "Value error, needs more"
    assert describe(error, "the document") == "the document: Value error, needs more"
