"""The report: everything that was found, on one page that needs nothing else."""

import re
from html.parser import HTMLParser

import pytest
import toy

from rostra.engine.errors import InputError
from rostra.engine.report import render_report
from rostra.engine.reproduce import EXECUTORS, reproduce
from rostra.engine.stats import Equivalence, Law, NonInferiority, Superiority, Threshold

GOOD_OVER_BAD = Superiority("good", over="bad", metric="score")
NASTY = "<script>alert('x')</script> & \"quoted\" <b>"


class Page(HTMLParser):
    """What a reader and a browser see of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.anchors, self.words = [], [], set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.references.append(value)
            if name == "id":
                self.anchors.add(value)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def draw(rows):
    from rostra.engine.plots import new_figure

    figure, axes = new_figure(3.0, 2.0)
    axes.set_title("claim's own figure")
    return figure


CLAIMS = [
    toy.make_claim("holding", statement="It holds.", note="Mind the gap.", figure=draw),
    toy.make_claim("failing", statement="It fails.", comparisons=(Superiority("bad", over="good", metric="score"),)),
    toy.make_claim("open", statement="It is open.", comparisons=(Threshold("good", metric="score", bound=1.0),)),
    toy.make_claim(
        "agreeing",
        comparisons=(Equivalence("good", to="bad", metric="cost", margin=0.5),),
    ),
    toy.make_claim("nasty", statement=NASTY, source=NASTY, note=NASTY, paper={}),
    toy.make_claim(
        "other_kinds",
        comparisons=(
            NonInferiority("good", to="bad", metric="score", margin=0.5),
            Equivalence("good", to="bad", metric="score", margin=1.5),
            Threshold("bad", metric="score", bound=0.5, lower_is_better=True),
            Law("good", metric="cost", value=1.0, tolerance=0.0),
        ),
    ),
    toy.make_claim("troubled", run=toy.measure_with_trouble, settings={"trouble": {"good.1": ("raise", 99)}}),
    toy.make_claim(
        "absent",
        run=toy.measure_with_trouble,
        settings={"trouble": {f"{arm}.{seed}": ("raise", 99) for arm in toy.ARMS for seed in range(6)}},
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with evidence of every verdict."""
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "here", toy.run_here)
        for claims, scale in ((CLAIMS, "laptop"), (CLAIMS[:1], "smoke")):
            pairs = [("toy", claim) for claim in claims]
            reproduce(pairs, scale=scale, out=out, executor="here", command="rostra reproduce <toy>")
    return out


@pytest.fixture(scope="module")
def text(folder):
    return render_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_claim_is_on_the_page_with_its_verdict(page):
    for claim in CLAIMS:
        assert f"toy.{claim.name}" in page.text
        assert " ".join(claim.statement.split()) in page.text
        assert f"toy.{claim.name}.laptop" in page.anchors
    assert "toy.holding.smoke" in page.anchors
    for verdict in ("holds", "fails", "inconclusive", "ran"):
        assert verdict in page.words


def test_the_scoreboard_gives_each_claim_its_own_verdict(text):
    scoreboard = text[text.index("<tbody>") : text.index("</tbody>")]
    rows = {
        (re.search(r"toy\.(\w+)</a>", row)[1], scale): re.search(r'class="verdict (\w+)"', row)[1]
        for row in scoreboard.split("</tr>")
        if "toy." in row
        for scale in ("laptop", "smoke")
        if f">{scale}" in row
    }
    assert rows == {
        ("holding", "laptop"): "holds",
        ("holding", "smoke"): "ran",
        ("failing", "laptop"): "fails",
        ("open", "laptop"): "inconclusive",
        ("nasty", "laptop"): "holds",
        ("other_kinds", "laptop"): "holds",
        ("troubled", "laptop"): "inconclusive",
        ("absent", "laptop"): "inconclusive",
        ("agreeing", "laptop"): "inconclusive",
    }


def test_notes_numbers_of_the_paper_and_failed_runs_are_said(page):
    assert "Mind the gap." in page.text
    assert "0.900" in page.text
    assert "no number" in page.text
    assert "Runs that did not finish: good 1" in page.text
    assert "claim's own figure" in page.text


def test_where_all_values_are_equal_the_page_says_that_there_is_no_interval(page):
    assert "no interval all values are equal" in page.text


def test_how_to_run_each_claim_again_is_said(page):
    for claim in CLAIMS:
        assert f"rostra reproduce toy.{claim.name} --scale laptop" in page.text


def test_the_page_needs_nothing_else(text, page):
    """No script, and every reference points into the page itself."""
    assert not {"script", "link", "iframe", "img", "object", "embed", "base"} & set(page.tags)
    assert page.references
    for reference in page.references:
        assert reference.startswith("#")
        assert reference[1:] in page.anchors
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!['\"]?#)", text)


def test_text_of_a_claim_is_text_and_not_markup(text, page):
    assert "<script" not in text
    assert NASTY in page.text
    assert "rostra reproduce <toy>" in page.text


def test_tags_are_closed_and_the_page_says_its_language_and_encoding(text, page):
    assert text.startswith("<!doctype html>")
    assert 'lang="en"' in text
    assert 'charset="utf-8"' in text
    for tag in ("table", "article", "section", "svg", "details"):
        assert text.count(f"<{tag}") == text.count(f"</{tag}>") > 0


def test_rendering_again_gives_the_same_page(folder, text):
    def without_time(page):
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", page)

    results = sorted((folder / "results").iterdir())
    before = [path.read_bytes() for path in results]
    assert render_report(folder) == folder / "report.html"
    assert without_time((folder / "report.html").read_text(encoding="utf-8")) == without_time(text)
    assert [path.read_bytes() for path in results] == before
    assert not list(folder.glob(".*part*"))


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_results_is_an_error_that_says_what_to_do(tmp_path, make):
    folder = tmp_path / "out"
    if make:
        folder.mkdir()
    with pytest.raises(InputError, match="holds no results; run 'rostra reproduce --out"):
        render_report(folder)
    assert not (folder / "report.html").exists()


def test_a_damaged_result_is_named_and_the_old_page_stays(tmp_path, monkeypatch):
    monkeypatch.setitem(EXECUTORS, "here", toy.run_here)
    reproduce([("toy", CLAIMS[0])], scale="smoke", out=tmp_path, executor="here")
    before = render_report(tmp_path).read_bytes()
    (tmp_path / "results" / "toy.holding.smoke.json").write_text("{")
    with pytest.raises(InputError, match=r"toy\.holding\.smoke\.json"):
        render_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
