"""What spaces, plans, results and axes show of themselves: in terminals and in notebooks."""

from __future__ import annotations

import html.parser
import re
import tracemalloc
from collections import Counter
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st

import gridax as gx
from gridax._axes.base import brief, call
from gridax._checks import selection_keywords, unusable
from gridax._plan.plan import Level, Plan
from gridax._plan.progress import Progress
from gridax._show.html import grid_drawing, table
from gridax._text import count, elide, join_within, one_line, shorten, shorten_middle

# What a page must show and not obey.
EVIL = "<script>alert('a')</script>\"'><img src=x onerror=alert(1)>&amp;"
EVIL_NAME = EVIL.replace("/", "|")

VOID = {"br", "img", "input"}


class Page(html.parser.HTMLParser):
    """The elements of a page, which must be closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.is_open: list[bool] = []
        self.tables: list[list[list[str]]] = []
        self.is_ours = False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.texts.append("" if tag == "b" else " ")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "details":
            self.is_open.append(("open", None) in attrs)
        if tag == "table":
            self.is_ours = self.attributes[-1] == ("div", "class", "gridax-scroll")
            self.tables += [[]] * self.is_ours
        if self.is_ours and tag == "tr":
            self.tables[-1].append([])
        if self.is_ours and tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(text)
        if self.is_ours and {"td", "th"} & set(self.open[-2:]):
            self.tables[-1][-1][-1] += text

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def values_of(self, attribute: str) -> list[str | None]:
        return [value for _, name, value in self.attributes if name == attribute]


def page(shown: Any) -> Page:
    return Page(shown._repr_html_())


def product(**axes: Any) -> gx.Space:
    return gx.Space(axes, mode="product")


def many(n: int, size: int = 3) -> gx.Space:
    return product(**{f"a{i:03d}": gx.GridAxis(0, 1, size) for i in range(n)})


SPACE = gx.Space(
    {
        "G": gx.GridAxis(0.1, 0.8, 8, attrs={"units": "mV", "long_name": "global coupling"}),
        "age": gx.DataAxis([31, 44, 58], group="subject", attrs={"units": "years"}),
        "trial": gx.KeyAxis(16),
        "W": gx.DataAxis(np.ones((3, 4, 4)), group="subject"),
        "solver": gx.ChoiceAxis(["euler", "heun"]),
        "dt": 0.1,
        "f": np.sin,
        "lengths": np.ones((84, 84)),
        "_hidden": 3,
    },
    mode="product",
)


class Own(gx.Axis):
    """An axis that shows itself as a test wants."""

    size = 2

    def __init__(self, shown: str, **options: Any) -> None:
        super().__init__(**options)
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        return jax.numpy.arange(2.0)


# Text


@pytest.mark.parametrize(
    "choices",
    [
        [[1, 2], [3]],
        [(1, 2), (3, 4)],
        [np.ones(2), np.zeros(3)],
        [np.ones((2, 2)), np.zeros((2, 2))],
        [jax.random.key(0), jax.random.key(1)],
        [xr.DataArray([1.0, 2.0]), xr.DataArray([3.0])],
    ],
    ids=["lists", "tuples", "arrays", "matrices", "keys", "DataArrays"],
)
def test_choices_of_arrays_are_shown_like_other_choices(choices):
    axis = gx.ChoiceAxis(choices, labels=["a", "b"])
    space = gx.Space({"c": axis, "x": gx.GridAxis(0, 1, 2)}, mode="product")
    result = gx.SequentialExecution(lambda s: s["x"], space).run(progress=False)
    assert re.search(r"c +'a' 'b' +ChoiceAxis\(", repr(space))
    for shown in (space, result):
        assert "ChoiceAxis of" not in repr(shown) + shown._repr_html_()


def test_the_text_of_a_space_lists_axes_by_dimension_and_fixed_values() -> None:
    assert repr(SPACE).splitlines() == [
        "<gridax.Space: 768 points, product>",
        "Dimensions:  (G: 8, subject: 3, trial: 16, solver: 2)",
        "Axes:",
        "    G                  0.1 … 0.8 mV    GridAxis(0.1, 0.8, 8)",
        "    age     (subject)  31 44 58 years  DataAxis([31, 44, 58])",
        "    W       (subject)  0 1 2           DataAxis(<float64[3,4,4]>)",
        "    trial              0 … 15          KeyAxis(16)",
        "    solver             'euler' 'heun'  ChoiceAxis(('euler', 'heun'))",
        "Fixed:  dt = 0.1",
    ]


def test_the_text_of_a_selection_says_what_was_selected() -> None:
    lines = repr(SPACE.isel(G=[2, 1], subject=1, solver=0)).splitlines()
    assert lines[1] == "Dimensions:  (G: 2, trial: 16)"
    assert lines[3:8] == [
        "    G           0.3 0.2 mV  GridAxis(0.1, 0.8, 8)",
        "    trial       0 … 15      KeyAxis(16)",
        "    age     ()  44 years    DataAxis([31, 44, 58])",
        "    W       ()  1           DataAxis(<float64[3,4,4]>)",
        "    solver  ()  'euler'     ChoiceAxis(('euler', 'heun'))",
    ]
    assert "    age     (point)  31 44 years" in repr(SPACE[[0, 40]])


def test_the_text_of_many_axes_leaves_out_those_between() -> None:
    lines = repr(many(500)).splitlines()
    assert lines[0] == "<gridax.Space: 3.64e+238 points, product>"
    assert lines[1] == (
        "Dimensions:  (a000: 3, a001: 3, a002: 3, a003: 3, …, a497: 3, a498: 3, a499: 3)"
    )
    assert lines[2] == "Axes: (12/500)"
    assert [line.split()[0] for line in lines[7:12]] == ["a004", "a005", "…", "a494", "a495"]
    assert len(lines) == 16
    with xr.set_options(display_max_rows=3):
        assert len(repr(many(500)).splitlines()) == 7


def test_long_names_and_calls_are_shortened() -> None:
    name = "coupling.layers[0]." + "x" * 80 + ".strength"
    axis = gx.NumPyroAxis(dist.Normal(0.0, 1.0), 3, name=name)
    lines = repr(product(a=axis)).splitlines()
    assert lines[1] == f"Dimensions:  ({name[:32]}…{name[-29:]}: 3)"
    assert lines[3].startswith("    coupling.lay…xx.strength  -0.1848 0.2663 0.307  ")
    assert lines[3].endswith("NumPyroAxis(Normal(loc=0.0…)")


def test_an_axis_is_described_by_its_call() -> None:
    axis = gx.GridAxis(0, 1, 3, name="G", attrs={"long_name": "a very long name " * 9})
    assert len(repr(axis)) == 80
    assert repr(axis).startswith("GridAxis(0.0, 1.0, 3, name='G', attrs={'long_name': 'a very")
    assert repr(axis).endswith("…)")
    assert call(axis).endswith("…})")
    assert brief(axis) == "GridAxis(0.0, 1.0, 3)"
    assert brief(gx.ChoiceAxis(["group=", "b"], group=3)) == "ChoiceAxis(('group=', 'b'))"
    with xr.set_options(display_width=30):
        assert repr(axis) == "GridAxis(0.0, 1.0, 3, name='…)"


def test_the_repr_of_an_axis_of_ones_own_is_put_in_one_line() -> None:
    space = product(a=Own("Own(\n  [1,\n   2])\x1b[31m"))
    assert (
        repr(space).splitlines()[3] == "    a  0.0 1.0  Own( [1, 2])\N{REPLACEMENT CHARACTER}[31m"
    )


def test_the_text_of_a_result_tells_its_size_and_its_state() -> None:
    def model(state: Any) -> Any:
        if state["x"] > 3:
            raise RuntimeError("too large")
        return {"y": np.zeros(10)}

    space = product(x=gx.DataAxis([1, 2, 5, 3]))
    part = gx.SequentialExecution(model, space).run(progress=False, on_error="record")
    assert repr(part).splitlines()[0] == "<gridax.Result: 3 of 4 points done, 1 failed, 320 B>"
    whole = gx.SequentialExecution(model, space[:2]).run(progress=False)
    assert repr(whole).splitlines()[:2] == [
        "<gridax.Result: 2 points, 160 B>",
        "<xarray.Dataset> Size: 176B",
    ]


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_an_opened_result_says_where_it_lies(save: str, tmp_path: Any) -> None:
    path = tmp_path / "sweep"
    result = gx.SequentialExecution(lambda s: 1.0, product(x=gx.GridAxis(0, 1, 2))).run(
        progress=False
    )
    assert "File:" not in page(result).text
    getattr(result, save)(path)
    opened = gx.open_result(path)
    assert f"File: {path}" in page(opened).text
    with xr.set_options(display_width=500):
        assert repr(opened).splitlines()[0] == f"<gridax.Result: 2 points, 16 B, in {path}>"
    with xr.set_options(display_width=50):
        assert repr(opened).splitlines()[0].endswith("sweep>")


WIDTHS = st.integers(24, 160)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=90)
NAMES = NAMES.filter(lambda name: unusable(name) is None and name not in selection_keywords())
ATTRS = st.dictionaries(st.sampled_from(["units", "long_name", "note"]), st.text(max_size=60))
LABELS = st.text(st.characters(exclude_characters="\0"), max_size=40)
VALUES = st.floats(-1e9, 1e9, allow_subnormal=False).map(np.float32).map(float)


@st.composite
def axes(draw: st.DrawFn, name: str) -> gx.Axis:
    attrs = {k: v for k, v in draw(ATTRS).items() if "since" not in v}
    options: dict[str, Any] = {"name": name, "attrs": attrs}
    options["group"] = draw(st.sampled_from([None, None, "g", "a group with a rather long name"]))
    n = draw(st.integers(1, 40))
    match draw(st.integers(0, 5)):
        case 0:
            return gx.GridAxis(0, draw(st.floats(1, 1e30)), n, **options)
        case 1:
            return gx.KeyAxis(n, **options)
        case 2:
            texts = draw(st.lists(LABELS, min_size=1, max_size=9, unique=True))
            return gx.ChoiceAxis(texts, **options)
        case 3:
            values = draw(st.lists(VALUES, min_size=1, max_size=9, unique=True))
            return gx.DataAxis(values, **options)
        case 4:
            return Own(draw(st.text(max_size=200)), **options)
    return gx.DataAxis(np.zeros((n, 2, 2)), **options)


@st.composite
def spaces(draw: st.DrawFn) -> gx.Space:
    names = draw(st.lists(NAMES, min_size=1, max_size=16, unique=True))
    state: dict[str, Any] = {f"axis {i}": draw(axes(name)) for i, name in enumerate(names)}
    for i, name in enumerate(draw(st.lists(NAMES, max_size=9))):
        state[f"{name} {i}"] = draw(st.one_of(st.integers(-9, 9), st.floats(), st.text()))
    try:
        return gx.Space(state, mode=draw(st.sampled_from(["product", "zip"])))
    except ValueError:  # such as an axis that bears the name of another one's values
        assume(False)
        raise


@pytest.mark.filterwarnings("ignore:the .* differ in size")
@given(spaces(), WIDTHS, st.integers(1, 15))
@pytest.mark.slow
def test_no_line_of_a_space_or_axis_is_wider_than_it_shall_be(
    space: gx.Space, width: int, most: int
) -> None:
    few = space.isel({space.dims[0]: 0})
    with xr.set_options(display_width=width, display_max_rows=most):
        for text in (repr(space), repr(few), repr(space[[0, -1]])):
            assert all(len(line) <= width for line in text.splitlines())
            assert len(text.splitlines()) <= most + 5
        assert all(
            len(repr(axis)) <= width for axis in space.axes.values() if type(axis) is not Own
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* differ in size")
@given(spaces())
def test_the_html_of_any_space_is_well_formed(space: gx.Space) -> None:
    shown = page(space)
    assert "script" not in shown.tags
    assert len(shown.tables[0]) == len(space.axes) + 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* differ in size")
@given(spaces(), WIDTHS)
def test_no_line_of_a_result_is_wider_than_it_shall_be(space: gx.Space, width: int) -> None:
    space = space[[0, -1]] if space.N > 1 else space
    result = gx.SequentialExecution(lambda state: {"output" * 9: 1.0}, space).run(progress=False)
    with xr.set_options(display_width=width):
        assert all(len(line) <= width for line in repr(result).splitlines())
    page(result)


@given(st.lists(NAMES, max_size=30, unique=True), st.integers(1, 10**30))
def test_no_line_of_a_plan_is_wider_than_a_terminal(dims: list[str], size: int) -> None:
    n = len(dims)
    levels = [Level((dim,), 3, 2) for dim in range(0, n - 1, 2)]
    levels += [Level(tuple(range(1, n, 2)), 7)] if n > 1 else []
    plan = Plan(tuple(dims), (size,) * n, (min(size, 5),) * n, tuple(levels))
    assert all(len(line) <= 80 for line in repr(plan).splitlines())
    assert len(repr(plan).splitlines()) == 7


def test_a_plan_of_more_points_than_64_bits_count_is_shown() -> None:
    plan = Plan(("a", "b"), (10**10,) * 2, (10**10,) * 2, (Level((0, 1), 64),), 1, 8)
    assert repr(plan).splitlines()[1:3] == [
        f"Points:  {10**20} (a {10**10} × b {10**10})",
        "Outputs: 800 EB",
    ]
    assert repr(plan).splitlines()[5] == f"Tiles:   {10**20 // 64} in a block"
    page(plan)


# HTML


def test_the_html_of_a_space_is_a_headline_tables_and_coordinates() -> None:
    shown = page(SPACE)
    assert shown.text.startswith("gridax.Space 768 points product axes hold 644 B Dimensions:")
    assert "(G: 8, subject: 3, trial: 16, solver: 2)" in shown.text
    assert shown.is_open == [True, False, False]
    found, fixed = shown.tables[:2]
    assert found == [
        ["name", "dimension", "labels", "long name", "axis"],
        ["G", "G: 8", "0.1 … 0.8 mV", "global coupling", "GridAxis(0.1, 0.8, 8)"],
        ["age", "subject: 3", "31 44 58 years", "", "DataAxis([31, 44, 58])"],
        ["W", "0 1 2", "", "DataAxis(<float64[3,4,4]>)"],
        ["trial", "trial: 16", "0 … 15", "", "KeyAxis(16)"],
        ["solver", "solver: 2", "'euler' 'heun'", "", "ChoiceAxis(('euler', 'heun'))"],
    ]
    assert shown.values_of("rowspan") == ["2"]
    assert fixed == [
        ["name", "value"],
        ["dt", "0.1"],
        ["f", "sin"],
        ["lengths", "<float64[84,84]>"],
    ]
    assert "xarray.Dataset" in shown.text


def test_axes_of_a_selection_have_no_dimension() -> None:
    rows = page(SPACE.isel(subject=0)).tables[0]
    assert ["age", "–", "31 years", "", "DataAxis([31, 44, 58])"] in rows
    assert ["W", "–", "0", "", "DataAxis(<float64[3,4,4]>)"] in rows


def test_long_calls_are_whole_under_the_mouse() -> None:
    axis = gx.ChoiceAxis([f"integrator {i}" for i in range(4)])
    assert "ChoiceAxis(('integrator 0', 'integrator 1', 'int…)" in page(product(a=axis)).text
    assert brief(axis) in page(product(a=axis)).values_of("title")


def test_the_html_of_a_result_tells_outputs_and_provenance() -> None:
    def model(state: Any) -> Any:
        x = xr.DataArray(np.ones(5), dims="time", attrs={"units": "Hz", "long_name": "rate"})
        return {"rate": x, "n": np.int16(3)}

    result = gx.SequentialExecution(model, SPACE.isel(trial=slice(2))).run(progress=False)
    shown = page(result)
    assert shown.text.startswith("gridax.Result 96 points product 4.03 kB Model: ")
    assert f"Model: {model.__module__}.{model.__qualname__}" in shown.text
    assert re.search(r"Run: 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, ", shown.text)
    assert shown.is_open == [True, False, False, True]
    assert shown.tables[0] == [
        ["name", "dimensions of its own", "dtype", "a point", "in all", "units", "long name"],
        ["n", "–", "int16", "2 B", "192 B", "", ""],
        ["rate", "time: 5", "float64", "40 B", "3.84 kB", "Hz", "rate"],
    ]
    assert shown.tables[1] == page(SPACE.isel(trial=slice(2))).tables[0]
    assert "pending" not in shown.text


def test_an_unfinished_result_shows_a_bar() -> None:
    bar = page(Progress(12_000, 3, 20_000))
    assert bar.text == "12 000 of 20 000 points done, 3 failed, 7997 pending"
    assert bar.values_of("style") == ["width:60%", "width:0.015%"]
    space = product(x=gx.DataAxis([1, 0]))
    part = gx.SequentialExecution(lambda s: 1 / int(s["x"]), space).run(
        progress=False, on_error="record"
    )
    for shown in (page(part), page(part.progress)):
        assert "1 of 2 points done, 1 failed" in shown.text
        assert shown.values_of("style")[:2] == ["width:50%", "width:50%"]


def test_the_html_of_a_plan_draws_blocks_and_a_tile() -> None:
    plan = Plan(("a", "b"), (100, 50), (20, 25), (Level((0,), 10), Level((1,), 5)), 1, 8, 99)
    shown = page(plan)
    for line in repr(plan).splitlines()[1:]:
        name, text = line.split(":", 1)
        assert f"{name}: {text.strip()}" in shown.text
    assert "block: a 20 × b 25" in shown.text
    assert "tile of 50 points" in shown.text
    assert [value for value in shown.values_of("class") if value == "gridax-tile"] == [
        "gridax-tile"
    ]
    (lines,) = map(str, shown.values_of("d"))
    assert (lines.count("H"), lines.count("V")) == (4, 1)


def shapes(plan: Plan) -> list[tuple[str, ...]]:
    """Return class, x, y, width and height of what is drawn of blocks and tiles."""
    names = ("class", "x", "y", "width", "height")
    found = re.findall(
        r"<rect class='gridax-(\w+)' " + " ".join(f"{n}='(.*?)'" for n in names[1:]),
        plan._repr_html_(),
    )
    return [tuple(shape) for shape in found]


@pytest.mark.parametrize(
    ("sizes", "block", "levels", "drawn"),
    [
        ((), (), (), []),
        ((1, 1), (1, 1), (Level((0, 1), 1),), []),
        ((10,), (5,), (Level((0,), 2),), ["block", "tile"]),
        ((30, 20), (10, 20), (Level((0, 1), 64),), ["block", "tile", "tile"]),
        ((30, 20), (10, 20), (Level((0, 1), 40),), ["block", "tile"]),
        ((30, 20), (10, 20), (Level((0, 1), 7),), ["block", "tile"]),
        ((30, 20, 2), (10, 20, 2), (Level((0, 2), 7), Level((1,), 2)), ["block"]),
        ((4, 3), (4, 3), (Level((0,), 2, groups=((0, 2), (1, 3))), Level((1,), 3)), ["block"]),
    ],
)
def test_only_what_is_a_rectangle_is_drawn(
    sizes: Any, block: Any, levels: Any, drawn: list[str]
) -> None:
    plan = Plan(tuple("abc"[: len(sizes)]), sizes, block, levels)
    assert [kind for kind, *_ in shapes(plan)] == drawn
    page(plan)


def test_a_tile_that_runs_through_rows_ends_within_one() -> None:
    whole, rest = shapes(Plan(("a", "b"), (30, 30), (30, 30), (Level((0, 1), 65),)))[1:]
    assert [float(x) for x in whole[1:]] == [0, 0, 150, 10]
    assert [float(x) for x in rest[1:]] == [0, 10, 25, 5]


def test_the_dimensions_that_are_cut_are_drawn() -> None:
    levels = (Level((0,), 1), Level((1,), 1), Level((2,), 1))
    text = page(Plan(("a", "b", "c"), (3, 100, 90), (1, 100, 30), levels)).text
    assert "block: a 1 × c 30" in text
    thousand = page(Plan(("a",), (1000,), (1,), (Level((0,), 1),)))
    assert thousand.values_of("d") == ["M0.24 0V24"]  # a thousand lines would be a black box


# Foreign text


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return everything that shows itself, with markup in all that a user may name."""
    attrs = {"units": EVIL, "long_name": EVIL, EVIL: EVIL}
    state = {
        "x": gx.GridAxis(0, 1, 2, name=EVIL_NAME, attrs=attrs),
        "own": Own(EVIL, group=EVIL_NAME + "g", attrs=attrs),
        "y": gx.ChoiceAxis([EVIL, "b"], group=EVIL_NAME + "g"),
        EVIL_NAME + "fixed": EVIL,
        EVIL: 1.0,
    }
    space = gx.Space(state, mode="product")

    def model(state: Any) -> Any:
        model.calls += 1
        if model.calls == 2:
            raise RuntimeError(EVIL)
        return {EVIL_NAME + "out": xr.DataArray(np.ones(2), dims=[EVIL_NAME + "dim"], attrs=attrs)}

    model.calls = 0
    model.__qualname__ = EVIL
    result = gx.SequentialExecution(model, space).run(progress=False, on_error="record")
    path = tmp_path_factory.mktemp("a") / "<script>alert('a')<img src=x onerror=alert(1)>.nc"
    result.to_netcdf(path)
    opened = gx.open_result(path)
    opened.dataset.attrs["device"] = opened.dataset.attrs["created"] = EVIL
    plan = Plan((EVIL_NAME, "b"), (4, 4), (2, 2), (Level((0,), 1), Level((1,), 2)))
    return [space, space[[0]], result, opened, plan, opened.progress]


