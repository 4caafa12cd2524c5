"""``magnet VERB``: one short function a verb, no logic."""

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
    session: Annotated[str | None, typer.Argument(help="Number or id; all, briefly.")] = None,
    exchange: Annotated[int | None, typer.Option(help="One exchange alone, from 1.")] = None,
) -> None:
    """Print a run, or a session: plan, each exchange's candidates, techniques, reply."""
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
    """Print what each method's sessions took: messages, tokens, calls, money, time."""
    from magnet.compare import compare as rows_of
    from magnet.compare import print_compare

    print_compare(rows_of(run), as_json)


@app.command()
def adopt(
    source: Annotated[Path, typer.Argument(help="Folder or zip of sessions, or JSONL of chats.")],
    out: Annotated[Path, typer.Option(help="The run directory to make.")],
    method: Annotated[str | None, typer.Option(help="What to call the system behind it.")] = None,
) -> None:
    """Make a run directory of dialogues from elsewhere, to judge, measure and report them."""
    from magnet.stages.adopt import adopt as adopt_dialogues

    typer.echo(f"{adopt_dialogues(source, out, method, typer.echo)} dialogues are in {out}")


@app.command()
def judge(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    scales: Annotated[str | None, typer.Option(help="Of ctrs,wai,panas; else the study's.")] = None,
    judges: Annotated[
        list[str] | None, typer.Option("--judge", help="A judge of the study; else all of them.")
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(help="How many, from the first; else all.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="A study's TOML file or name: its judges and settings; else the run's."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key.")
    ] = None,
) -> None:
    """Rate a run's sessions; what is already rated is not asked again."""
    from magnet.stages.judge import judge_run
    from magnet.study.prepare import quiet

    quiet()
    named = [f"scales={scales.split(',')}"] if scales else []
    chosen = [*named, *(settings or [])]
    stage = judge_run(run, chosen, judges or [], sessions, Console(), study)
    typer.echo(f"{stage.answers} answers, {stage.missing} scores missing: {run / 'scores.jsonl'}")
    if stage.left:
        typer.echo(f"{len(stage.left)} sessions are not wholly judged; the same command goes on.")
    raise typer.Exit(1 if stage.left else 0)


@app.command()
def diversity(
    source: Annotated[Path, typer.Argument(help="Run, folder or zip of sessions, or JSONL.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="llama3, words, or a folder with a tokenizer.json; llama3 if it is installed, "
            "else words.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        Literal["paper", "released"], typer.Option(help="The paper's text, or the notebook's.")
    ] = "paper",
    more: Annotated[
        bool, typer.Option("--more", help="Also compression, self-repetition, MATTR, Vendi score.")
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="--more, with a sentence-transformers model in the Vendi score."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how varied the words are: Distinct-1, -2, -3 and EAD, by method and role."""
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
        Path | None, typer.Option(help="Folder. Default: report in the first run.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="What to call a run, once each, in their order. Else: its study."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Of table 2; see magnet diversity.", show_default=False)
    ] = None,
) -> None:
    """Write tables and a page to read the sessions in: Markdown, LaTeX, CSV, HTML.

    Runs that hold the same method under different labels are compared as variants of it.
    """
    from eval.report.page import PAGE, write_report

    folder = write_report(runs, out, labels=labels or (), tokenizer=tokenizer)
    typer.echo(f"Tables: {folder / 'tables.md'}")
    typer.echo(f"Open in a browser: {folder / PAGE}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; an earlier export goes.")],
    format_: Annotated[
        Literal["chat", "sharegpt", "pairs", "authors", "parquet"],
        typer.Option("--format", help="What a row looks like."),
    ] = "chat",
    method: Annotated[str | None, typer.Option(help="Whose sessions; else all methods'.")] = None,
    prompts: Annotated[str, typer.Option(help="The prompt set in the rows.")] = "ours",
    split: Annotated[
        Path | None,
        typer.Option(help="CSV of client_id,split or seed_id,split; else the paper's 90/10/50."),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="Of sessions whose seeds' licence is not known."),
    ] = None,
) -> None:
    """Write a run's training pairs as a dataset with its card, for `datasets.load_dataset`."""
    from magnet.dataset.export import export as export_pairs
    from magnet.dataset.show import print_export

    print_export(export_pairs(run, format_, out, method, prompts, split, license_), Console())


@app.command()
def finetune(
    run: Annotated[Path, typer.Argument(help="Run directory whose sessions to learn from.")],
    method: Annotated[str, typer.Option(help="Whose sessions: magnet, cactus, psych8k, ...")],
    recipe: Annotated[
        str, typer.Option(help="paper, recommended, smoke, or a YAML file.")
    ] = "recommended",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The base: a folder or Hugging Face name; else the recipe's.")
    ] = None,
    clients: Annotated[
        Literal["train", "all"],
        typer.Option(help="Learn from the training split, or from all: then none is held out."),
    ] = "train",
    prompts: Annotated[
        str | None, typer.Option(help="A prompt set; else the one the run was played with.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder. Default in the run: tuned-METHOD, with -all for all."),
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print recipe, rows, steps, memory, time; and leave.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Also keep the merged model.")] = False,
    report_to: Annotated[
        str | None, typer.Option(help="Also log to trackio or tensorboard.")
    ] = None,
) -> None:
    """Train a LoRA adapter that plays the counselor; the same command goes on where it stopped."""
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
        typer.echo(f"\nInterrupted. The same command goes on from the checkpoint in {folder}.")
        raise typer.Exit(130) from None
    print_tuned(folder, Console())


@app.command()
def doctor(
    study: Annotated[str, typer.Argument(help="A study's TOML file or name.")] = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the run would go.")] = Path("runs"),
) -> None:
    """Check a study's servers, models, keys, prompts, seeds and disk; spends nothing."""
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
    """Install the paper's own prompts, for --prompts authors."""
    from prompts_frozen.authors import import_prompts

    import_prompts(source, typer.echo)


@seeds.command("import")
def seeds_import(
    source: _Repository = ARCHIVE,
) -> None:
    """Install the authors' 450 seeds (GPL-2.0), for seeds = "authors"."""
    from magnet.core.seeds import import_seeds

    typer.echo(f"450 seeds (CACTUS data, GPL-2.0) are in {import_seeds(source)}")
    typer.echo("What is generated from them carries that licence in its provenance.")


@prompts.command("lock")
def prompts_lock(
    name: Annotated[str, typer.Argument(help="A set that ships, or a folder.")] = "ours",
) -> None:
    """Re-lock a prompt set after a change that is meant."""
    from prompts_frozen.sets import folder_of, lock

    for role, sha256 in lock(folder_of(name)).items():
        typer.echo(f"{sha256}  {role}")


def main() -> None:
    """Entry point of ``magnet``."""
    run_app(app)


if __name__ == "__main__":
    main()
