"""The explorer in a real browser: a page that was saved, and one that is served."""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import signal
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._show.plot_style import axis_label
from gridax.explore import _cube
from gridax.explore._cube import View
from tests.processes import PATIENCE, started

pytestmark = pytest.mark.slow

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def product(**axes):
    return gx.Space(axes, mode="product")


def run(model, space, **options):
    return gx.SequentialExecution(model, space).run(progress=False, **options)


SPACE = product(
    G=gx.GridAxis(0, 1, 5, attrs={"units": "1", "long_name": "global coupling"}),
    sigma=gx.LogGridAxis(1e-3, 1e-1, 3, attrs={"units": "mV"}),
    key=gx.KeyAxis(4, name="trial"),
    dt=0.1,
)
RANDOM = np.random.default_rng(1)


def model(state):
    if state["G"] > 0.9 and state["sigma"] > 0.05:
        raise ValueError("the step is too long & <b>unstable</b>")
    return xr.Dataset(
        {
            "rate": ((), RANDOM.normal(), {"units": "Hz", "long_name": "firing rate"}),
            "x": ("time", RANDOM.normal(size=6), {"units": "1"}),
            "fc": (("to", "from"), RANDOM.normal(size=(2, 3))),
            "on": ((), RANDOM.normal() > 0),
        },
        {"time": ("time", np.arange(6.0) / 2, {"units": "s"}), "to": ["V1", "MT"]},
    )


@pytest.fixture(scope="module")
def result():
    return run(model, SPACE, on_error="record")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explore")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium or google-chrome to open a page with")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


SERVE = """
import sys
import gridax as gx
gx.open_result(sys.argv[1]).explore("rate").show(int(sys.argv[2]), open_browser=False)
"""


@pytest.fixture(scope="module")
def address(request, folder, result):
    """The address of the explorer of `result`: a file that was saved, or a server."""
    if request.param == "saved":
        result.explore("rate").save(folder / "page.html")
        yield f"file://{folder / 'page.html'}"
        return
    result.to_netcdf(folder / "sweep.nc")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with started("-c", SERVE, folder / "sweep.nc", port) as server:
        _wait_for(f"http://localhost:{port}", server)
        yield f"http://localhost:{port}"
        server.send_signal(signal.SIGINT)
        printed, errors = server.communicate(timeout=PATIENCE)
    assert printed == f"Launching server at http://localhost:{port}\n"
    assert "Traceback" not in errors


def _wait_for(address, server):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=PATIENCE).close()
        except OSError:
            assert server.poll() is None, server.stderr.read()
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(address)


FIND = "const model = (name) => Bokeh.documents[0].get_model_by_name(name);"
FRAME = f"""() => {{
  {FIND}
  const {{data}} = model("frame"), content = JSON.parse(data.json[0]);
  const list = (values) => values === undefined ? null : Array.from(values[0]);
  return {{kind: content.kind, x: list(data.x), y: list(data.y), z: list(data.z), texts: content.x.texts}};
}}"""
DRAWN = f"""() => {{
  {FIND}
  const kind = model("map").visible ? "map" : "line", figure = model(kind);
  const {{data}} = figure.renderers[0].data_source;
  const mark = figure.renderers.at(-1).data_source.data;
  const about = {{
    kind, mark: [mark.x[0], mark.y[0]],
    xlabel: figure.below[0].axis_label, ylabel: figure.left[0].axis_label,
  }};
  return kind === "map"
    ? {{...about, z: Array.from(data.z[0]), shape: data.z[0].shape}}
    : {{...about, x: Array.from(data.x), y: Array.from(data.y)}};
}}"""
PLACE = f"""([x, y]) => {{
  {FIND}
  const figure = model(model("map").visible ? "map" : "line"), view = Bokeh.index.find_one(figure);
  const box = view.canvas_view.el.getBoundingClientRect(), {{x_scale, y_scale}} = view.frame;
  return [box.left + x_scale.compute(x), box.top + y_scale.compute(y)];
}}"""


