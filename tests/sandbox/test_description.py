"""The command finds a sandbox that runs, and none that has stopped."""

import json
from pathlib import Path

from sandbox.description import shown_to_the_command


def test_the_file_lasts_as_long_as_the_sandbox(tmp_path: Path) -> None:
    file = tmp_path / ".sandbox" / "description.json"
    with shown_to_the_command({"region": "x"}, file):
        assert json.loads(file.read_text()) == {"region": "x"}
        assert file.stat().st_mode & 0o077 == 0, "it holds keys"
    assert not file.exists()


def test_one_that_started_later_keeps_its_file(tmp_path: Path) -> None:
    file = tmp_path / "description.json"
    with shown_to_the_command({"number": 1}, file):
        file.write_text('{"number": 2}')
    assert json.loads(file.read_text()) == {"number": 2}
