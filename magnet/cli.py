"""``magnet VERB``: one short function per verb, no logic."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from magnet.console.run import run_app
from magnet.core.upstream import ARCHIVE

_Repository = Annotated[
    str,
    typer.Argument(
        help="Checkout, zip or URL of the authors' repository.",
        show_default="their public archive, at a fixed commit",
    ),
]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Synthetic counselling sessions for research, never for clinical use.",
)
prompts = typer.Typer(no_args_is_help=True, help="Frozen prompt sets.")
app.add_typer(prompts, name="prompts")
seeds = typer.Typer(no_args_is_help=True, help="Seeds of sessions.")
app.add_typer(seeds, name="seeds")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    session: Annotated[
        str | None, typer.Argument(help="Session number or id (default: list all).")
    ] = None,
    exchange: Annotated[
        int | None, typer.Option(help="Only this exchange, counting from 1.")
    ] = None,
) -> None:
    """Print a run or one session: its plan and each exchange's candidates, techniques, reply."""
    from magnet.show import find_session, show_run, show_session

    console = Console()
    if session is None:
        show_run(run, console)
    else:
        show_session(find_session(run, session), console, exchange)


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each method's sessions, messages, tokens, calls, money and time."""
    from magnet.compare import compare as rows_of
    from magnet.compare import print_compare

    print_compare(rows_of(run), as_json)


@app.command()
def adopt(
    source: Annotated[Path, typer.Argument(help="Folder or zip of sessions, or JSONL of chats.")],
    out: Annotated[Path, typer.Option(help="The run directory to create.")],
    method: Annotated[str | None, typer.Option(help="Name of the system that wrote them.")] = None,
) -> None:
    """Import dialogues from elsewhere as a run, to judge, measure and report them."""
    from magnet.stages.adopt import adopt as adopt_dialogues

    typer.echo(f"{adopt_dialogues(source, out, method, typer.echo)} dialogues are in {out}")


