"""The generation systems: what each agent sees, by method and switch."""

from collections import Counter

import pytest

from magnet.study.prepare import prepare
from programs import METHODS, PAPER, RELEASED, Profile
from prompts_frozen import load_prompts
from tests.running import agent_on, reproduce, seeds, session_files

AGENTS_OF = {
    "magnet": 8,
    "magnet-c": 7,
    "magnet-t": 7,
    "magnet-c-t": 6,
    "psych8k": 1,
    "cactus": 2,
    "tuned-magnet": 1,
    "tuned-cactus": 1,
    "tuned-psych8k": 1,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("profile", [PAPER, RELEASED])
def test_each_system_has_its_agents_and_no_more(method, profile):
    assert len(METHODS[method]("ours", profile).predictors()) == AGENTS_OF[method]


def prompts_of(method, profile, server):
    """The prompts one exchange of a method sends, by agent, as one text each."""
    from magnet.core.session import Session

    counselor = METHODS[method]("ours", profile)
    lm = agent_on(server, "client").lm
    for agent in counselor.predictors():
        agent.lm = lm
    seed = seeds(1)[0]
    counselor(seed=seed, history=Session(seed=seed).history)
    return ["\n".join(m["content"] for m in r["messages"]) for r in server.requests]


REASON = seeds(1)[0].reason_counseling
PAST = "Past History"  # a heading that the intake form alone has


@pytest.mark.parametrize(
    ("switches", "seen"),
    [({}, 0), ({"specialists_see_reason": True}, 5), ({"planner_sees": "demographics"}, 1)],
)
def test_a_switch_changes_what_it_names_alone(switches, seen, server):
    prompts = prompts_of("magnet", Profile(**switches), server)
    assert sum(f"\n{REASON}\n" in p and PAST not in p for p in prompts) == seen
    planner_sees_form = switches.get("planner_sees", "form") == "form"
    assert sum(PAST in p for p in prompts) == planner_sees_form
    assert not any("\n\n\n" in p or "None" in p for p in prompts)


#: The scripts' profile, whose answers the fake server gives typed.
SCRIPTS = RELEASED.model_copy(update={"answers": "typed"})


@pytest.mark.parametrize("method", ["magnet-t", "magnet-c-t"])
@pytest.mark.parametrize(
    ("profile", "shown"),
    [(PAPER, True), (SCRIPTS, True), (Profile(ablations_see_history=False), False)],
    ids=["paper", "released", "without"],
)
def test_ablations_see_the_session_unless_told_not_to(method, profile, shown, server):
    prompts = prompts_of(method, profile, server)
    [response] = [p for p in prompts if "Draft by reflection" in p]
    assert (seeds(1)[0].opening in response) is shown
    assert ("The plan for this session" in response) is (method == "magnet-t")


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (["methods=['magnet', 'cactus']"], False),  # as the runs of before
        (["methods=['magnet', 'magnet-t']"], True),
        (["switches.ablations_see_history=true"], True),
        (["profile='released'"], True),
    ],
)
def test_a_run_without_ablations_keeps_its_identity(settings, shown):
    identity = prepare("demo", settings).identity
    assert identity["switches"]["ablations_see_history"] is shown


@pytest.mark.parametrize("profile", [PAPER, SCRIPTS], ids=["paper", "released"])
def test_the_response_generator_of_magnet_never_sees_the_session(profile, server):
    prompts = prompts_of("magnet", profile, server)
    [response] = [p for p in prompts if "Draft by reflection" in p]
    assert seeds(1)[0].opening not in response


def test_every_method_plays_the_same_seeds_and_client_from_one_command(serve, out):
    def reply(body, prompt):
        return None if "response_format" in body else "Please go on."

    server = serve(reply=reply)
    done = reproduce(server, out, methods=list(METHODS), sessions=2, exchanges=1)
    assert done.returncode == 0, done.stderr
    import json

    files = [json.loads(raw) for raw in session_files(out).values()]
    played = {(f["method"], f["seed_id"]) for f in files}
    assert played == {(m, s.seed_id) for m in METHODS for s in seeds(2)}
    first = [f["seed_id"] for f in files[: len(METHODS)]]
    assert len(set(first)) == 1  # seed by seed: a partial run can be compared
    # Counselors that say the same hear the client asked the same: there is one client.
    prompt = load_prompts()["client"].system
    sent = [r for r in server.requests if r["messages"][0]["content"] == prompt]
    asked = Counter(str((r["messages"], r["model"], r.get("temperature"))) for r in sent)
    assert sorted(asked.values()) == [len(METHODS)] * 2
