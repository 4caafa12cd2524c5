"""From a model's spec to a ``dspy.LM`` that speaks to it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import dspy
from dspy import lm15

from magnet.core.errors import UsageError
from magnet.lm import embedded
from magnet.lm.http import Asker, Engine, Support, SyncEngine, key_of, list_models, plain, redact
from magnet.lm.spec import LMSpec
from magnet.lm.sync import run_sync
from magnet.lm.usage import Meter


@cache
def _support(url: str) -> Support:
    return Support()


def _check_key(spec: LMSpec, where: str) -> None:
    if spec.key_env and not key_of(spec):
        raise UsageError(
            f"{where}: the environment variable {spec.key_env} is not set",
            f"Put the key in it: export {spec.key_env}=... (keys are never read from files).",
        )


def resolve(spec: LMSpec, role: str = "default") -> LMSpec:
    """The spec with its URL and model name filled in, checked against the server.

    Raises:
        UsageError: key missing, server out of reach, model unknown there.
    """
    where = role if "." in role else f"lm.{role}"
    if spec.wire == "completions" and spec.template is None:
        raise UsageError(
            f"{where}: the completions wire needs a template",
            f'Set {where}.template to "llama3" or "chatml", whichever the model was trained on.',
        )
    _check_key(spec, where)
    if spec.url is None:
        if spec.model not in (None, embedded.MODEL):
            raise UsageError(
                f"{where}: the embedded LM is {embedded.MODEL}, not {spec.model}",
                f"Name the server that offers {spec.model}: {where}.url",
            )
        update = {"url": embedded.server_url(), "model": embedded.MODEL}
        return spec.model_copy(update=update | {"extra": embedded.NEUTRAL | spec.extra})
    try:
        offered = [str(m["id"]) for m in run_sync(list_models(spec))]
    except lm15.AuthError as error:
        raise UsageError(
            f"{where}: {spec.url} rejects the key: {plain(error)}",
            f"Check the variable that {where}.key_env names.",
        ) from None
    except lm15.UnsupportedModelError:  # a server without a list of models
        offered = []
    except lm15.LM15Error as error:
        raise UsageError(
            f"{where}: {spec.url} does not answer: {redact(plain(error), spec)}",
            "Start the server or correct the URL.",
        ) from None
    if spec.model is None:
        if len(offered) == 1:
            return spec.model_copy(update={"model": offered[0]})
        if "/openai/deployments/" in spec.url:
            name = spec.url.split("/openai/deployments/")[1].split("/")[0].split("?")[0]
            return spec.model_copy(update={"model": name})
        listed = ", ".join(offered[:12]) or "none"
        raise UsageError(
            f"{where}: {spec.url} offers {len(offered)} models: {listed}", f"Set {where}.model."
        )
    if offered and spec.model not in offered:
        raise UsageError(
            f"{where}: {spec.url} does not offer {spec.model!r}",
            f"It offers: {', '.join(offered[:12])}",
        )
    return spec


def make_lm(
    spec: LMSpec, role: str, meter: Meter, wrap: Callable[[Engine], Asker] = lambda engine: engine
) -> dspy.LM:
    """A ``dspy.LM`` for one role from a resolved spec.

    Args:
        spec: the model.
        role: whose calls these are.
        meter: counts them.
        wrap: puts another engine in front, such as ``MemoEngine``.
    """
    assert spec.url is not None
    engine = wrap(Engine(spec, role, meter, _support(spec.url)))
    return dspy.LM(
        spec.model,
        engine=SyncEngine(engine),
        async_engine=engine,
        cache=False,
        num_retries=0,  # the agents retry, and count it
        **spec.sampling(),
    )


def connect(**fields: Any) -> dspy.LM:
    """A ``dspy.LM`` for scripts: ``dspy.configure(lm=connect(url="http://localhost:8000"))``.

    Args:
        **fields: those of LMSpec; without a ``url`` the embedded LM.

    Raises:
        UsageError: it cannot be reached, or has no such model.
    """
    return make_lm(resolve(LMSpec(**fields)), "default", Meter())
