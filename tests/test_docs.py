"""The documentation: what its pages say runs, the site builds, and nothing in it needs the network."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rostra.engine.datasets import find
from rostra.methods.diffwave.data import LJSPEECH_SAMPLE
from rostra.methods.sensei.data import DATASETS

ADULT = DATASETS[0]
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def load_module(name):
    """``docs`` is no package: its two modules are read from their files."""
    specification = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


hooks = load_module("hooks")
run_page = load_module("run_page")


def installed(module):
    return importlib.util.find_spec(module) is not None


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run_and_print_what_the_page_says(page, tmp_path):
    """All blocks of a page in order, in one namespace."""
    code = "".join(block.code for block in run_page.blocks(page))
    if "causaldata" in code and not installed("causaldata"):
        pytest.skip("needs the NHEFS table: pip install causaldata")
    if "load_adult" in code and find(ADULT) is None:
        pytest.skip("needs the data set 'adult': rostra datasets get adult")
    if "load_ljspeech_sample" in code and find(LJSPEECH_SAMPLE) is None:
        pytest.skip("needs the recordings: rostra datasets get ljspeech_sample")
    run_page.run_page(page, tmp_path)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("dose 0.50 found 0.7", "dose 0.50 found 0.8", True),
        ("error 0.0163", "error 0.0170", True),
        ("error 0.0163", "error 0.0463", False),
        ("gain 4.3 kg", "gain 6.3 kg", False),
        ("gain 4.3 kg", "loss 4.3 kg", False),
        ("a 1", "a 1\nb 2", False),
    ],
)
def test_outputs_are_compared_by_words_and_about_by_numbers(expected, printed, same):
    assert run_page.agree(expected, printed) is same


def test_a_block_that_prints_something_else_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('gain 1')\n```\n\n```text\ngain 9\n```\n")
    with pytest.raises(AssertionError, match="line 5"):
        run_page.run_page(page, tmp_path)


def shell_lines():
    """Every ``rostra ...`` line of the pages' bash blocks, without its comment."""
    for page in PAGES:
        for block in run_page.blocks(page):
            if block.language == "bash":
                for line in block.code.replace("\\\n", " ").splitlines():
                    if line.startswith("rostra") and not line.startswith("rostra coin"):
                        yield page.stem, shlex.split(line, comments=True)


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(p, w, id=f"{p}: {' '.join(w)[:50]}") for p, w in shell_lines()]
)
def test_commands_on_the_pages_parse(page, words, monkeypatch):
    """The verb exists, and each option is one of its own. Nothing is run."""
    import typer

    from rostra.cli import app

    monkeypatch.setattr(sys, "argv", words)
    command = typer.main.get_command(app)
    context, rest = typer.Context(command, info_name="rostra", resilient_parsing=True), words[1:]
    while rest and not rest[0].startswith("-") and hasattr(command, "get_command"):
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"{page}: no verb {rest[0]}"
        command, rest = inner, rest[1:]
        context = typer.Context(command, info_name=rest[0] if rest else "", parent=context, resilient_parsing=True)
    if not hasattr(command, "get_command"):
        # Parsing checks options, choices, ranges and what is required; the callback is not called.
        command.make_context("verb", list(rest))


def references(page):
    """Relative addresses of a page's links and pictures, without fragments; code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    found = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    found += re.findall(r"^\[[^]]+\]:\s*<?([^\s>]+)", text, re.MULTILINE)
    found += re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    found += [argument.partition(" | ")[0] for kind, argument in hooks.MARKER.findall(text) if kind == "picture"]
    return [address.partition("#")[0] for address in found if not re.match(r"[a-z][a-z0-9+.-]*:|//|#", address)]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.stem)
def test_links_and_pictures_lead_to_files_of_the_repository(page):
    for address in references(page):
        target = (page.parent / address).resolve()
        assert target.is_relative_to(ROOT), f"{page.name} leads out of the repository: {address}"
        assert target.exists(), f"{page.name}: no file {address}"


def test_references_of_a_page_are_found(tmp_path):
    """Links, pictures, definitions, HTML and the hook's pictures; not the web, anchors or code."""
    page = tmp_path / "page.md"
    page.write_text(
        "[a](a.md#part) ![b](b.png 'title') [c][c] <img src='d.png'> <!-- picture: e.png | text -->\n"
        "[w](https://example.org) [m](mailto:a@example.org) [s](#part) `[x](x.md)`\n"
        "```\n[y](y.md)\n```\n\n[c]: c.md\n"
    )
    assert sorted(references(page)) == ["a.md", "b.png", "c.md", "d.png", "e.png"]


