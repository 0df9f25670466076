"""``rostra curricula``: difficulty of examples, agreement of scores, and fair studies of orders."""

__all__ = ["app"]

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, number_list, prepare
from rostra.engine.errors import InputError, JobError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

app = typer.Typer(help="Curricula: order your data by difficulty, find wrong labels, test fairly whether order helps.")

Data = Annotated[Path, typer.Argument(help="Folder with a sub-folder a class, parquet with images, or CSV.")]
Label = Annotated[str, typer.Option(help="Column with the label (parquet, CSV).")]
Side = Annotated[int | None, typer.Option(min=4, help="Scale images to this many pixels a side.")]
Network = Annotated[str, typer.Option(help="mlp, cnn, fc, resnet18, vgg11, densenet121 ...; or module:function.")]
Impute = Annotated[str | None, typer.Option(help="'median' fills missing numbers of a CSV.")]
Exclude = Annotated[str | None, typer.Option(help="Columns of a CSV that are no features: a,b. 'id' names rows.")]
Steps = Annotated[int, typer.Option(min=1, help="Optimiser steps of a training.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples a step.")]
LearningRate = Annotated[float, typer.Option(help="At the start; it falls to 0 along a cosine.")]


@app.command()
def score(
    data: Data,
    out: Annotated[Path, typer.Option(help="CSV for id, label, score, predicted, spread.")] = Path("scores.csv"),
    contact_sheet: Annotated[Path | None, typer.Option(help="Picture of the most suspicious images.")] = None,
    label: Label = "label",
    side: Side = None,
    impute: Impute = None,
    exclude: Exclude = None,
    scorer: Annotated[
        str, typer.Option(help="cv-loss, c-score, learned-iteration, forgetting, loss, margin, entropy, el2n.")
    ] = "cv-loss",
    network: Network = "mlp",
    steps: Steps = 300,
    batch_size: BatchSize = 64,
    lr: LearningRate = 0.05,
    folds: Annotated[int, typer.Option(min=2, help="Of cv-loss.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Of cv-loss; trainings of the others.")] = 3,
    noise: Annotated[float, typer.Option(min=0.0, max=1.0, help="Shuffle this share of the labels first.")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="CSV with columns id and label: the right labels.")] = None,
    show: Annotated[int, typer.Option(min=1, help="Images on the contact sheet.")] = 50,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """How hard is each example, and which labels are likely to be wrong? Higher = harder.

    cv-loss, the paper's, is the loss of networks that have not seen the example. With --truth (or --noise) prints how
    well the score finds the wrong labels.

    Example: rostra curricula score photos --side 32 --network cnn --contact-sheet suspects.png
    """
    prepare(quiet=quiet, threads=threads)
    import numpy as np
    import pandas as pd

    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import check_picture, save_picture
    from rostra.engine.runtime import resolve_device
    from rostra.fields.tabular.tables import imputes

    from .data import StudyData, read_examples, standardised
    from .noise import inject_label_noise
    from .objective import noise_auc
    from .plots import draw_contact_sheet
    from .study import StudySpec, check_work, score_examples
    from .training import TrainingConfig

    if noise and truth is not None:
        raise InputError("--noise spoils labels that are known, --truth tells which are wrong; give one of them")
    examples = read_examples(data, label, side, impute=imputes(impute), exclude=list_option(exclude or ""))
    names, given, classes, images = examples.names, examples.labels, examples.classes, examples.images
    writable(out)
    if contact_sheet is not None:
        if images is None:
            raise InputError("--contact-sheet needs images; a CSV has none")
        check_picture(contact_sheet)
    wrong = _wrong(truth, names, given, classes)
    if noise:
        noisy = inject_label_noise(given, noise, seed=seed)
        given, wrong = noisy.labels, noisy.wrong
    config = TrainingConfig(total_steps=steps, batch_size=batch_size, lr=lr, evaluations=min(steps, 15))
    spec = StudySpec(network=network, training=config, folds=folds, repeats=repeats)
    rows = standardised(examples.rows, examples.rows)
    study_data = StudyData(rows, given, rows[:0], given[:0], rows[:0], given[:0], len(classes))
    chosen_device = str(resolve_device(device))
    check_work(spec, study_data, chosen_device)
    found = score_examples(spec, study_data, scorer, models=repeats, seed=seed, device=chosen_device)
    predicted = given if found.predicted is None else found.predicted
    table = pd.DataFrame(
        {
            "id": names,
            "label": [classes[number] for number in given],
            "score": found.values,
            "predicted": [classes[number] for number in predicted],
            "spread": 0.0 if found.spread is None else found.spread,
        }
    )
    with write_atomically(out) as temporary:
        table.to_csv(temporary, index=False)
    hardest = np.lexsort((np.random.default_rng(seed).random(len(names)), -found.values))  # ties in any order
    lines = [f"{len(names)} examples, {len(classes)} classes; the hardest:"]
    lines += [
        f"  {found.values[row]:8.3f}  {names[row]}  label {classes[given[row]]}, looks like {classes[predicted[row]]}"
        for row in hardest[:10]
    ]
    result: dict[str, Any] = {
        "examples": len(names),
        "out": str(out),
        "hardest": [names[row] for row in hardest[:show]],
    }
    if wrong is not None:
        auc = noise_auc(found.values, wrong)
        count = int(wrong.sum())
        share = float(wrong[hardest[:count]].mean()) if count else float("nan")
        lines.append(
            f"{count} labels are wrong; AUC of the score {auc:.3f}; of the {count} hardest {share:.1%} are wrong"
        )
        result |= {"wrong": count, "auc": auc if auc == auc else None, "precision": share if share == share else None}
    if contact_sheet is not None and images is not None:
        chosen = hardest[:show]
        captions = [f"{classes[given[row]][:14]}\n→ {classes[predicted[row]][:14]}?" for row in chosen]
        colours = ["#b3261e" if wrong is not None and wrong[row] else "#0a0b0c" for row in chosen]
        save_picture(draw_contact_sheet(images[chosen], captions, colours), contact_sheet)
        lines.append(f"contact sheet: {contact_sheet}" + (" (red: wrong indeed)" if wrong is not None else ""))
        result["contact_sheet"] = str(contact_sheet)
    lines.append(f"scores: {out}")
    emit(result, "\n".join(lines), json_output)


