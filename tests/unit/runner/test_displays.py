"""Rich output from a sandbox, with and without IPython in its image."""

import base64
import hashlib
import json

import pytest
from sandboxed import Sandboxed, ran

PNG = b"\x89PNG\r\n\x1a\n"


def displays(source, **options):
    """Run a cell; returns the bundles it has shown, those in files included."""
    with Sandboxed(source, **options) as run:
        run.finish()
        assert run.result["ok"], run.error
        bundles = []
        for frame in run.stdout.frames:
            if frame.kind == "display" and "file" in frame.fields:
                data = (run.directory / frame.fields["file"]).read_bytes()
                assert len(data) == frame.fields["size"]
                assert hashlib.sha256(data).hexdigest() == frame.fields["sha256"]
                bundles.append(json.loads(data))
            elif frame.kind == "display":
                bundles.append(dict(frame.fields))
        return bundles


def test_an_object_is_asked_for_its_representations():
    source = (
        "class Rich:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<b>x</b>'\n"
        "    def _repr_png_(self): return b'\\x89PNG', {'width': 3}\n"
        "    def _repr_markdown_(self): return None\n"
        "    def _repr_latex_(self): raise NotImplementedError\n"
        "    def _repr_json_(self): return {'a': float('nan'), 1: [b'b', '\\ud800']}\n"
        "display(Rich(), 3)"
    )
    rich, three = displays(source)
    assert rich == {
        "data": {
            "text/html": "<b>x</b>",
            "image/png": base64.b64encode(b"\x89PNG").decode(),
            "application/json": {"a": None, "1": ["Yg==", "?"]},
            "text/plain": "plain",
        },
        "metadata": {"image/png": {"width": 3}},
    }
    assert three == {"data": {"text/plain": "3"}, "metadata": {}}


def test_a_whole_bundle_comes_first_and_a_broken_representation_falls_back_to_text():
    source = (
        "class Whole:\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None): return {'text/html': 'w', 'text/plain': 'p'}\n"
        "    def _repr_html_(self): return 'never'\n"
        "class Broken:\n"
        "    def _repr_html_(self): raise OSError('no html')\n"
        "    def __repr__(self): raise ValueError\n"
        "class Answers:\n"
        "    def __getattr__(self, name): return lambda *a, **k: 'x'\n"
        "    def __repr__(self): return 'answers'\n"
        "display(Whole()); display(Broken()); display(Answers.__new__(Answers), Whole)"
    )
    whole, broken, answers, kind = displays(source)
    assert whole["data"] == {"text/html": "w", "text/plain": "p"}
    assert broken["data"] == {"text/plain": "<Broken whose repr failed: ValueError>"}
    assert answers["data"] == {"text/plain": "answers"}
    assert kind["data"] == {"text/plain": "__main__.Whole"}


def test_what_is_shown_stands_between_the_lines_printed_before_and_after():
    run = ran("print('a', end='')\ndisplay(1)\nprint('b')")
    order = [frame.kind for frame in run.stdout.frames]
    assert order == ["hello", "begin", "partial", "display", "result"]
    assert run.stdout.raw.index(b"b\n") > run.stdout.first("display").at


def test_a_large_bundle_is_a_file():
    (shown,) = displays("display({'text/html': '<p>ü</p>' * 5000, 'text/plain': ''}, raw=True)")
    assert shown["data"]["text/html"] == "<p>ü</p>" * 5000


@pytest.mark.parametrize("failure", ["NotImplementedError", "ValueError"])
def test_an_object_that_fails_to_show_itself_is_shown_like_any_other(failure):
    source = (
        "class Shy:\n"
        f"    def _ipython_display_(self): raise {failure}\n"
        "    def __repr__(self): return 'shy'\n"
        "display(Shy())"
    )
    assert [each["data"] for each in displays(source)] == [{"text/plain": "shy"}]


def test_the_representations_that_are_asked_for_are_the_only_ones():
    source = (
        "class Rich:\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None): return {'a/b': 1, 'c/d': 2}\n"
        "    def _repr_html_(self): return 'html'\n"
        "    def __repr__(self): return 'plain'\n"
        "display(Rich(), include=['text/html', 'a/b'])\n"
        "display(Rich(), exclude=['text/plain', 'a/b'], transient={'display_id': 'place'})\n"
        "display(Rich(), include=['image/png'])"
    )
    some, rest = displays(source)
    assert some["data"] == {"text/html": "html", "a/b": 1}
    assert rest["data"] == {"text/html": "html", "c/d": 2}
    assert rest["id"] == "place"


def test_a_representation_of_the_wrong_type_is_left_out():
    source = (
        "import warnings\nwarnings.simplefilter('ignore')\n"
        "class Wrong:\n"
        "    def _repr_html_(self): return 5\n"
        "    def _repr_json_(self): return '[]'\n"
        "    def _repr_png_(self): return ['x'], {'width': 3}\n"
        "    def _repr_markdown_(self): return '*right*', {'a': 1}\n"
        "    def __repr__(self): return 'wrong'\n"
        "display(Wrong())"
    )
    assert displays(source) == [
        {"data": {"text/plain": "wrong", "text/markdown": "*right*"}, "metadata": {"text/markdown": {"a": 1}}}
    ]