@app.command()
def judge(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    scales: Annotated[
        str | None, typer.Option(help="Any of ctrs,wai,panas. Default: the study's.")
    ] = None,
    judges: Annotated[
        list[str] | None, typer.Option("--judge", help="One of the study's judges. Default: all.")
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(help="Judge only the first N sessions. Default: all.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            help="Study (TOML file or name) with judges and settings. Default: the run's."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
) -> None:
    """Rate a run's sessions; nothing already rated is asked again."""
    from magnet.stages.judge import judge_run
    from magnet.study.prepare import quiet

    quiet()
    named = [f"scales={scales.split(',')}"] if scales else []
    chosen = [*named, *(settings or [])]
    stage = judge_run(run, chosen, judges or [], sessions, Console(), study)
    typer.echo(f"{stage.answers} answers, {stage.missing} scores missing: {run / 'scores.jsonl'}")
    if stage.left:
        typer.echo(
            f"{len(stage.left)} sessions are not fully judged; rerun the same command to resume."
        )
    raise typer.Exit(1 if stage.left else 0)


@app.command()
def diversity(
    source: Annotated[Path, typer.Argument(help="Run, folder or zip of sessions, or JSONL.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="llama3, words, or a folder with a tokenizer.json. Default: llama3 if installed, "
            "otherwise words.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        Literal["paper", "released"],
        typer.Option(help="Clean the text like the paper or the notebook."),
    ] = "paper",
    more: Annotated[
        bool, typer.Option("--more", help="Add compression, self-repetition, MATTR, Vendi score.")
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Implies --more: sentence-transformers model for the Vendi score."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print lexical diversity (Distinct-1, -2, -3 and EAD) by method and role."""
    from eval.dialogues import load_dialogues
    from eval.diversity_report import diversity as figures_of
    from eval.diversity_table import print_diversity
    from eval.tokens import open_tokenizer
    from eval.vendi import Embedder

    opened = open_tokenizer(tokenizer)
    embedder = Embedder(embeddings) if embeddings else None
    more = more or embeddings is not None
    dialogues = load_dialogues(source, lambda text: typer.echo(text, err=True))
    figures = figures_of(dialogues, opened, profile, more, embedder)
    print_diversity(figures, as_json)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, judged or not.")],
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: report in the first run.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Label of a run; one per run, in order. Default: its study's name."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="For table 2; see magnet diversity.", show_default=False)
    ] = None,
) -> None:
    """Write tables (Markdown, LaTeX, CSV) and an HTML page for reading the sessions.

    A method that occurs under different labels is compared as variants of that method.
    """
    from eval.report.page import PAGE, write_report

    folder = write_report(runs, out, labels=labels or (), tokenizer=tokenizer)
    typer.echo(f"Tables: {folder / 'tables.md'}")
    typer.echo(f"Open in a browser: {folder / PAGE}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[Path, typer.Option(help="Dataset folder; an existing export is replaced.")],
    format_: Annotated[
        Literal["chat", "sharegpt", "pairs", "authors", "parquet"],
        typer.Option("--format", help="Row format."),
    ] = "chat",
    method: Annotated[
        str | None, typer.Option(help="Only this method's sessions. Default: all methods.")
    ] = None,
    prompts: Annotated[str, typer.Option(help="Prompt set for the rows.")] = "ours",
    split: Annotated[
        Path | None,
        typer.Option(
            help="CSV of client_id,split or seed_id,split. Default: the paper's 90/10/50."
        ),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="Licence for sessions whose seeds have no known licence."),
    ] = None,
) -> None:
    """Write a run's training pairs as a dataset with a card, for `datasets.load_dataset`."""
    from magnet.dataset.export import export as export_pairs
    from magnet.dataset.show import print_export

    print_export(export_pairs(run, format_, out, method, prompts, split, license_), Console())


@app.command()
def finetune(
    run: Annotated[Path, typer.Argument(help="Run directory with the sessions to learn from.")],
    method: Annotated[str, typer.Option(help="Method to learn from: magnet, cactus, psych8k, ...")],
    recipe: Annotated[
        str, typer.Option(help="paper, recommended, smoke, or a YAML file.")
    ] = "recommended",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Base model: folder or Hugging Face name. Default: the recipe's."),
    ] = None,
    clients: Annotated[
        Literal["train", "all"],
        typer.Option(help="Learn from the training split, or from all clients (none held out)."),
    ] = "train",
    prompts: Annotated[
        str | None, typer.Option(help="Prompt set. Default: the one the run was played with.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder. Default: tuned-METHOD (or tuned-METHOD-all) in the run."),
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print recipe, rows, steps, memory and time, then exit.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Also save the merged model.")] = False,
    report_to: Annotated[
        str | None, typer.Option(help="Also log to trackio or tensorboard.")
    ] = None,
) -> None:
    """Train a LoRA adapter that plays the counselor; rerun the same command to resume."""
    from magnet.training.plan import default_folder, make_plan
    from magnet.training.recipe import load_recipe
    from magnet.training.show import print_plan, print_tuned

    chosen = [*(settings or []), *([f"model={json.dumps(model)}"] if model else [])]
    plan = make_plan(run, method, load_recipe(recipe, chosen), prompts, clients)
    folder = out or default_folder(run, method, clients)
    if print_:
        print_plan(plan, folder, Console())
        return
    from magnet.training.finetune import finetune as train

    try:
        train(plan, folder, Console(), merged=merge, report_to=report_to)
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted. Rerun the same command to resume from {folder}.")
        raise typer.Exit(130) from None
    print_tuned(folder, Console())


@app.command()
def doctor(
    study: Annotated[str, typer.Argument(help="A study's TOML file or name.")] = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the run would be written.")] = Path("runs"),
) -> None:
    """Check a study's servers, models, keys, prompts, seeds and disk, at no cost."""
    from magnet.doctor import examine

    failed = 0
    for passed, text in examine(study, settings or [], out):
        typer.echo(f"{'ok     ' if passed else 'PROBLEM'} {text}")
        failed += not passed
    raise typer.Exit(2 if failed else 0)


@prompts.command("import")
def prompts_import(
    source: _Repository = ARCHIVE,
) -> None:
    """Install the paper authors' prompts, for --prompts authors."""
    from prompts_frozen.authors import import_prompts

    import_prompts(source, typer.echo)


@seeds.command("import")
def seeds_import(
    source: _Repository = ARCHIVE,
) -> None:
    """Install the authors' 450 seeds (GPL-2.0), for seeds = "authors"."""
    from magnet.core.seeds import import_seeds

    typer.echo(f"450 seeds (CACTUS data, GPL-2.0) are in {import_seeds(source)}")
    typer.echo("Data generated from them carries that licence in its provenance.")


@prompts.command("lock")
def prompts_lock(
    name: Annotated[str, typer.Argument(help="An included set, or a folder.")] = "ours",
) -> None:
    """Re-lock a prompt set after an intended change."""
    from prompts_frozen.sets import folder_of, lock

    for role, sha256 in lock(folder_of(name)).items():
        typer.echo(f"{sha256}  {role}")


def main() -> None:
    """Entry point of ``magnet``."""
    run_app(app)


if __name__ == "__main__":
    main()
