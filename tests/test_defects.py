"""What goes wrong in sessions, counted."""

from typing import Any

from eval.defects import Defects
from magnet.core.session import AgentCall, Exchange, Session
from tests.running import seeds


def session_of(client: list[str | None], counselor: list[str], **more: Any) -> Session:
    exchanges = [
        Exchange(reply=reply, client_reply=said, ended=said is None, calls=more.get("calls", []))
        for said, reply in zip(client, counselor, strict=True)
    ]
    return Session(seed=seeds(1)[0], exchanges=exchanges)


def test_defects_are_counted() -> None:
    defects = Defects()
    calls = [
        AgentCall(role="planner", finish="length"),
        AgentCall(role="client", finish="stop"),
        AgentCall(role="response"),
    ]
    replies = ["I see.", "Go on.", "I see.", "Counselor: "]
    defects.add(session_of(["No.", " No.", "Client:", None], replies, calls=calls))
    defects.add(session_of(["No.", "Client: No.", "", "Yes."], ["a", "b", "c", "d"]))
    assert (defects.sessions, defects.ended) == (2, 1)
    assert (defects.client_turns, defects.client_repeats, defects.client_labels) == (9, 1, 2)
    assert (defects.replies, defects.reply_repeats, defects.reply_labels) == (10, 1, 1)
    assert defects.lengths == {9: 1, 10: 1}
    assert dict(defects.answers) == {"planner": 4, "client": 4}
    assert defects.cut == {"planner": 4, "client": 0}
