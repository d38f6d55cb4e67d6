"""Records are whole or not there; a damaged one is set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_modal_nb.emulator.state.records import Records


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"name": 1}', "[" * 100_000, b"\xff".decode("latin-1")]
)
def test_a_damaged_record_is_set_aside(tmp_path: Path, content: str) -> None:
    records = Records(tmp_path)
    records.write("good", {"value": 1})
    (tmp_path / "bad.json").write_bytes(content.encode("latin-1"))
    for _ in range(2):
        assert dict(records.restore(lambda found: found["value"])) == {"good": 1}
    assert (tmp_path / "bad.json.damaged").read_bytes() == content.encode("latin-1")
    records.write("bad", {"value": 2})
    assert dict(records.restore(lambda found: found["value"])) == {"bad": 2, "good": 1}
