"""The stage ``finetune`` of a study: an adapter for each method that the paper tunes on."""

from pathlib import Path

from rich.console import Console

from magnet.console.tables import print_line
from magnet.core.errors import UsageError
from magnet.study.spec import Study
from magnet.training.recipe import Recipe, load_recipe
from signatures import PARENTS

#: Methods whose sessions the paper tunes a counselor on.
TUNED_ON = tuple(name.removeprefix("tuned-") for name in PARENTS)


def recipe_of(study: Study) -> Recipe:
    """The study's recipe."""
    model = {"model": study.finetune.model} if study.finetune.model else {}
    return load_recipe(study.finetune.recipe, over={**study.finetune.set, **model})


def methods_of(study: Study) -> list[str]:
    """The study's methods that are tuned on.

    Raises:
        UsageError: it plays none of them.
    """
    if found := [method for method in TUNED_ON if method in study.methods]:
        return found
    raise UsageError(
        f"study {study.name}: the stage finetune has nothing to learn from",
        f"It learns from sessions of {', '.join(TUNED_ON)}.",
    )


def check_stage(study: Study) -> None:
    """Checks all that needs no sessions, before any is played.

    Raises:
        UsageError: the extra, the recipe, the base model or the machine will not do.
    """
    from magnet.training.base import check_extra, find_base, open_config, open_tokenizer
    from magnet.training.checks import check_machine
    from magnet.training.tokens import Renderer

    methods_of(study)
    recipe = recipe_of(study)
    check_extra()
    check_machine(recipe)
    base = find_base(recipe.model)
    open_config(base)
    Renderer(open_tokenizer(base), recipe.template)


def finetune_stage(study: Study, run: Path, console: Console) -> None:
    """Trains what is not trained yet; writes one study that evaluates all of it together."""
    from magnet.training.evaluation import write_evaluation
    from magnet.training.finetune import finetune
    from magnet.training.plan import default_folder, make_plan
    from magnet.training.show import print_tuned

    adapters = {}
    for method in methods_of(study):
        clients = study.finetune.clients
        plan = make_plan(run, method, recipe_of(study), clients=clients)
        out = default_folder(run, method, clients)
        print_line(console, f"Fine-tuning {plan.agent} on sessions of {method}.")
        finetune(plan, out, console, merged=study.finetune.merge)
        print_tuned(out, console)
        adapters[plan.agent] = out / "adapter"
    study_file = run / "evaluate.toml"
    if write_evaluation(plan, study_file, adapters):
        print_line(console, f"All of them together: {study_file}")
