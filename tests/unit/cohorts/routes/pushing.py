"""What became of the changes of one push."""

from collections.abc import Mapping, Sequence

from bridge.cohorts.ports.route import Change, Pushed, Route


def push(
    route: Route, cohort: str, name: str, changes: Sequence[Change]
) -> list[Pushed]:
    """Push changes; the results in order, if each of them was concluded once."""
    found: dict[int, Pushed] = {}

    def conclude(results: Mapping[int, Pushed]) -> None:
        assert not found.keys() & results.keys()
        found.update(results)

    route.push(cohort, name, changes, conclude)
    assert found.keys() == set(range(len(changes)))
    return [found[position] for position in range(len(changes))]