class Page:
    """An open explorer, with what a person does to it and sees of it.

    Nothing but this machine can be reached from it, and errors in it are noted.
    """

    def __init__(self, browser, address, note, width=1350):
        context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )
        self.page.route("**", self._only_here)
        self.page.goto(address)
        self.page.wait_for_function(
            "() => globalThis.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle"
        )
        self.until("return model('note').text !== ''")
        assert self.note() == note

    def _only_here(self, route):
        url = urlsplit(route.request.url)
        if url.scheme in ("file", "data", "blob") or url.hostname == "localhost":
            route.continue_()
        else:
            self.requests.append(route.request.url)
            route.abort()

    def until(self, condition, *given):
        self.page.wait_for_function(f"(given) => {{ {FIND} {condition} }}", arg=given)

    def until_note(self, text):
        self.until("return model('note')?.text === given[0]", text)

    def choose(self, what, value):
        """Choose an entry of Output, x or y."""
        place = ("output", "x", "y").index(what)
        self.page.locator("select").nth(place).select_option(label=value or "(the output)")

    def options(self, what):
        place = ("output", "x", "y").index(what)
        return self.page.locator("select").nth(place).locator("option").all_inner_texts()

    def slider(self, dim):
        return self.page.locator(".bk-Slider", has_text=f"{dim}:")

    def press(self, dim, *keys):
        """Move a slider by keyboard."""
        self.slider(dim).locator(".noUi-handle").focus()
        for key in keys:
            self.page.keyboard.press(key)

    def average(self, dim):
        self.page.locator(".bk-Checkbox", has_text=f"mean over {dim}").locator("input").click()

    def click(self, x, y):
        """Click into the picture, at coordinates of its axes."""
        place, before = self.page.evaluate(PLACE, [x, y]), None
        while place != before:  # a figure that has become visible is laid out a moment later
            self.page.wait_for_timeout(100)
            place, before = self.page.evaluate(PLACE, [x, y]), place
        self.page.mouse.click(*place)

    def note(self):
        return html.unescape(self.page.evaluate(f"() => {{ {FIND} return model('note').text }}"))

    def frame(self):
        return self.page.evaluate(FRAME)

    def drawn(self):
        return self.page.evaluate(DRAWN)

    def sliders(self):
        """Return the texts of the sliders that are seen."""
        titles = self.page.locator(".bk-Slider:visible .bk-slider-title")
        return titles.all_inner_texts()

    def table(self):
        rows = self.page.locator(".bk-Div tr").all()
        return [row.locator("th, td").all_inner_texts() for row in rows]

    def colors(self):
        """Return how many colors the page has."""
        picture = matplotlib.image.imread(io.BytesIO(self.page.screenshot()))
        return len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0))

    def close(self):
        self.page.context.close()
        assert self.errors == []
        assert self.requests == []


@pytest.fixture
def page(browser, address):
    page = Page(browser, address, "trial = 2")
    yield page
    page.close()


def same_map(page, wanted):
    """Whether the picture shows these values, of dimensions y and x."""
    wanted = wanted.astype(np.float32).values
    drawn, frame = page.drawn(), page.frame()
    assert drawn["kind"] == frame["kind"] == "map"
    assert drawn["shape"] == list(wanted.shape)
    np.testing.assert_array_equal(np.reshape(drawn["z"], wanted.shape), wanted)
    np.testing.assert_array_equal(np.reshape(frame["z"], wanted.shape), wanted)
    return True


def same_line(page, x, wanted):
    drawn = page.drawn()
    assert drawn["kind"] == page.frame()["kind"] == "line"
    np.testing.assert_array_equal(drawn["x"], x)
    np.testing.assert_array_equal(drawn["y"], wanted.astype(np.float32))
    return True