def test_nothing_that_a_user_names_becomes_markup(evil: list[Any]) -> None:
    for thing in evil:
        shown = page(thing)
        assert not {"script", "img"} & set(shown.tags)
        assert not [name for _, name, _ in shown.attributes if name.startswith("on")]
        assert shown.tags["style"] == len(re.findall("<style>", thing._repr_html_()))
    space, _, result, opened, plan, _ = (page(thing).text for thing in evil)
    for text in (space, result, opened, plan):
        assert EVIL_NAME[:8] in text
    assert "File:" in opened
    assert "onerror=alert(1)>.nc" in opened
    assert f"Model: {__name__}.{EVIL}" in result


def test_a_cell_of_a_table_is_escaped() -> None:
    shown = Page(table([EVIL], [[EVIL], None, [EVIL]]))
    assert shown.tables == [[[EVIL], [EVIL], ["…"], [EVIL]]]
    drawn = Page(grid_drawing((EVIL, 2, 1), (EVIL, 2, 1), [], [("block", EVIL)]))
    assert not {"script", "img"} & set(drawn.tags)


def test_two_reprs_on_a_page_share_no_id(evil: list[Any]) -> None:
    ids = Counter(i for _ in range(2) for thing in evil for i in page(thing).values_of("id"))
    symbols = {"icon-database", "icon-file-text2"}  # xarray's own, all alike
    assert {i for i, n in ids.items() if n > 1} <= symbols
    ours = page(Plan(("a",), (4,), (2,), (Level((0,), 1),)))
    assert ours.values_of("id") == []
    assert not {"script", "link", "iframe"} & set(ours.tags)


