"""MkDocs hook: what a page says in numbers is read from ``results/`` when the site is built.

Markers, each an HTML comment in a page:

``claims: METHOD``: every claim at every scale, with its verdict, or "not run" and the command;
``number: METHOD.CLAIM.SCALE PATH [digits N | max | above BOUND]``: one number of an evidence document
(three digits, or N), the largest of a list, or how many of a list lie above a bound; PATH names keys, such as
``arms.vcnet.mean``, in double quotes where they hold points or blanks;
``benchmark: METHOD``: the rows of ``results/benchmarks/METHOD.json``;
``methods: all``: the table of methods; ``picture: FILE | TEXT``: an image, if the file is there.
"""

__all__ = ["expand", "on_page_markdown"]

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rostra.engine import numbers
from rostra.engine.claims import SCALES, find_claims
from rostra.engine.methods import command_name, installed
from rostra.engine.reproduce import Evidence, load_evidence

MARKER = re.compile(r"<!-- (claims|number|benchmark|methods|picture): (.+?) -->")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Called by MkDocs for every page."""
    return expand(markdown, Path(config["docs_dir"]))


def expand(markdown: str, docs: Path) -> str:
    """A page with its markers replaced; ``results/`` lies beside the folder ``docs``."""
    results = docs.parent / "results"

    def replace(found: re.Match[str]) -> str:
        kind, argument = found.groups()
        match kind:
            case "claims":
                return claims_table(argument, results)
            case "number":
                return number(argument, results)
            case "benchmark":
                return benchmark_table(argument, results)
            case "methods":
                return methods_table(docs)
        path, _, text = argument.partition(" | ")
        return f"![{text}]({path})" if (docs / path).is_file() else ""

    return MARKER.sub(replace, markdown)


def _evidence(results: Path) -> dict[tuple[str, str, str], Evidence]:
    return {(found["method"], found["claim"], found["scale"]): found for found in load_evidence(results)}


def _command(method: str, claim: str, scale: str) -> str:
    return f"rostra reproduce {command_name(method)}.{claim} --scale {scale}"


def claims_table(method: str, results: Path) -> str:
    """Every claim of a method; evidence for a claim that the code no longer makes stays too.

    Smoke runs, which prove nothing, are listed only where there is evidence of one.
    """
    evidence = _evidence(results)
    names = [claim.name for _, claim in find_claims([method])]
    names += sorted({claim for made_for, claim, _ in evidence if made_for == method} - set(names))
    body = "".join(row for name in names for row in _claim_rows(method, name, evidence))
    head = "<tr><th>scale, verdict</th><th>arm</th><th>paper</th><th>ours (95 % interval)</th></tr>"
    table = f'<table class="claims"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return f'<div class="claims-frame">{table}</div>'


def _claim_rows(method: str, name: str, evidence: dict[tuple[str, str, str], Evidence]) -> Iterator[str]:
    stated: dict[str, Any] = {claim.name: vars(claim) for _, claim in find_claims([method])}
    about = stated.get(name) or next(found for key, found in evidence.items() if key[:2] == (method, name))
    measure = f"{about['metric']}, {about['unit']}" if about["unit"] else about["metric"]
    details = escape(f"{about['source']}. Measure: {measure}. {about['note']}".strip())
    yield (
        f'<tr><th colspan="4"><strong>{escape(name)}</strong>: {escape(about["statement"])}'
        f"<br><small>{details}</small></th></tr>"
    )
    for scale in reversed(SCALES):
        document = evidence.get((method, name, scale))
        if document is not None:
            yield f"<tr>{_result_cells(document)}</tr>"
        elif scale != "smoke" and scale in about.get("scales", ()):
            command = f"<em>not run</em>: <code>{_command(method, name, scale)}</code>"
            yield f'<tr><td>{scale}</td><td colspan="3" class="command">{command}</td></tr>'


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _result_cells(document: Evidence) -> str:
    arms: dict[str, Any] = document["arms"]
    paper = [numbers.number(document["paper"].get(arm)) for arm in arms]
    ours = [f"{numbers.number(record['mean'])} ({numbers.interval(record['interval'])})" for record in arms.values()]
    verdict = document["verdict"]
    lines = [document["scale"], f'<span class="verdict verdict-{verdict}">{verdict}</span>']
    lines.append(_seeds(max((record["seeds"] for record in arms.values()), default=0)))
    lines += [f"{_seeds(count)} of {escape(arm)} missing" for arm, count in document["missing_seeds"].items()]
    lines.append(f"{numbers.duration(document['seconds'])}, {_names(document['device'])}")
    return "".join(f"<td>{'<br>'.join(cell)}</td>" for cell in (lines, [escape(arm) for arm in arms], paper, ours))


def _names(values: str | Sequence[str]) -> str:
    return escape(values if isinstance(values, str) else ", ".join(values))


def number(argument: str, results: Path) -> str:
    """One number of an evidence document, or words that say that it is not there.

    Raises:
        InputError: if there is no such claim.
    """
    name, path, *operation = re.findall(r'(?:"[^"]*"|[^\s"])+', argument)
    method, claim, scale = name.split(".")
    find_claims([f"{method}.{claim}"])
    found: Any = _evidence(results).get((method, claim, scale))
    if found is None:
        return f'<span class="missing" title="{_command(method, claim, scale)}">not run</span>'
    for step in (quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."]+)', path)):
        if step not in found:
            return f'<span class="missing" title="{escape(name)} holds no {escape(path)}">not recorded</span>'
        found = found[step]
    match operation:
        case ["max"]:
            found = max(found)
        case ["digits", count]:
            return f"{found:.{int(count)}g}"
        case ["above", bound]:
            return str(sum(value > float(bound) for value in found))
    return str(found) if isinstance(found, (int, str)) else numbers.number(found)


def benchmark_table(method: str, results: Path) -> str:
    """Measured speed; a ratio above 1 means that ours is better."""
    path = results / "benchmarks" / f"{method}.json"
    if not path.is_file():
        return f"*Not run*: `python benchmarks/{method}.py`."
    rows = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| what | ours | peer | unit | ratio | note |", "|---|---:|---:|---|---:|---|"]
    for row in rows:
        values = [f"{row[key]:.3g}" if isinstance(row[key], (int, float)) else "–" for key in ("ours", "peer", "ratio")]
        text = {key: str(row[key] or "").replace("|", "\\|").replace("\n", " ") for key in ("name", "unit", "note")}
        lines.append(f"| {text['name']} | {values[0]} | {values[1]} | {text['unit']} | {values[2]} | {text['note']} |")
    return "\n".join(lines)


def methods_table(docs: Path) -> str:
    """The methods that come with Rostra and the verdicts of their claims at the largest scale that was run."""
    evidence = _evidence(docs.parent / "results")
    lines = ["| method | what it does | field | claims |", "|---|---|---|---|"]
    for method, module in installed().items():
        if not module.__name__.startswith("rostra.methods."):
            continue
        about, title = module.METHOD, module.METHOD.title
        verdicts = []
        for _, claim in find_claims([command_name(method)]):
            scale = next((scale for scale in reversed(SCALES) if (method, claim.name, scale) in evidence), None)
            found = f"{evidence[method, claim.name, scale]['verdict']} ({scale})" if scale else "*not run*"
            verdicts.append(f"{claim.name}: {found}")
        link = f"[{title}]({method}.md)" if (docs / f"{method}.md").is_file() else title
        lines.append(f"| {link} | {about.summary} | {about.field} | {'<br>'.join(verdicts)} |")
    return "\n".join(lines)
