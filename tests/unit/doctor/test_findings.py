"""What is told of an installation: a line each, nothing that is secret, whatever fails."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zenml_modal_nb.doctor import checks, installation, stacks
from zenml_modal_nb.doctor.checks import Check, examine
from zenml_modal_nb.doctor.examination import Examination, Scope
from zenml_modal_nb.doctor.finding import Finding, Verdict, ok, problem, warning
from zenml_modal_nb.doctor.report import Report, lines
from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.pipelines.inventory import Component, Stack, Store
from zenml_modal_nb.request import Place

GIB = 1024**3
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def outcome(check: Check) -> list[Finding]:
    return list(examine(Scope(), [check]))


def test_whatever_a_check_raises_becomes_a_problem_with_what_to_do() -> None:
    def find(examined: Examination) -> Iterator[Finding]:
        yield ok("first", "is kept")
        raise RuntimeError("a\nlong   story")

    first, failed = outcome(Check("store", find, "mend it"))
    assert first == ok("first", "is kept")
    assert failed == problem("store", "RuntimeError: a long story", "mend it")


def test_a_check_that_never_ends_is_given_up(tmp_path: Path) -> None:
    forever = threading.Event()

    def find(examined: Examination) -> Iterator[Finding]:
        forever.wait()
        yield ok("never", "")

    try:
        (failed,) = outcome(Check("store", find, "mend it", seconds=0.05))
    finally:
        forever.set()
    assert failed == problem("store", "no answer within 0 s", "mend it")


def test_our_own_errors_are_told_as_they_are() -> None:
    def find(examined: Examination) -> Iterator[Finding]:
        raise ConnectionFailedError("Nothing there. Start it.")
        yield

    assert outcome(Check("store", find, "mend it")) == [problem("store", "Nothing there. Start it.")]


def test_neither_tokens_nor_passwords_are_shown() -> None:
    def find(examined: Examination) -> Iterator[Finding]:
        examined.secrets = ("ak-1234", "as-5678")
        yield problem("token", "as-5678 at mysql://me:pass@host/db", "use ak-1234")

    (told,) = outcome(Check("token", find, ""))
    assert told.found == "••• at mysql://host/db"
    assert told.advice == ("use •••",)


@pytest.mark.parametrize(
    "user", ["me", "me:pass", "me:", ":pass", "me:pa/ss", "me:p@ss", "me:p@/:ss", "me@acme.com:pass"]
)
def test_no_part_of_a_password_is_shown_whatever_it_is_made_of(user: str) -> None:
    def find(examined: Examination) -> Iterator[Finding]:
        yield problem("store", f"(mysql://{user}@host:3306/db) and sqlite:////home/me/x.db", "see a@b")

    (told,) = outcome(Check("store", find, ""))
    assert told.found == "(mysql://host:3306/db) and sqlite:////home/me/x.db"
    assert told.advice == ("see a@b",)


def test_a_report_is_healthy_without_problems_and_says_all_to_scripts() -> None:
    fine = Report((ok("a", "x"), warning("b", "y", "do z")))
    assert fine.healthy
    assert fine.summary() == "no problems, 1 warning"
    sick = Report((*fine.findings, problem("c", "y")))
    assert json.loads(sick.json())["healthy"] is False
    assert json.loads(sick.json())["findings"][1] == {
        "name": "b",
        "verdict": "warning",
        "found": "y",
        "advice": ["do z"],
    }


def test_names_of_others_can_be_no_markup_and_no_control_sequence() -> None:
    finding = problem("stack", "<img src=x>\x1b]0;title\x07 'mine'", "zenml <b>")
    shown = Report((finding,))._repr_html_()
    assert "<img" not in shown
    assert "<b>" not in shown
    assert "&lt;img src=x&gt;" in shown
    assert "\x1b" not in "".join([shown, *lines(finding)])


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 * GIB, Verdict.OK), (GIB, Verdict.WARNING), (GIB // 8, Verdict.PROBLEM)]
)
def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, free: int, verdict: Verdict) -> None:
    places = [tmp_path / "not" / "there", tmp_path]
    (found,) = installation.check_disk(places, lambda place: free)
    assert found.verdict is verdict
    assert f"{free / GIB:.1f} GiB free" in found.found


def test_a_python_that_modal_has_no_image_of_is_a_problem() -> None:
    assert installation.check_python([SERIES, "3.9"]).verdict is Verdict.OK
    assert installation.check_python([]).verdict is Verdict.OK  # an SDK that does not tell
    told = installation.check_python(["3.8", "3.9"])
    assert told.verdict is Verdict.PROBLEM
    assert "3.8, 3.9" in told.found


def test_the_versions_that_matter_are_told_with_what_is_needed() -> None:
    told = {each.name: each for each in installation.check_packages()}
    assert set(told) == {"zenml", "modal", "cloudpickle", "ipykernel"}
    assert ">=1.6.3" in told["modal"].found
    assert all(each.verdict is Verdict.OK for each in told.values())


def test_a_package_that_does_not_fit_or_is_missing_is_told_with_the_command() -> None:
    from packaging.requirements import Requirement

    (old,) = installation.check_requirement(Requirement("modal>=99"))
    assert (old.verdict, old.advice) == (Verdict.PROBLEM, ('pip install "modal>=99"',))
    (missing,) = installation.check_requirement(Requirement("zmnb-not-there[x]>=1"))
    assert missing.advice == ('pip install "zmnb-not-there[x]>=1"',)


REMOTE = Component("artifact_store", "bucket", "s3", False, ("s3://bucket", "http://127.0.0.1:9000"))
REGISTRY = Component("container_registry", "images", "default", False, ("docker.io/acme",))
STOCK = Component("step_operator", "gpus", "modal", False, ())
OURS = Component("step_operator", "cells", "modal_notebook", False, ())


def addresses(
    *components: Component, place: Place = "modal", server: str = "https://z.acme.com"
) -> list[Finding]:
    store = Store(server, False, "0.98.0", Path("/"))
    examined = Examination(Scope(), place=place, store=store, stack=Stack("team", components))
    return list(stacks.check_addresses(examined, lambda host: ()))


def test_a_server_or_store_on_loopback_is_a_problem_for_the_stock_operator() -> None:
    told = addresses(STOCK, REMOTE, REGISTRY, server="http://127.0.0.1:8237")
    assert [each.verdict for each in told] == [Verdict.PROBLEM, Verdict.PROBLEM]
    assert "the ZenML server http://127.0.0.1:8237" in told[0].found
    assert "artifact store 'bucket' http://127.0.0.1:9000" in told[1].found
    assert "public address" in told[0].advice[0]


def test_for_our_operator_it_is_a_warning_since_it_runs_detached_too() -> None:
    (told,) = addresses(OURS, REMOTE)
    assert told.verdict is Verdict.WARNING


def test_where_sandboxes_do_not_talk_to_zenml_or_run_here_nothing_is_a_problem() -> None:
    here = Component("artifact_store", "default", "local", True, ("/home/me",))
    (told,) = addresses(OURS, here)
    assert told.verdict is Verdict.SKIPPED
    (told,) = addresses(STOCK, REMOTE, place="local", server="http://127.0.0.1:8237")
    assert told.verdict is Verdict.OK


def test_public_addresses_are_fine() -> None:
    (told,) = addresses(STOCK, REGISTRY)
    assert told.verdict is Verdict.OK


def test_a_server_of_another_zenml_is_told_with_the_version_that_fits() -> None:
    store = Store("https://z.acme.com", False, "0.97.1", Path("/"))
    assert stacks.describe_store(store, "0.97.1").verdict is Verdict.OK
    told = stacks.describe_store(store, "0.98.0")
    assert told.verdict is Verdict.WARNING
    assert "0.98.0" in told.found
    assert told.advice == ('pip install "zenml[local]==0.97.1"',)


def test_every_check_has_a_name_of_its_own() -> None:
    assert len({each.name for each in checks.CHECKS}) == len(checks.CHECKS)