def test_a_place_can_be_kept_for_what_is_shown_later():
    source = (
        "place = display(display_id=True)\n"
        "display('between')\n"
        "place.update(1)\n"
        "try: display(2, update=True)\n"
        "except TypeError as error: display(str(error))"
    )
    kept, _, later, refused = displays(source)
    assert (kept["data"], kept["update"]) == ({}, False)
    assert (later["data"], later["update"], later["id"]) == ({"text/plain": "1"}, True, kept["id"])
    assert refused["data"] == {"text/plain": "'display_id required for update_display'"}


@pytest.mark.parametrize("isolated", [True, False])
def test_ipythons_own_functions_show_too(isolated):
    source = (
        "from IPython.display import HTML, Image, JSON, Markdown, Math, clear_output, display, publish_display_data\n"
        "from IPython import get_ipython\n"
        "display(HTML('<i>h</i>'), Markdown('# m'), Math('x^2'), JSON({'a': 1}))\n"
        f"display(Image(data={PNG + b'rest'!r}, width=5))\n"
        "publish_display_data({'text/plain': 'published'})\n"
        "handle = display('first', display_id=True)\n"
        "handle.update('second')\n"
        "clear_output(wait=True)\n"
        "assert get_ipython() is __import__('builtins').get_ipython()"
    )
    html, markdown, math, structure, image, *texts = displays(source, isolated=isolated)
    assert html["data"]["text/html"] == "<i>h</i>"
    assert markdown["data"]["text/markdown"] == "# m"
    assert math["data"]["text/latex"] == r"$\displaystyle x^2$"
    assert structure["data"]["application/json"] == {"a": 1}
    assert base64.b64decode(image["data"]["image/png"]) == PNG + b"rest"
    assert image["metadata"]["image/png"]["width"] == 5
    assert [shown["data"]["text/plain"] for shown in texts] == ["published", "'first'", "'second'"]


def test_figures_are_shown_at_the_end_and_by_show_and_no_plot_comes_back():
    source = (
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.show()\n"
        "print('between')\n"
        "fig, ax = plt.subplots()\n"
        "ax.plot([3, 4])"
    )
    with Sandboxed(source, isolated=False, outputs=["fig"]) as run:
        run.finish()
        assert run.result["ok"], run.error
        assert (run.result["last"], run.result["lost"], run.result["names"]) == (False, {}, ["fig"])
        assert run.stderr.text.shown == ""
        shown = [frame for frame in run.stdout.frames if frame.kind == "display"]
        assert ["file" in frame.fields for frame in shown] == [True, False, True]
        assert shown[0].at < run.stdout.raw.index(b"between") < shown[1].at
        picture = json.loads((run.directory / shown[0].fields["file"]).read_bytes())["data"]
        assert base64.b64decode(picture["image/png"]).startswith(PNG)
        assert picture["text/plain"].startswith("<Figure size 640x480")


def test_an_open_figure_as_last_value_is_shown_once():
    assert len(displays("import matplotlib.pyplot as plt\nplt.figure()", isolated=False)) == 1


def test_a_data_frame_comes_back_as_last_value():
    run = ran("import pandas\npandas.DataFrame({'a': [1]})", isolated=False)
    assert run.values()["last"]["a"].tolist() == [1]
    assert "display" not in run.stdout.kinds()


def test_a_widget_of_the_sandbox_is_shown_as_text_and_why_is_said_once():
    source = (
        "from ipywidgets import IntSlider\n"
        "display(IntSlider(value=3)); display(IntSlider(value=4))\n"
        "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}}, raw=True)"
    )
    with Sandboxed(source, isolated=False) as run:
        run.finish()
        assert run.result["ok"], run.error
        shown = [frame.fields["data"] for frame in run.stdout.frames if frame.kind == "display"]
        assert [set(data) for data in shown] == [{"text/plain"}] * 3
        texts = [data["text/plain"][:17] for data in shown]
        assert texts == ["IntSlider(value=3", "IntSlider(value=4", "[a widget]"]
        assert run.stderr.text.shown.count("Widgets") == 1


def test_a_notebooks_progress_bar_is_one_of_text():
    source = (
        "from tqdm.notebook import tqdm, trange\n"
        "for n in tqdm(range(3), desc='epochs', display=True): pass\n"
        "for n in trange(2, desc='batches'): pass\n"
        "from tqdm.auto import tqdm\n"
        "for n in tqdm(range(5), desc='auto'): pass\n"
        "import pandas; tqdm.pandas(desc='rows'); pandas.Series([1]).progress_apply(str)"
    )
    with Sandboxed(source, isolated=False) as run:
        run.finish()
        assert run.result["ok"], run.error
        assert "display" not in run.stdout.kinds()
        shown = run.stderr.text.shown
    for told in ("epochs: 100%", "| 3/3 [", "batches: 100%", "auto: 100%", "| 5/5 [", "rows: 100%"):
        assert told in shown
    assert "widget" not in shown