@pytest.mark.parametrize("address", ["saved", "served"], indirect=True)
class TestBoth:
    """What a saved page and a served one have to do alike."""

    def test_a_picture_follows_sliders_choosers_and_clicks(self, page, result):
        ds = result.dataset
        assert same_map(page, ds["rate"].isel(trial=2).transpose("sigma", "G"))
        drawn = page.drawn()
        assert (drawn["xlabel"], drawn["ylabel"]) == ("global coupling", "sigma [mV]")
        assert drawn["mark"] == [2, 1]
        assert page.sliders() == ["trial: 2"]
        assert page.colors() > 200

        page.page.evaluate(f"() => {{ {FIND} model('map').x_range.setv({{start: 1, end: 4}}) }}")
        page.press("trial", "ArrowRight")
        page.until_note("trial = 3")
        zoomed = page.page.evaluate(f"() => {{ {FIND} return model('map').x_range.end }}")
        assert zoomed == 4
        assert page.sliders() == ["trial: 3"]
        assert same_map(page, ds["rate"].isel(trial=3).transpose("sigma", "G"))

        page.average("trial")
        page.until_note("mean over trial")
        wanted = ds["rate"].mean("trial").transpose("sigma", "G")
        np.testing.assert_allclose(np.reshape(page.drawn()["z"], wanted.shape), wanted, rtol=1e-4)
        assert page.slider("trial").locator("[disabled]").count() > 0

        page.click(3, 0)
        page.until("return model('table').text.includes('<b>0.75</b>')")
        assert page.drawn()["mark"] == [3, 0]
        here = ds.isel(G=3, sigma=0, trial=3)
        assert page.table() == [
            ["Point"],
            ["G", "0.75"],
            ["sigma", "0.001 [mV]"],
            ["trial", "3"],
            ["Outputs"],
            ["rate", f"{here['rate'].item():.6g} [Hz]"],
            ["on", f"{here['on'].item():.6g}"],
            ["Fixed"],
            ["dt", "0.1"],
        ]

        page.average("trial")
        page.choose("y", "")
        page.until_note("sigma = 0.001 [mV], trial = 3")
        assert same_line(page, [0, 0.25, 0.5, 0.75, 1], ds["rate"].isel(sigma=0, trial=3))
        assert page.sliders() == ["sigma: 0.001 [mV]", "trial: 3"]
        assert page.drawn()["mark"] == [0.75, pytest.approx(here["rate"].item(), rel=1e-6)]

        page.choose("x", "sigma")
        page.until_note("G = 0.75, trial = 3")
        assert same_line(page, [0, 1, 2], ds["rate"].isel(G=3, trial=3))
        assert page.frame()["texts"] == ["0.001", "0.01", "0.1"]

    def test_an_output_with_its_own_dimensions_is_followed_too(self, page, result):
        ds = result.dataset
        page.choose("output", "x")
        page.until_note("trial = 2, time = 1.5 [s]")
        assert same_map(page, ds["x"].isel(trial=2, time=3).transpose("sigma", "G"))
        assert page.options("x") == ["G", "sigma", "trial", "time"]
        assert page.options("y") == ["(the output)", "G", "sigma", "trial", "time"]

        page.choose("x", "time")
        page.until_note("G = 0.5, trial = 2")
        assert same_map(page, ds["x"].isel(trial=2, G=2).transpose("sigma", "time"))
        # A direction that is chosen twice: the other one gives way.
        page.choose("y", "time")
        page.until_note("sigma = 0.01 [mV], trial = 2")
        assert same_map(page, ds["x"].isel(trial=2, sigma=1).transpose("time", "G"))
        page.choose("x", "time")
        page.until_note("G = 0.5, sigma = 0.01 [mV], trial = 2")
        assert same_line(page, np.arange(6) / 2, ds["x"].isel(G=2, sigma=1, trial=2))

        # Of a line, what is below or above the pointer is picked.
        middle = np.mean([min(page.drawn()["y"]), max(page.drawn()["y"])])
        page.click(2.1, middle)
        page.until("return model('line').renderers.at(-1).data_source.data.x[0] === 2")

        # Another output keeps what it has of the directions.
        page.choose("output", "fc")
        page.until("return JSON.parse(model('frame').data.json[0]).label === 'fc'")
        page.choose("x", "from")
        page.choose("y", "to")
        page.until_note("G = 0.5, sigma = 0.01 [mV], trial = 2")
        assert same_map(page, ds["fc"].isel(G=2, sigma=1, trial=2))

    def test_the_error_of_a_point_that_failed_is_shown(self, page, result):
        page.click(4, 2)
        page.until("return model('table').text.includes('Failed')")
        assert page.table()[4:8] == [
            ["Failed"],
            ["", "ValueError: the step is too long & <b>unstable</b>"],
            ["Outputs"],
            ["rate", "nan [Hz]"],
        ]