# Size


def test_a_trillion_points_are_shown_at_the_cost_of_their_axes() -> None:
    space = many(4, size=1000)
    plan = Plan(space.dims, space.shape, (10,) * 4, tuple(Level((i,), 5) for i in range(4)))
    space._repr_html_()
    tracemalloc.start()
    try:
        texts = [repr(space), space._repr_html_(), repr(plan), plan._repr_html_()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000
    assert "1 000 000 000 000 points" in page(space).text
    assert len(texts[0]) < 500
    assert len(texts[1]) < 60_000
    assert len(texts[3]) < 10_000


def test_long_axes_are_not_written_out() -> None:
    space = product(a=gx.DataAxis(np.arange(300_000)), b=gx.GridAxis(0, 1, 100_000))
    space._repr_html_()
    assert "0 … 299999" in repr(space)
    assert len(space._repr_html_()) < 60_000
    assert len(repr(space)) < 500


def test_hundreds_of_axes_are_folded_and_cut() -> None:
    space = many(500)
    text = space._repr_html_()
    shown = Page(text)
    assert len(text) < 30_000
    assert shown.is_open == [False]
    assert len(shown.tables[0]) == 62
    assert shown.tables[0][31] == ["…"]
    assert "Coordinates: 500 variables, in the attribute dataset" in shown.text
    zipped = page(gx.Space(space.state, mode="zip"))
    assert zipped.values_of("rowspan") == ["30", "30"]


def test_a_result_of_many_variables_is_cut() -> None:
    space = many(60, size=1)
    outputs = {f"out{i}": 1.0 for i in range(100)}
    result = gx.SequentialExecution(lambda state: outputs, space).run(progress=False)
    shown = page(result)
    assert "Dataset: 40 of 160 variables" in shown.text
    assert shown.is_open == [False, False, True]
    assert [len(rows) for rows in shown.tables] == [62, 61]
    assert len(result._repr_html_()) < 150_000


def test_descriptions_in_attributes_are_cut_but_in_the_dataset() -> None:
    result = gx.SequentialExecution(lambda s: 1.0, many(30, size=1)).run(progress=False)
    assert len(result.dataset.attrs["space"]) > 3000
    assert result.dataset.attrs["space"][:100] in page(result).text
    assert result.dataset.attrs["space"][:300] not in page(result).text


# Pieces


@given(st.text(max_size=50), st.integers(1, 60))
def test_shortened_text_fits_and_keeps_its_ends(text: str, width: int) -> None:
    for cut in (shorten, shorten_middle):
        assert len(cut(text, width)) <= width
        assert cut(text, max(1, len(text))) == text
    # A text that was cut before, as in a file, is cut to what the whole one is.
    for narrower in range(1, width):
        if len(text) > width > 2 and text[-1] not in "…":
            assert shorten(shorten(text, width), narrower) == shorten(text, narrower)


@given(st.lists(st.text(max_size=9), max_size=20), st.integers(1, 60))
def test_joined_text_fits(parts: list[str], width: int) -> None:
    text = join_within(parts, ", ", width)
    assert len(text) <= width
    if len(", ".join(parts)) <= width:
        assert text == ", ".join(parts)
    assert elide(parts, 100) == parts


@given(st.text())
def test_one_line_has_no_line_end_and_no_command(text: str) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text).splitlines()) <= 1


@given(st.integers(0, 10**40))
def test_counts_are_exact_or_nearly_so(n: int) -> None:
    text = count(n)
    assert text == str(n) or abs(float(text) - n) < 0.006 * n
    assert count(n, " ").replace(" ", "") in (text, f"{n}")
