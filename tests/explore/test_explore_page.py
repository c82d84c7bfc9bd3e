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
from gridax._memory import human
from gridax.explore import _cube
from gridax.explore._cube import View
from gridax.explore._page import page as page_of
from gridax.explore._plot import javascript
from gridax.explore._style import THEMES
from gridax.result import template_of_result
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
gx.open_result(sys.argv[1]).explore("rate", sel={"trial": 2}).show(int(sys.argv[2]), open_browser=False)
"""


@pytest.fixture(scope="module")
def address(request, folder, result):
    """The address of the explorer of `result`: a file that was saved, or a server."""
    if request.param == "saved":
        result.explore("rate", sel={"trial": 2}).save(folder / "page.html")
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

    def __init__(self, browser, address, note, width=1350, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
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
        self.until("return model('help').text !== ''")
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
        find = f"([what, value]) => {{ {FIND} return model(what).options.find((o) => o[0] === value)[1] }}"
        title = self.page.evaluate(find, [what, value])
        self.page.locator("select").nth(place).select_option(label=title)

    def options(self, what):
        place = ("output", "x", "y").index(what)
        return self.page.locator("select").nth(place).locator("option").all_inner_texts()

    def pick(self, name, text):
        """Choose a label in the drop-down of a dimension, or a color map, or a theme."""
        self.page.locator(f"select[name='{name}']").select_option(label=text)

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
        names = ["global coupling (G)", "sigma", "trial", "time"]
        assert page.options("x") == names
        assert page.options("y") == ["(values, as a line)", *names]

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
        page.until("return JSON.parse(model('frame').data.json[0]).output === 'fc'")
        page.choose("x", "from")
        page.choose("y", "to")
        page.until_note("G = 0.5, sigma = 0.01 [mV], trial = 2")
        assert same_map(page, ds["fc"].isel(G=2, sigma=1, trial=2))

    def test_the_error_of_a_point_that_failed_is_shown(self, page, result):
        page.click(4, 2)
        page.until("return model('table').text.includes('Failed')")
        page.page.locator(".bk-Tooltip:visible").wait_for()
        texts = ["global coupling (G): 1", "sigma: 0.1 [mV]", "firing rate (rate): nan"]
        assert hovered(page) == texts
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
    page = Page(browser, f"file://{folder / 'points.html'}", "trial = 0")
    page.click(0.38, 20.5)
    page.until("return model('table').text.includes('<b>0.4</b>')")
    assert page.table()[1:4] == [["a", "0.4"], ["b", "20"], ["trial", "0"]]
    drawn, frame = page.drawn(), page.frame()
    assert (drawn["x"], drawn["y"]) == ([0.1, 0.1, 0.4, 0.9], [10, 30, 20, 10])
    np.testing.assert_array_equal(frame["z"], result.dataset["y"].isel(trial=0).astype(np.float32))
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
    explorer = result.explore("y", "a", "b")
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
    assert page.table()[-3:-1] == [["n", "123456789"], ["on", "True"]]
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
    start = {NAME: f"<{script}", "c" + NAME: TEX}
    result.explore("7", "0", "1", sel=start).save(folder / "evil.html")
    page = Page(
        browser,
        f"file://{folder / 'evil.html'}",
        f"{EVIL} = 1 [{EVIL}], {NAME} = <{script}, c{NAME} = {TEX} [{TEX}], constructor = 1",
    )
    wanted = result.dataset["7"].isel({EVIL: 1, NAME: 1, "c" + NAME: 1, "constructor": 1})
    assert same_map(page, wanted.transpose("1", "0"))
    page.page.locator(".bk-Select select").nth(4).select_option(index=0)
    for output in result.dataset.data_vars:
        page.choose("output", output)
        page.until("return JSON.parse(model('frame').data.json[0]).output === given[0]", output)
    for name in result.dataset["3"].dims:
        page.choose("x", name)
        page.until("return JSON.parse(model('frame').data.json[0]).x.name === given[0]", name)
    page.click(0, 0)
    assert page.page.evaluate("window.ran") is None
    assert page.page.locator("img").count() == 0
    assert page.page.title() == f"{file}.nc: 192 points"
    page.close()


def test_too_much_for_a_page_is_refused(folder):
    """The size is that of the file, with labels and code, and the advice can be followed."""
    space = product(a=gx.GridAxis(0, 1, 300), b=gx.ChoiceAxis(["p" * 400, "q" * 400]))
    wave = xr.DataArray(RANDOM.normal(size=(2, 300, 1000)), dims=("b", "a", "time"))
    result = run(lambda s: {"y": 1.0, "wave": wave.values[0, 0]}, space)
    explorer = gx.Result(
        result.dataset.assign(
            wave=(("a", "b", "wave_dim_0"), wave.transpose("a", "b", "time").values)
        ),
        space,
        template_of_result(result),
    ).explore()
    explorer.save(folder / "large.html")
    size = (folder / "large.html").stat().st_size
    assert size > 3e6
    text = f"the page would have {human(size)}, more than max_bytes={human(size - 1)}: wave 3.2 MB"
    with pytest.raises(ValueError, match=re.escape(text)) as error:
        explorer.save(folder / "refused.html", max_bytes=size - 1)
    message = str(error.value)
    assert "labels " in message
    assert "the code of the page 1." in message
    assert message.endswith(
        "; save fewer outputs with outputs=['y'], keep one in 10 labels of a dimension with "
        "every={'wave_dim_0': 10}, or raise max_bytes"
    )
    with pytest.raises(ValueError, match=r"^the page would have about \d\.\d+ MB, more than "):
        explorer.save(folder / "refused.html", max_bytes="100 kB")
    assert not (folder / "refused.html").exists()
    explorer.save(folder / "fewer.html", outputs=["y"], max_bytes="2.5 MB")
    explorer.save(folder / "thin.html", every={"wave_dim_0": 10}, max_bytes="2.5 MB")


def test_wrong_arguments_of_save_are_refused(folder, result):
    explorer = result.explore()
    for given, error, text in [
        ({"outputs": ["rate", "q"]}, ValueError, "no output 'q'; the outputs are rate, x, "),
        (
            {"every": {"q": 2}},
            ValueError,
            "every='q' is no dimension; the dimensions are G, sigma, ",
        ),
        ({"every": {"G": 0}}, ValueError, "save: every['G'] must be at least 1, got 0"),
        ({"max_bytes": "much"}, ValueError, "max_bytes must be a positive number of bytes or text"),
    ]:
        with pytest.raises(error, match=re.escape(text)):
            explorer.save(folder / "refused.html", **given)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        explorer.save(folder / "nowhere" / "page.html")
    assert not (folder / "refused.html").exists()


def test_a_saved_page_may_hold_some_outputs_and_labels(browser, folder, result):
    explorer = result.explore("x", x="time", y="", sel={"G": 0.75, "trial": 3})
    explorer.save(folder / "part.html", outputs="x", every={"time": 2, "trial": 2})
    page = Page(browser, f"file://{folder / 'part.html'}", "G = 0.75, sigma = 0.01 [mV], trial = 2")
    wanted = result.dataset["x"].isel(G=3, sigma=1, trial=2, time=slice(None, None, 2))
    assert same_line(page, [0, 1, 2], wanted)
    assert page.options("output") == ["x"]
    page.close()


# ---- what a reader sees


@pytest.fixture(scope="module")
def mixed(folder):
    """A page of outputs of different kinds, over axes of different kinds."""
    space = product(
        G=gx.GridAxis(0, 1, 5, attrs={"units": "mV", "long_name": "global coupling"}),
        sigma=gx.LogGridAxis(1e-3, 1e-1, 3),
        integrator=gx.ChoiceAxis(["heun", "euler"]),
        key=gx.KeyAxis(12, name="trial"),
    )

    def model(state):
        found = {
            "on": bool(state["G"] > 0.4),
            "n": int(4 * state["G"]),
            "level": 10.0 ** (4 * state["G"] - 2) if state["G"] > 0 else 0.0,
        }
        return xr.Dataset({name: ((), value) for name, value in found.items()})

    result = run(model, space)
    result.explore("on", x="G", y="sigma").save(folder / "mixed.html")
    return f"file://{folder / 'mixed.html'}"


START = "integrator = heun, trial = 0"
TICKS = f"""(kind) => {{
  {FIND}
  const figure = model(kind), bar = figure.right[0];
  const texts = (axis, range) => {{
    const {{ticker, formatter}} = axis, {{start, end}} = range;
    const {{major}} = ticker.get_ticks(start, end, range, NaN);
    return formatter.doFormat(major, {{loc: 0}});
  }};
  const {{low, high}} = bar.color_mapper;
  return {{
    x: texts(figure.below[0], figure.x_range), y: texts(figure.left[0], figure.y_range),
    bar: texts(bar, {{start: low, end: high}}), low, high,
  }};
}}"""


def hovered(page):
    """Return the texts of the tooltip that is shown."""
    return page.page.locator(".bk-Tooltip .bk-tooltip-row-value").all_inner_texts()


def test_bools_have_two_colors_and_are_called_by_their_names(browser, mixed):
    page = Page(browser, mixed, START)
    ticks = page.page.evaluate(TICKS, "map")
    assert ticks["bar"] == ["False", "True"]
    assert (ticks["x"], ticks["y"]) == (
        ["0", "0.2", "0.4", "0.6", "0.8", "1"],
        ["0.001", "0.01", "0.1"],
    )
    page.click(0, 2)
    page.until("return model('table').text.includes('<b>0.1</b>')")
    assert page.table()[1:] == [
        ["G", "0 [mV]"],
        ["sigma", "0.1"],
        ["integrator", "heun"],
        ["trial", "0"],
        ["Outputs"],
        ["on", "False"],
        ["n", "0"],
        ["level", "0"],
    ]
    page.page.locator(".bk-Tooltip:visible").wait_for()
    assert hovered(page) == ["global coupling (G): 0 [mV]", "sigma: 0.1", "on: False"]
    page.choose("y", "")
    page.until("return model('line').visible")
    assert page.page.evaluate(TICKS, "line")["y"] == ["False", "True"]
    # The mean of bools is a number.
    page.average("trial")
    page.until_note("sigma = 0.1, integrator = heun, mean over trial")
    assert "0.2" in page.page.evaluate(TICKS, "line")["y"]
    page.choose("output", "n")
    page.until("return JSON.parse(model('frame').data.json[0]).output === 'n'")
    page.average("trial")
    page.until_note("sigma = 0.1, integrator = heun, trial = 0")
    assert page.page.evaluate(TICKS, "line")["y"] == ["0", "1", "2", "3", "4"]
    page.close()


def test_a_drop_down_chooses_among_alternatives(browser, mixed):
    page = Page(browser, mixed, START)
    assert page.sliders() == ["trial: 0"]
    page.pick("at integrator", "euler")
    page.until_note("integrator = euler, trial = 0")
    page.until("return model('table').text.includes('<b>euler</b>')")
    page.close()


def test_arrow_keys_move_the_point(browser, mixed):
    page = Page(browser, mixed, START)
    keys = page.page.keyboard
    assert page.drawn()["mark"] == [2, 1]
    for key, mark in [
        ("ArrowRight", [3, 1]),
        ("ArrowUp", [3, 2]),
        ("ArrowUp", [3, 2]),  # the end
        ("ArrowDown", [3, 1]),
        ("ArrowLeft", [2, 1]),
        ("Shift+ArrowRight", [4, 1]),
    ]:
        keys.press(key)
        page.until(
            "return JSON.stringify(given) === JSON.stringify("
            "[model('map').renderers.at(-1).data_source.data].map((d) => [d.x[0], d.y[0]])[0])",
            *mark,
        )
        assert page.drawn()["mark"] == mark
    # In a control, the same keys do what they do there.
    page.press("trial", "ArrowRight")
    page.until_note("integrator = heun, trial = 1")
    assert page.drawn()["mark"] == [4, 1]
    help_text = page.page.evaluate(f"() => {{ {FIND} return model('help').text }}")
    assert "move the mark with the keys" in help_text
    page.page.evaluate("document.activeElement.blur()")
    page.choose("y", "")
    page.until("return model('line').visible")
    page.page.evaluate("document.activeElement.blur()")
    keys.press("ArrowLeft")
    page.until("return model('line').renderers.at(-1).data_source.data.x[0] === 0.75")
    page.close()


def test_arrow_keys_go_to_the_next_of_scattered_points(browser, folder):
    places = {"a": [0.1, 0.5, 0.9, 0.5], "b": [0.5, 0.1, 0.5, 0.9]}
    space = gx.Space({name: gx.DataAxis(values) for name, values in places.items()}, "zip")
    run(lambda s: {"y": s["a"]}, space).explore(sel={"a": 0.1, "b": 0.5}).save(folder / "zip.html")
    page = Page(browser, f"file://{folder / 'zip.html'}", "")
    assert page.drawn()["mark"] == [0.1, 0.5]
    for key, mark in [
        ("ArrowUp", [0.5, 0.9]),
        ("ArrowDown", [0.5, 0.1]),
        ("ArrowRight", [0.9, 0.5]),
        ("ArrowRight", [0.9, 0.5]),
    ]:
        page.page.keyboard.press(key)
        page.until(
            "const {x, y} = model('line').renderers.at(-1).data_source.data;"
            "return x[0] === given[0] && y[0] === given[1]",
            *mark,
        )
    page.close()


def test_colors_limits_and_a_logarithmic_scale(browser, mixed):
    page = Page(browser, mixed, START)
    page.choose("output", "level")
    page.until("return JSON.parse(model('frame').data.json[0]).output === 'level'")
    shown = page.page.evaluate(TICKS, "map")
    assert (shown["low"], shown["high"]) == (0, 100)
    page.page.locator(".bk-Checkbox", has_text="log scale").locator("input").click()
    page.until("return Math.abs(model('map').right[0].color_mapper.low + 1) < 1e-6")
    logarithmic = page.page.evaluate(TICKS, "map")
    assert logarithmic["high"] == 2
    assert logarithmic["bar"] == ["0.1", "1", "10", "100"]
    text = page.page.evaluate(f"() => {{ {FIND} return model('help').text }}")
    assert "3 cells are not shown, as they are not positive." in text
    page.page.locator("input[name=vmin]").fill("1")
    page.page.locator("input[name=vmin]").press("Enter")
    page.until("return model('map').right[0].color_mapper.low === 0")
    page.page.locator(".bk-Checkbox", has_text="log scale").locator("input").click()
    page.until("return model('map').right[0].color_mapper.low === 1")
    page.page.locator(".bk-Checkbox", has_text="keep limits").locator("input").click()
    page.until("return model('vmax').value === 100 && model('vmin').value === 1")
    before = page.page.evaluate(
        f"() => {{ {FIND} return model('map').right[0].color_mapper.palette }}"
    )
    page.pick("cmap", "viridis_r")
    page.until("return model('map').right[0].color_mapper.palette[0] === given[0]", before[-1])
    # Limits belong to one output.
    page.choose("output", "n")
    page.until(
        "return model('vmin').value === null && model('map').right[0].color_mapper.high === 4"
    )
    page.close()


GROUND = f"""() => {{
  {FIND}
  const figure = model("map"), root = Bokeh.index.find_one(model("explorer")).el;
  const axis = figure.below[0], label = Bokeh.index.find_one(model("x")).shadow_el.querySelector("label");
  return {{
    page: getComputedStyle(document.body).backgroundColor,
    root: getComputedStyle(root).backgroundColor,
    label: getComputedStyle(label).color,
    figure: figure.border_fill_color, axis: axis.major_label_text_color,
    title: figure.right[0].title_text_color,
  }};
}}"""


def rgb(color):
    return f"rgb({', '.join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))})"


def colors_of(theme):
    page, text = THEMES[theme]["page"], THEMES[theme]["text"]
    return {
        "page": rgb(page),
        "root": rgb(page),
        "label": rgb(text),
        "figure": page,
        "axis": text,
        "title": text,
    }


def test_the_theme_follows_the_system_and_a_switch(browser, mixed):
    for scheme in ("light", "dark"):
        page = Page(browser, mixed, START, color_scheme=scheme)
        assert page.page.evaluate(GROUND) == colors_of(scheme)
        page.page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
        page.until("return model('map').border_fill_color !== given[0]", THEMES[scheme]["page"])
        page.pick("theme", scheme)
        page.until("return model('map').border_fill_color === given[0]", THEMES[scheme]["page"])
        assert page.page.evaluate(GROUND) == colors_of(scheme)
        page.close()


@pytest.mark.parametrize(
    ("body", "scheme"),
    [
        ('data-jp-theme-light="false"', "dark"),
        ('data-jp-theme-light="true"', "light"),
        ('data-vscode-theme-kind="vscode-dark"', "dark"),
        ("", "dark"),
    ],
)
def test_in_a_notebook_the_theme_is_that_of_the_notebook(browser, folder, result, body, scheme):
    """And keys move the point only where the explorer has the focus, and leave the rest alone."""
    board = result.explore("rate")._board(page=False)
    text = page_of(board.layout, "notebook").replace("<body>", f"<body {body}>")
    (folder / "notebook.html").write_text(text, encoding="utf-8")
    other = "light" if scheme == "dark" and body else "dark"
    page = Page(browser, f"file://{folder / 'notebook.html'}", "trial = 0", color_scheme=other)
    seen = page.page.evaluate(GROUND)
    assert {**seen, "page": ""} == {**colors_of(scheme), "page": ""}
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowUp")
    assert page.drawn()["mark"] == [2, 1]
    page.page.locator(".bk-Row").first.focus()
    page.page.keyboard.press("ArrowRight")
    page.until("return JSON.parse(model('picked').data.json[0]).at.G === 3")
    page.close()


@pytest.mark.parametrize("width", [320, 390, 844])
def test_a_narrow_window_has_all_and_nothing_beyond_its_edge(browser, address_of_all, width):
    page = Page(browser, address_of_all, "trial = 0", width, has_touch=True, is_mobile=True)
    assert page.page.evaluate("document.documentElement.scrollWidth") == width
    for box in [
        *page.page.locator("select:visible, input[type=text]:visible").all(),
        *page.page.locator(".bk-Figure:visible").all(),
    ]:
        place = box.bounding_box()
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= width
    # What a finger touches is not small, and a finger on a plot scrolls the page.
    for box in page.page.locator("select:visible, input:visible").all():
        assert box.bounding_box()["height"] >= 36
    active = (
        f"() => {{ {FIND} return model('map').toolbar.tools.filter((tool) => tool.active)"
        ".map((tool) => tool.type) }"
    )
    assert "PanTool" not in page.page.evaluate(active)
    page.close()


@pytest.fixture(scope="module")
def address_of_all(folder, result):
    result.explore("rate").save(folder / "all.html")
    return f"file://{folder / 'all.html'}"


# ---- ticks and numbers


DAY = 86_400_000
YEAR_2026 = 1_767_225_600_000  # in milliseconds


@pytest.mark.parametrize(
    ("kind", "ends", "texts"),
    [
        ("number", (-0.2, 1.05), ["-0.2", "0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ("number", (1.2e6, 3.4e6), ["1.5e6", "2e6", "2.5e6", "3e6"]),
        ("number", (0, 2.5e-5), ["0", "5e-6", "1e-5", "1.5e-5", "2e-5", "2.5e-5"]),
        ("number", (3, 3), ["3"]),
        ("integer", (0, 3), ["0", "1", "2", "3"]),
        ("integer", (0, 90), ["0", "20", "40", "60", "80"]),
        ("log", (-3, 2), ["0.001", "0.01", "0.1", "1", "10", "100"]),
        ("log", (0, 1), ["1", "2", "5", "10"]),
        ("log", (0.3, 0.7), ["2", "2.5", "3", "3.5", "4", "4.5", "5"]),
        ("date", (YEAR_2026, YEAR_2026 + 4 * DAY), [f"2026-01-0{i}" for i in range(1, 6)]),
        (
            "date",
            (YEAR_2026, YEAR_2026 + DAY / 4),
            [f"2026-01-01{clock}" for clock in ("", " 01:00", " 02:00", " 03:00", " 04:00", " 05:00", " 06:00")],
        ),
        (
            "date",
            (YEAR_2026, YEAR_2026 + 365 * DAY),
            ["2026-01-01", "2026-03-01", "2026-05-01", "2026-07-01", "2026-09-01", "2026-11-01", "2027-01-01"],
        ),
        (
            "date",
            (YEAR_2026, YEAR_2026 + 3660 * DAY),
            ["2026-01-01", "2028-01-01", "2030-01-01", "2032-01-01", "2034-01-01", "2036-01-01"],
        ),
        ("texts", (-0.5, 4.5), ["a", "b", "c", "d", "e"]),
    ],
)  # fmt: skip
def test_ticks_are_at_round_numbers_and_dates(browser, kind, ends, texts):
    page = browser.new_page()
    code = """([ticks, labels, cb_data, scale]) => {
      const places = new Function("cb_data", "scale", "most", ticks)(cb_data, scale, 7)
      const text = new Function("tick", "scale", "letters", labels)
      return places.map((tick) => text(tick, scale, 20))
    }"""
    labels = f"{javascript('number')}\n{javascript('labels')}"
    scale = {"kind": kind, "start": 0, "step": 1, "texts": list("abcde")}
    view = {"start": ends[0], "end": ends[1]}
    assert page.evaluate(code, [javascript("ticks"), labels, view, scale]) == texts
    if kind != "texts":  # where cells are counted, ticks are at the same numbers
        step = (ends[1] - ends[0]) / 50 or 1
        scale |= {"start": ends[0], "step": step}
        view = {"start": 0, "end": (ends[1] - ends[0]) / step}
        assert page.evaluate(code, [javascript("ticks"), labels, view, scale]) == texts
    page.close()


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, "b", "True"),
        (False, "b", "False"),
        (1, "b", "True"),
        (0, "b", "False"),
        (123456789, "i", "123456789"),
        (0.1, "f", "0.1"),
        (1 / 3, "f", "0.333333"),
        (1234.5678, "f", "1234.57"),
        (120, "f", "120"),
        (2.5e6, "f", "2.5e6"),
        (-1.25e-7, "f", "-1.25e-7"),
        (float("nan"), "f", "nan"),
        (float("-inf"), "f", "-inf"),
        ("inf", "f", "inf"),
    ],
)
def test_numbers_and_bools_are_written_as_they_are(browser, value, kind, text):
    page = browser.new_page()
    code = "([number, value, kind]) => new Function('value', 'kind', number)(value, kind)"
    number = f"{javascript('number')}\nreturn short(value, kind)"
    assert page.evaluate(code, [number, value, kind]) == text
    page.close()
