"""Patterns match as a user of a shell expects."""

import pytest

from zenml_modal_nb.runner.patterns import matches, root

MATCHING = [
    ("model.pt", "model.pt"),
    ("./model.pt", "model.pt"),
    ("*.pt", "model.pt"),
    ("model[0-9].pt", "model3.pt"),
    ("out/*.pt", "out/model.pt"),
    ("out", "out/deep/model.pt"),
    ("out/", "out/.hidden/model.pt"),
    ("o*", "out/model.pt"),
    ("out/**", "out/a/b/model.pt"),
    ("**", "model.pt"),
    ("**", "a/b/model.pt"),
    ("**/*.pt", "model.pt"),
    ("**/*.pt", "a/b/model.pt"),
    ("a/**/b/*.pt", "a/b/model.pt"),
    ("a/**/b/*.pt", "a/x/y/b/model.pt"),
    ("**/**/x", "x"),
    (".", "anything/.hidden"),
    (".cache/*", ".cache/x"),
    ("a b/ü*", "a b/ünder"),
    ("line*", "line\nbreak"),
]
OTHERS = [
    ("*.pt", "model.pth"),
    ("*.pt", "out/model.pt"),
    ("model.pt", "out/model.pt"),
    ("*", ".hidden"),
    ("**", ".cache/x"),
    ("**", "a/.cache/x"),
    ("out/**", "out"),
    ("out/*", "out"),
    ("?", "/"),
    ("[.]x", ".x"),
    ("a+", "aa"),
    ("model.pt", "modelxpt"),
]


@pytest.mark.parametrize(("pattern", "path"), MATCHING)
def test_a_pattern_matches_a_path_or_a_directory_on_it(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(("pattern", "path"), OTHERS)
def test_it_matches_nothing_else(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [("*.pt", ""), ("out/*.pt", "out"), ("a/b/*/c", "a/b"), ("a/b", "a"), ("./a/**", "a"), ("x", "")],
)
def test_the_search_begins_below_what_is_fixed(pattern: str, directory: str) -> None:
    assert root(pattern) == directory
