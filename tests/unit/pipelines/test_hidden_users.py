"""No user and no password of an address is shown, however the password is spelled; an address without one stays."""

from __future__ import annotations

import pytest

from zenml_modal_nb.pipelines.inventory import without_user


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("mysql://root:secret@host/db", "mysql://host/db"),
        ("mysql://root:sec/ret@host/db", "mysql://host/db"),
        ("mysql://root:s@cret@host:3306/db", "mysql://host:3306/db"),
        ("https://token@host/x, and http://other/y", "https://host/x, and http://other/y"),
        ("https://host/team@acme", "https://host/team@acme"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_an_address_is_shown_without_its_user(address: str, shown: str) -> None:
    assert without_user(address) == shown