def test_a_saved_page_is_one_file_that_names_no_other(folder, result):
    alone = folder / "alone"
    alone.mkdir()
    result.explore().save(alone / "page.html")
    assert os.listdir(alone) == ["page.html"]
    page = (alone / "page.html").read_text(encoding="utf-8")
    assert "<title>gridax: 60 points</title>" in page
    scripts = re.findall(r"<script\b[^>]*>", page)
    assert scripts
    assert [tag for tag in scripts if "src=" in tag] == []
    assert re.findall(r"<(?:link|iframe)\b", page) == []
    assert "@import" not in page
    assert str(folder) not in page


def test_points_that_share_a_dimension_are_clicked(browser, folder):
    state = {
        "a": gx.DataAxis([0.1, 0.1, 0.4, 0.9], group="setting"),
        "b": gx.DataAxis([10.0, 30.0, 20.0, 10.0], group="setting"),
        "key": gx.KeyAxis(3, name="trial"),
    }
    result = run(lambda s: {"y": RANDOM.normal()}, gx.Space(state, mode="product"))
    result.explore().save(folder / "points.html")
    page = Page(browser, f"file://{folder / 'points.html'}", "trial = 1")
    page.click(0.38, 20.5)
    page.until("return model('table').text.includes('<b>0.4</b>')")
    assert page.table()[1:4] == [["a", "0.4"], ["b", "20"], ["trial", "1"]]
    drawn, frame = page.drawn(), page.frame()
    assert (drawn["x"], drawn["y"]) == ([0.1, 0.1, 0.4, 0.9], [10, 30, 20, 10])
    np.testing.assert_array_equal(frame["z"], result.dataset["y"].isel(trial=1).astype(np.float32))
    page.choose("x", "trial")
    page.until("return model('frame').data.x[0].length === 3")
    assert page.sliders() == []
    page.choose("y", "")
    page.until_note("a = 0.4, b = 20")
    assert page.sliders() == ["a, b: 0.4, 20"]
    page.close()


def test_a_saved_page_thins_and_averages_as_python_does(browser, folder, monkeypatch):
    monkeypatch.setattr(_cube, "MOST_CELLS", 30)
    monkeypatch.setattr(_cube, "MOST_POINTS", 4)
    space = product(a=gx.GridAxis(0, 1, 11), b=gx.LogGridAxis(0.01, 1, 21), c=gx.GridAxis(0, 1, 3))
    result = run(
        lambda s: {"n": 123456789, "on": True, "y": RANDOM.choice([np.nan, RANDOM.normal()])}, space
    )
    explorer = result.explore("y")
    explorer.save(folder / "thin.html")
    page = Page(
        browser,
        f"file://{folder / 'thin.html'}",
        "c = 0.5, one in 4 along b is shown, one in 3 along a is shown",
    )
    for step, view in [
        (lambda: page.press("c", "ArrowRight"), View("y", "a", "b", {"c": 2})),
        (lambda: page.average("c"), View("y", "a", "b", {}, ["c"])),
        (lambda: page.choose("y", ""), View("y", "a", "", {"b": 10}, ["c"])),
        (lambda: page.average("b"), View("y", "a", "", {}, ["b", "c"])),
        (lambda: page.choose("x", "b"), View("y", "b", "", {"a": 5}, ["c"])),
    ]:
        step()
        wanted = explorer._cube.frame(view)
        page.until_note(wanted["note"])
        frame = page.frame()
        assert (frame["kind"], frame["texts"]) == (wanted["kind"], wanted["x"]["texts"])
        assert frame["x"] == wanted["x"]["at"].tolist()
        assert frame["y"] == (wanted["y"] and wanted["y"]["at"].tolist())
        np.testing.assert_allclose(frame["z"], wanted["z"], rtol=1e-6)
    # The page holds seven digits.
    assert page.table()[-3:-1] == [["n", "123456800"], ["on", "True"]]
    page.close()


