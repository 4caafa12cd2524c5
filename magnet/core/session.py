"""The record of one role-play."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from magnet.core.seeds import GenerationSeed
from signatures import CBTPlan, CBTTechnique, FreePlan, Plan, Technique

Role = Literal["counselor", "client"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Message(_Record):
    """One message: who speaks, and the words."""

    role: Role
    message: str


class AgentCall(_Record):
    """What one agent's answer took.

    Attributes:
        role: the agent.
        model: as the server reports it; None where the LM does not say.
        seed: the seed of the answer that was taken.
        retries: how often it was asked again, by reason (``malformed``, ``rate_limit``,
            ``server``, ``timeout``, ``transport``).
        input_tokens: over all answered tries; None where the server reports none.
        output_tokens: likewise.
        finish: ``stop``, or ``length`` where the token limit cut the answer.
    """

    role: str
    model: str | None = None
    seed: int | None = None
    retries: dict[str, int] = {}
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str | None = None


class Exchange(_Record):
    """One exchange: what the counselor's agents produced, the reply, and the client's answer.

    Attributes:
        candidates: the specialists' drafts by role; empty for methods without specialists.
        techniques: those chosen; empty for methods without a selector.
        technique_text: the selector's own words, where they are used as they are.
        reply: the counselor's words.
        client_reply: the client's words; None where the client left with the mark [/END] alone.
        ended: the client ended the session.
        calls: one record per agent.
    """

    candidates: dict[str, str] = {}
    techniques: list[Technique] = []
    technique_text: str | None = None
    reply: str
    client_reply: str | None
    ended: bool = False
    calls: list[AgentCall]


class RoleUsage(_Record):
    """Sums over a session's calls of one role; tokens None where a server reported none."""

    answers: int = 0
    retries: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0


def load_plan(data: dict[str, Any]) -> Plan:
    """A plan from JSON data: typed where its technique is one of the twelve."""
    typed = data["technique"] in set(CBTTechnique)
    return (CBTPlan if typed else FreePlan).model_validate(data)


def transcript(history: Iterable[Message]) -> str:
    """The session as agents read it: lines of ``Counselor: ...`` or ``Client: ...``."""
    return "\n".join(f"{m.role.capitalize()}: {m.message}" for m in history)


class Session(_Record):
    """A role-play, finished or in progress.

    Attributes:
        id: its name in the run, ``session_0001``.
        method: the generation system.
        seed: what it started from.
        plan: the planner's plan; None for methods without a planner and before the first exchange.
        exchanges: the exchanges so far.
        provenance: study, prompts and models it came from.
        cost: money by currency, over roles whose price is known.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    id: str = "session"
    method: str = "magnet"
    seed: GenerationSeed
    plan: Plan | None = None
    exchanges: list[Exchange] = []
    provenance: dict[str, Any] = Field(default_factory=dict)
    cost: dict[str, float] | None = None

    @property
    def history(self) -> list[Message]:
        """All messages: greeting, opening, then two per exchange."""
        messages = []
        if self.seed.greeting:  # a dialogue of other origin may begin otherwise
            messages.append(Message(role="counselor", message=self.seed.greeting))
        if self.seed.opening:
            messages.append(Message(role="client", message=self.seed.opening))
        for exchange in self.exchanges:
            messages.append(Message(role="counselor", message=exchange.reply))
            if exchange.client_reply is not None:
                messages.append(Message(role="client", message=exchange.client_reply))
        return messages

    @property
    def end(self) -> str | None:
        """Why it is over, as far as its exchanges tell: ``client``, or None."""
        return "client" if self.exchanges and self.exchanges[-1].ended else None

    @property
    def usage(self) -> dict[str, RoleUsage]:
        """Calls, retries and tokens by role."""
        roles: dict[str, RoleUsage] = {}
        for call in (call for exchange in self.exchanges for call in exchange.calls):
            sums = roles.setdefault(call.role, RoleUsage())
            sums.answers += 1
            sums.retries += sum(call.retries.values())
            for name in ("input_tokens", "output_tokens"):
                one, sofar = getattr(call, name), getattr(sums, name)
                setattr(sums, name, None if one is None or sofar is None else sofar + one)
        return roles

    def to_json(self) -> dict[str, Any]:
        """The session file: a superset of the authors', so that their evaluators read it."""
        entry = self.seed.entry
        return {
            "id": self.id,
            "method": self.method,
            "seed_id": self.seed.seed_id,
            "client_id": self.seed.client_id,
            "attitude": self.seed.attitude,
            "end": self.end or "exchanges",
            "cbt_technique": str(self.plan.technique) if self.plan else None,
            "cbt_plan": self.plan.plan if self.plan else None,
            "history": [m.model_dump() for m in self.history],
            "turns": [exchange.model_dump(mode="json") for exchange in self.exchanges],
            "usage": {role: u.model_dump() for role, u in sorted(self.usage.items())},
            "cost": self.cost,
            "provenance": self.provenance,
            "example": entry,
            "AI_client": entry.get("AI_client"),
            "AI_counselor": entry.get("AI_counselor"),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Session":
        """A session from its file's content.

        Raises:
            pydantic.ValidationError: the file is not one of this project's.
        """
        plan = None
        if data["cbt_plan"] is not None:
            plan = load_plan({"technique": data["cbt_technique"], "plan": data["cbt_plan"]})
        return cls(
            id=data["id"],
            method=data["method"],
            seed=GenerationSeed.from_record(data["example"], data["seed_id"], data["client_id"]),
            plan=plan,
            exchanges=[Exchange.model_validate(exchange) for exchange in data["turns"]],
            provenance=data["provenance"],
            cost=data["cost"],
        )
