"""All that stands in a panel and a log reads well on light and dark: WCAG 2's contrast of 4.5 to 1, measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, Page, expect

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.slow

ENOUGH = 4.5
# Each element with a text of its own: what is too weak, with its ratio. Backgrounds and opacities lie over each other.
WEAK = """enough => {
  const channel = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
  const colour = text => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const over = (c, base) => [0, 1, 2].map(i => c[i] * c[3] + base[i] * (1 - c[3]));
  const line = each => each ? [getComputedStyle(each), ...line(each.parentElement)] : [];
  const weak = new Set();
  let seen = 0;
  for (const each of document.querySelectorAll(".zmnb *, .zmnb-box *")) {
    const text = [...each.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join("");
    if (!text || each.matches("style") || !each.checkVisibility()) continue;
    const styles = line(each);
    const backgrounds = styles.map(style => colour(style.backgroundColor)).reverse();
    const base = backgrounds.reduce((below, above) => over(above, below), [255, 255, 255]);
    const [r, g, b, alpha] = colour(styles[0].color);
    const opacity = styles.reduce((product, style) => product * style.opacity, alpha);
    const [low, high] = [light(over([r, g, b, opacity], base)), light(base)].sort((one, other) => one - other);
    const ratio = (high + .05) / (low + .05);
    seen++;
    if (ratio < enough) weak.add(`${text.slice(0, 30)} (${each.className}): ${ratio.toFixed(2)}`);
  }
  return [seen, [...weak]];
}"""
COLOURS = """\
%%modal_step --name coloured
import sys
for stream in sys.stdout, sys.stderr:
    for code in *range(30, 38), *range(90, 98):
        print(f'\\x1b[{code}mcolour {code}\\x1b[0m \\x1b[2;{code}mdim {code}\\x1b[0m', file=stream)
    print('\\x1b[2mdim\\x1b[0m plain', file=stream)
"""


def weak(page: Page) -> list[str]:
    seen, found = page.evaluate(WEAK, ENOUGH)
    assert seen > 60
    return list(found)


def test_every_text_of_a_run_reads_on_light_and_dark(
    site: Site, browser: Browser, gate: Gate, tmp_path: Path
) -> None:
    load = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
    failing = "%%modal_step --name failing\nraise ValueError('no')"
    path = site.write("contrast", load, f"{COLOURS}{gate.wait}", failing)
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator(".zmnb-l").filter(has_text="dim plain")).to_have_count(2)
    expect(output.get_by_role("button", name="Stop")).to_be_enabled()
    found = {}
    for theme in "JupyterLab Dark", "JupyterLab Light":
        notebook.choose_theme(theme)
        found[f"running, {theme}"] = weak(page)
    gate.open()
    notebook.finish(1)
    notebook.run(2)
    notebook.finish(2)
    for theme in "JupyterLab Dark", "JupyterLab Light":
        notebook.choose_theme(theme)
        found[f"ended, {theme}"] = weak(page)
    notebook.save()
    page.close()
    for theme in "dark", "light":
        convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--theme", theme, str(path)]
        converted = tmp_path / f"{theme}.html"
        subprocess.run([*convert, "--output", str(converted)], check=True, env=site.home.environment)
        page = browser.new_page()
        page.goto(converted.as_uri())
        found[f"converted, {theme}"] = weak(page)
        page.close()
    assert {where: texts for where, texts in found.items() if texts} == {}
