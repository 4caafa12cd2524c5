"""What each agent of the counselor is asked and answers (paper, section 3 and appendix A)."""

import dspy

from signatures.types import CBTPlan, Techniques


class PlanSession(dspy.Signature):
    """Choose the CBT technique that suits this client and plan the session around it."""

    client_information: str = dspy.InputField(desc="who the client is")
    reason: str = dspy.InputField(desc="why the client seeks counselling")
    first_utterance: str = dspy.InputField(desc="the client's opening words")
    plan: CBTPlan = dspy.OutputField(desc="the technique and a step-by-step plan for the session")


class _Specialist(dspy.Signature):
    """Base of the five specialists: same inputs, one candidate reply each."""

    client_information: str = dspy.InputField(desc="who the client is")
    reason: str = dspy.InputField(desc="why the client seeks counselling")
    history: str = dspy.InputField(desc="the session so far, one line a message")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")


class Reflect(_Specialist):
    """Mirror the client's thoughts and feelings back, so that the client can look at them."""


class Question(_Specialist):
    """Ask an open question that helps to understand the client's situation and feelings."""


class Solve(_Specialist):
    """Offer a practical step, grounded in psychology, that the client could try."""


class Normalize(_Specialist):
    """Show that the client's experience is understandable and shared by many, and reassure."""


class Educate(_Specialist):
    """Explain a psychological idea that makes sense of what the client goes through."""


class ChooseTechniques(dspy.Signature):
    """Choose the techniques for the counselor's next reply.

    A session first explores, then normalizes, then works on solutions.
    """

    plan: CBTPlan = dspy.InputField(desc="the session's plan")
    history: str = dspy.InputField(desc="the session so far, one line a message")
    techniques: Techniques = dspy.OutputField(desc="one to five different techniques")


class Respond(dspy.Signature):
    """Merge the specialists' candidates into one reply that uses the chosen techniques."""

    reflection: str = dspy.InputField(desc="candidate of the reflection specialist")
    questioning: str = dspy.InputField(desc="candidate of the questioning specialist")
    solutions: str = dspy.InputField(desc="candidate of the solutions specialist")
    normalizing: str = dspy.InputField(desc="candidate of the normalizing specialist")
    psychoeducation: str = dspy.InputField(desc="candidate of the psycho-education specialist")
    techniques: Techniques = dspy.InputField(desc="the techniques to use")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")