# ---------------------------------------------------------------- the hook


EVIDENCE = {
    "schema_version": 1,
    "method": "vcnet",
    "claim": "targeted",
    "scale": "laptop",
    "statement": "It is said to be better.",
    "source": "table 9",
    "note": "",
    "paper": {"vcnet": 0.25},
    "metric": "amse",
    "unit": "",
    "arms": {
        "vcnet_tr": {
            "metric": "amse",
            "mean": 0.123456,
            "interval": [0.1, 0.2],
            "interval_method": "",
            "seeds": 5,
            "values": [0.1, 0.9, 0.8],
            "other_means": {"density_loss": 2.3942, "error at 0.4": 7.0},
        },
        "vcnet": {"metric": "amse", "mean": 0.5, "interval": None, "interval_method": "", "seeds": 5, "values": []},
    },
    "comparisons": [],
    "verdict": "fails",
    "missing_seeds": {"vcnet": 2},
    "settings": {},
    "seconds": 120.0,
    "cpu_seconds": 100.0,
    "device": "cpu",
    "threads": 1,
    "versions": {},
    "commit": None,
    "data": {},
    "command": "",
}


@pytest.fixture
def docs(tmp_path):
    """An empty docs folder beside a results folder that holds one claim, which fails."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "vcnet.targeted.laptop.json").write_text(json.dumps(EVIDENCE))
    return tmp_path / "docs"


def test_claims_show_verdicts_and_say_what_was_not_run(docs):
    table = hooks.expand("<!-- claims: vcnet -->", docs)
    assert '<span class="verdict verdict-fails">fails</span>' in table
    assert "0.123 (0.100 to 0.200)<br>0.500 (no interval)" in table
    assert "<td>–<br>0.250</td>" in table
    assert "2 seeds of vcnet missing" in table
    assert hooks._seeds(1) == "1 seed"
    for claim, scale in (("targeted", "paper"), ("beats_heads", "laptop"), ("continuity", "paper")):
        assert f"<em>not run</em>: <code>rostra reproduce vcnet.{claim} --scale {scale}</code>" in table
    assert "vcnet.targeted --scale laptop" not in table


def test_a_scale_that_a_claim_does_not_have_is_no_run_that_is_missing(docs):
    table = hooks.expand("<!-- claims: curricula -->", docs)
    assert "rostra reproduce curricula.implicit --scale laptop</code>" in table
    assert "rostra reproduce curricula.implicit --scale paper" not in table
    assert "rostra reproduce curricula.standard --scale paper</code>" in table


def test_evidence_of_a_claim_that_the_code_no_longer_makes_stays(docs):
    old = {**EVIDENCE, "claim": "old", "statement": "An older sentence."}
    (docs.parent / "results" / "vcnet.old.laptop.json").write_text(json.dumps(old))
    assert "An older sentence." in hooks.expand("<!-- claims: vcnet -->", docs)


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("vcnet.targeted.laptop arms.vcnet_tr.mean", "0.123"),
        ("vcnet.targeted.laptop arms.vcnet_tr.other_means.density_loss", "2.39"),
        ("vcnet.targeted.laptop arms.vcnet_tr.other_means.density_loss digits 4", "2.394"),
        ("vcnet.targeted.laptop arms.vcnet_tr.seeds", "5"),
        ("vcnet.targeted.laptop arms.vcnet_tr.values above 0.5", "2"),
        ("vcnet.targeted.laptop arms.vcnet_tr.values max", "0.900"),
        ('vcnet.targeted.laptop arms."vcnet_tr".mean digits 2', "0.12"),
        ('vcnet.targeted.laptop arms.vcnet_tr.other_means."error at 0.4"', "7.00"),
        ("vcnet.targeted.laptop verdict", "fails"),
    ],
)
def test_numbers_come_from_the_evidence(docs, marker, text):
    assert hooks.expand(f"It is <!-- number: {marker} -->.", docs) == f"It is {text}."


def test_a_number_that_is_not_there_is_said_to_be_missing(docs):
    assert ">not run</span>" in hooks.expand("<!-- number: vcnet.targeted.paper arms.vcnet.mean -->", docs)
    missing = "<!-- number: vcnet.targeted.laptop arms.vcnet.other_means.density_loss -->"
    assert ">not recorded</span>" in hooks.expand(missing, docs)
    with pytest.raises(ValueError, match="has no claim 'tageted'"):
        hooks.expand("<!-- number: vcnet.tageted.laptop arms.vcnet.mean -->", docs)


def test_speed_comes_from_the_benchmark(docs):
    assert "*Not run*: `python benchmarks/vcnet.py`" in hooks.expand("<!-- benchmark: vcnet -->", docs)
    row = {"name": "fit", "ours": 1.5, "peer": 9.0, "unit": "s", "ratio": 6.0, "note": "500 rows"}
    path = docs.parent / "results" / "benchmarks" / "vcnet.json"
    path.parent.mkdir()
    path.write_text(json.dumps([row, {**row, "name": "grid", "peer": None, "ratio": None}]))
    table = hooks.expand("<!-- benchmark: vcnet -->", docs)
    assert "| fit | 1.5 | 9 | s | 6 | 500 rows |" in table
    assert "| grid | 1.5 | – | s | – | 500 rows |" in table


def test_the_table_of_methods_and_pictures_that_are_there(docs):
    assert "targeted: fails (laptop)" in hooks.expand("<!-- methods: all -->", docs)
    assert hooks.expand("<!-- picture: a.png | A curve -->", docs) == ""
    (docs / "a.png").touch()
    assert hooks.expand("<!-- picture: a.png | A curve -->", docs) == "![A curve](a.png)"


# ---------------------------------------------------------------- the site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site and what the build said."""
    if not installed("mkdocs") or not installed("material"):
        pytest.skip("needs MkDocs: pip install 'rostra[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    return folder, done


def test_the_site_builds_without_warnings(site):
    folder, done = site
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (folder / "vcnet.html").is_file()
    assert not list(folder.rglob("*.py"))
    for page in folder.glob("*.html"):
        assert not hooks.MARKER.search(page.read_text()), f"{page.name} holds a marker"


class Loaded(HTMLParser):
    """Addresses that a browser loads to show a page; links that a reader may follow are none of them."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(found.get("href") or "")
        self.addresses += [found[name] or "" for name in ("src", "srcset", "data", "poster") if name in found]
        self.addresses += re.findall(r"url\(([^)]+)\)", found.get("style") or "")


def test_pages_load_nothing_from_other_hosts(site):
    folder, _ = site
    for page in folder.rglob("*.html"):
        parser = Loaded()
        text = page.read_text()
        parser.feed(text)
        styles = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL)
        parser.addresses += re.findall(r"url\(([^)]+)\)", " ".join(styles))
        foreign = [address for address in parser.addresses if re.match(r"[\"']?(https?:)?//", address)]
        assert not foreign, f"{page.name} loads {foreign}"
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet.name


# ---------------------------------------------------------------- the fourteenth method


def test_the_method_on_the_page_works_as_it_stands(tmp_path):
    """Write the page's files, announce the entry point as an installer does, and run claim and verb."""
    for block in run_page.blocks(DOCS / "add-a-method.md"):
        if block.title:
            path = tmp_path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    announced = tmp_path / "src" / "rostra_coin-0.1.0.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    points = project["entry-points"]["rostra.methods"]
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (announced / "entry_points.txt").write_text("[rostra.methods]\n" + "".join(lines))

    command = shutil.which("rostra", path=str(Path(sys.executable).parent))
    search = os.pathsep.join([str(tmp_path / "src"), os.environ.get("PYTHONPATH", "")])

    def rostra(*arguments):
        return subprocess.run(
            [command, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            env={**os.environ, "PYTHONPATH": search},
        )

    done = rostra("coin", "estimate", "--heads", "7", "--flips", "10")
    assert done.stdout == "bias 0.667\n", done.stderr
    done = rostra("coin", "estimate", "--heads", "11", "--flips", "10")
    assert done.returncode == 2
    assert done.stderr.startswith("error: 11 heads in 10 flips")
    done = rostra("reproduce", "coin", "--scale", "laptop", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["verdict"] == "holds"
    assert "The bias of a coin" in (tmp_path / "rostra-results" / "report.html").read_text()
