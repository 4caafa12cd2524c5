"""What the simulated client is asked and answers (paper, section 3 and appendix B)."""

import dspy


class BeClient(dspy.Signature):
    """Speak as the client: true to the intake form and to the attitude towards counselling.

    The client may end the session by adding the mark [/END] to a reply.
    """

    intake_form: str = dspy.InputField(desc="the client's background and concern")
    attitude: str = dspy.InputField(desc="positive, neutral or negative, and how that shows")
    history: str = dspy.InputField(desc="the session so far, one line a message")
    reply: str | None = dspy.OutputField(desc="the client's next reply, a single turn")
    ended: bool = dspy.OutputField(desc="whether the client ends the session with this reply")