EVIL = "<img src=x onerror=window.ran=1>"
NAME = f"$${EVIL}$$"  # what Bokeh takes for a formula, and for HTML
TEX = f"{NAME} \\({EVIL}\\)"


def test_names_and_labels_are_no_html(browser, folder):
    """Nothing of a file is run by the page that shows it."""
    script = "<script>window.ran=1<" + "/script>"
    state = {
        "a": gx.GridAxis(0, 1, 2, name=EVIL, attrs={"units": EVIL, "long_name": TEX}),
        "b": gx.ChoiceAxis([1, 2], labels=[EVIL, f"<{script}"], name=NAME),
        "c": gx.ChoiceAxis([1, 2], labels=[EVIL, TEX], attrs={"units": TEX}, name="c" + NAME),
        # Names that mean something else in JavaScript, or to the page.
        "constructor": gx.GridAxis(0, 1, 2),
        "d": gx.GridAxis(0, 1, 3, name="1"),
        "e": gx.GridAxis(0, 1, 4, name="0"),
        "fixed": EVIL,
    }

    def model(state):
        course = xr.DataArray(np.arange(2.0), {"t": [EVIL, TEX]}, ["t"], attrs={"units": EVIL})
        outputs = {EVIL: course, NAME: 1.0, "json": course, "ready": 2.0, "__proto__": course}
        return outputs | {"7": float(state["d"]), "3": float(state["e"])}

    result = run(model, gx.Space(state, mode="product"))
    file = script.replace("/", "|")
    result.dataset.encoding["source"] = f"/somewhere/{file}.nc"
    result.explore("7", "0", "1").save(folder / "evil.html")
    page = Page(
        browser,
        f"file://{folder / 'evil.html'}",
        f"{EVIL} = 1 [{EVIL}], {NAME} = <{script}, c{NAME} = {TEX} [{TEX}], constructor = 1",
    )
    wanted = result.dataset["7"].isel({EVIL: 1, NAME: 1, "c" + NAME: 1, "constructor": 1})
    assert same_map(page, wanted.transpose("1", "0"))
    page.press("c" + NAME, "ArrowLeft")
    for output in result.dataset.data_vars:
        page.choose("output", output)
        label = axis_label(output, result.dataset[output].attrs)
        page.until("return JSON.parse(model('frame').data.json[0]).label === given[0]", label)
    for name in page.options("x"):
        page.choose("x", name)
        page.until("return JSON.parse(model('frame').data.json[0]).x.name === given[0]", name)
    page.click(0, 0)
    assert page.page.evaluate("window.ran") is None
    assert page.page.locator("img").count() == 0
    assert page.page.title() == f"{file}.nc: 192 points"
    page.close()


def test_too_much_for_a_page_is_refused(folder, result):
    explorer = result.explore()
    text = (
        "the page would hold 3.41 kB (rate 240 B, x 1.44 kB, fc 1.44 kB, on 240 B), more than "
        "max_bytes=1 kB; select some outputs with outputs=, or raise max_bytes"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        explorer.save(folder / "large.html", max_bytes="1 kB")
    with pytest.raises(
        ValueError, match=re.escape("no output 'q' of real numbers; the outputs are rate, x, ")
    ):
        explorer.save(folder / "large.html", outputs=["rate", "q"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        explorer.save(folder / "nowhere" / "page.html")
    assert not (folder / "large.html").exists()
    explorer.save(folder / "small.html", outputs="on", max_bytes="1 kB")
    assert "firing rate" not in (folder / "small.html").read_text(encoding="utf-8")