@app.command()
def agree(
    scores: Annotated[list[Path], typer.Argument(help="Two CSVs or more with columns id and score.")],
    out: Annotated[Path | None, typer.Option(help="CSV for the table.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture: the matrix, and what each score finds hard.")] = None,
    families: Annotated[
        str | None, typer.Option(help="Of the networks behind the scores, one a file: cnn,cnn,mlp.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=10, help="Of the bootstrap over examples.")] = 500,
    seed: Seed = 0,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Do scores agree on what is hard? Spearman correlation of every two, with bootstrap intervals.

    With --families also the mean correlation within each family of networks and between them.

    Example: rostra curricula agree cnn1.csv cnn2.csv mlp.csv --families cnn,cnn,mlp --plot agreement.png
    """
    prepare(quiet=quiet, threads=None)
    import pandas as pd

    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import check_picture, save_picture
    from rostra.fields.tabular.tables import check_names, read_table

    from .data import read_scores
    from .plots import draw_agreement
    from .scorers import agreement

    if len(scores) < 2:
        raise InputError("agree needs two files of scores or more")
    if out is not None:
        writable(out)
    if plot is not None:
        check_picture(plot)
    if len(set(scores)) < len(scores):
        raise InputError("a file of scores is named twice; a score agrees with itself")
    first = read_table(scores[0], texts=("id",))
    check_names(first, ["id", "score"])
    names = first["id"].tolist()
    labels = [path.stem if [p.stem for p in scores].count(path.stem) == 1 else str(path) for path in scores]
    found = {name: read_scores(path, names) for name, path in zip(labels, scores, strict=True)}
    for path in scores[1:]:
        if (count := len(read_table(path, texts=("id",)))) > len(names):
            raise InputError(f"'{path}' has {count} scores and '{scores[0]}' {len(names)}; score the same examples")
    table = agreement(found, resamples, seed)
    tables = {"": table}
    if families is not None:
        tables["families: "] = agreement(found, resamples, seed, list_option(families))
    lines = [f"{len(names)} examples; Spearman correlation (95 % interval)"]
    lines += [
        f"  {kind}{row.first} and {row.second}: {row.spearman:.3f} ({row.low:.3f} to {row.high:.3f})"
        for kind, part in tables.items()
        for row in part.itertuples()
    ]
    everything = pd.concat(tables.values())
    if out is not None:
        with write_atomically(out) as temporary:
            everything.to_csv(temporary, index=False)
    if plot is not None:
        save_picture(draw_agreement(table, found), plot)
        lines.append(f"picture: {plot}")
    emit(everything.to_dict("records"), "\n".join(lines), json_output)


@app.command()
def study(
    data: Annotated[Path, typer.Argument(help="Folder of images, parquet, CSV; or 'digits', scikit-learn's.")],
    out: Annotated[Path, typer.Option(help="Folder; a study that was stopped goes on.")] = Path("study"),
    spec: Annotated[Path | None, typer.Option(help="JSON or TOML with settings; options given here win.")] = None,
    scores: Annotated[Path | None, typer.Option(help="CSV with id and score; default: scored anew.")] = None,
    label: Label = "label",
    side: Side = None,
    impute: Impute = None,
    exclude: Exclude = None,
    order: Annotated[str | None, typer.Option(help="curriculum, anti-curriculum, random.")] = None,
    family: Annotated[str | None, typer.Option(help="linear, quadratic, root, step, exp, log.")] = None,
    a: Annotated[str | None, typer.Option("--a", help="Shares of the steps until all data are in.")] = None,
    b: Annotated[str | None, typer.Option("--b", help="Shares of the data at the start.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Of each strategy.")] = None,
    network: Annotated[str | None, typer.Option(help="As for score; default mlp.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a training; default 500.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default 64.")] = None,
    lr: Annotated[float | None, typer.Option(help="Default 0.1.")] = None,
    noise: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Share of labels to shuffle.")] = None,
    executor: Annotated[str, typer.Option(help="local or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    device: Device = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Does an order of the data help? Orders x pacing functions x seeds, against as many standard trainings.

    Writes trainings.csv, report.csv, study.png and pacing.png. A tenth of each class is kept for validation, a tenth
    for the test.

    Example: rostra curricula study photos --side 32 --family step --a 0.4,1.6 --b 0.2,0.4 --seeds 5
    """
    prepare(quiet=quiet, threads=None)
    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import save_picture
    from rostra.engine.reproduce import EXECUTORS
    from rostra.engine.runtime import resolve_device
    from rostra.fields.tabular.tables import imputes

    from .plots import draw_pacing, draw_studies
    from .study import CurriculumStudy, StudySpec

    if executor not in EXECUTORS:
        raise InputError(f"--executor must be one of {', '.join(EXECUTORS)}, got '{executor}'")
    settings = _settings(spec)
    training = dict(settings.get("training") or {})
    asked = {"total_steps": steps, "batch_size": batch_size, "lr": lr}
    training |= {name: value for name, value in asked.items() if value is not None}
    if "total_steps" in training and isinstance(training["total_steps"], int):
        training.setdefault("evaluations", max(1, min(10, training["total_steps"])))
    settings["training"] = training
    chosen: dict[str, Any] = {"seeds": seeds, "network": network, "noise": noise}
    chosen |= {"orders": order and tuple(list_option(order)), "families": family and tuple(list_option(family))}
    for name, text in (("a", a), ("b", b)):
        chosen[name] = None if text is None else tuple(number_list(f"--{name}", text, example="0.2,0.4"))
    settings |= {name: value for name, value in chosen.items() if value is not None}
    if scores is not None:
        settings["scorer"] = "given"
    made = StudySpec.from_settings(settings)
    described: dict[str, Any] = {"set": "digits"}
    if str(data) != "digits":
        described = {"path": str(data.resolve()), "label": label, "side": side, "impute": imputes(impute)}
        described["exclude"] = list_option(exclude or "")
        described |= {"scores": str(scores.resolve())} if scores is not None else {}
    elif scores is not None:
        raise InputError("--scores goes with data of your own, not with 'digits'")
    writable(out / "trainings.csv")
    result = CurriculumStudy(made, described).run(
        out,
        executor=executor,
        address=address,
        workers=workers,
        device=str(resolve_device(device)),
        announce=lambda line: typer.echo(line, err=True),
    )
    report = result.report()
    for name, table in {"trainings": result.table, "report": report}.items():
        with write_atomically(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    save_picture(draw_studies({"": result.table}, reports={"": report}), out / "study.png")
    save_picture(draw_pacing(made.pacings), out / "pacing.png")
    emit(json.loads(report.to_json(orient="records")), _study_text(result.table, report, out), json_output)
    if result.missing:
        missing = ", ".join(f"{order}: {count}" for order, count in result.missing.items())
        raise JobError(f"the report lacks seeds of trials that failed ({missing}); '{out / 'failures.jsonl'}' says why")


def _study_text(table: "pd.DataFrame", report: "pd.DataFrame", out: Path) -> str:
    import numpy as np

    count = int((table["order"] == "standard").sum())
    lines = [
        f"{len(table)} trainings, {table['seed'].nunique()} seeds; "
        f"standard {report['standard'].iloc[0]:.4f} ({count} runs)",
        "order            best    matched  gain (95 %)                 p (Holm)  strategy",
    ]
    lines += [
        f"{row.order:15s}  {row.best:.4f}  {row.matched:.4f}  {row.gain:+.4f} ({row.low:+.4f} to {row.high:+.4f})  "
        f"{row.p_holm:8.4f}  {row.strategy}"
        for row in report.itertuples()
    ]
    lines.append(
        "matched: the best of as many searches in standard training; gain: what is left of the best without that"
    )
    for row in report.to_dict("records"):
        honest = _signed(row, "honest_gain", "honest")
        said = f"{row['order']}: {honest} over standard, if validation on the other seeds chooses the strategy"
        if not np.isnan(row.get("over_random", np.nan)):
            said += f"; {_signed(row, 'over_random', 'over_random')} over the random order, pacing by pacing"
        lines.append(said)
    shared = table.loc[table["order"] != "standard", "shared"].mean()
    lines.append(f"{shared:.0%} of the steps of ordered trainings were shared")
    lines.append(f"tables and pictures in {out}: trainings.csv, report.csv, study.png, pacing.png")
    return "\n".join(lines)


def _signed(row: Mapping[Hashable, Any], name: str, of: str) -> str:
    """A difference with its interval, if it has one."""
    low, high = row[f"{of}_low"], row[f"{of}_high"]
    interval = "" if low is None or low != low else f" ({low:+.4f} to {high:+.4f})"
    return f"{row[name]:+.4f}{interval}"


# ------------------------------------------------------- what options name


def _wrong(
    truth: Path | None, names: "Sequence[str]", given: "NDArray[np.int64]", classes: "Sequence[str]"
) -> "NDArray[np.bool_] | None":
    """Which labels are wrong, by a CSV with the right ones."""
    if truth is None:
        return None
    import numpy as np

    from .data import read_by_id

    right = read_by_id(truth, "label", names).to_numpy(dtype=str)
    unknown = sorted(set(right.tolist()) - set(classes))
    if unknown:
        raise InputError(
            f"'{truth}' names the class '{unknown[0]}', which the data have not; they have: {', '.join(classes)}"
        )
    return right != np.array(classes)[given]


def _settings(path: Path | None) -> dict[str, Any]:
    """Settings of a JSON or TOML file."""
    if path is None:
        return {}
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{path}' cannot be read as {'TOML' if path.suffix == '.toml' else 'JSON'} ({error})"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"'{path}' must hold settings by name")
    return found
