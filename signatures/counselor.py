"""What each agent of the counselors is asked and answers (paper, section 3 and appendix A).

An input that a profile leaves out is None; the paragraph that would show it leaves the prompt.
"""

import dspy

from signatures.types import CBTPlan, Techniques


class PlanSession(dspy.Signature):
    """Choose the CBT technique that suits this client and plan the session around it."""

    client_information: str = dspy.InputField(desc="who the client is")
    reason: str | None = dspy.InputField(desc="why the client seeks counselling")
    first_utterance: str = dspy.InputField(desc="the client's opening words")
    plan: CBTPlan = dspy.OutputField(desc="the technique and a step-by-step plan for the session")


class _Specialist(dspy.Signature):
    """Base of the five specialists: same inputs, one candidate reply each."""

    client_information: str = dspy.InputField(desc="who the client is")
    reason: str | None = dspy.InputField(desc="why the client seeks counselling")
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


class ChooseTechniquesUnplanned(dspy.Signature):
    """Choose the techniques for the counselor's next reply, without a plan (MAGneT-C).

    A session first explores, then normalizes, then works on solutions.
    """

    history: str = dspy.InputField(desc="the session so far, one line a message")
    techniques: Techniques = dspy.OutputField(desc="one to five different techniques")


class _Merge(dspy.Signature):
    """Base of the response generators: five candidates in, one reply out."""

    reflection: str = dspy.InputField(desc="candidate of the reflection specialist")
    questioning: str = dspy.InputField(desc="candidate of the questioning specialist")
    solutions: str = dspy.InputField(desc="candidate of the solutions specialist")
    normalizing: str = dspy.InputField(desc="candidate of the normalizing specialist")
    psychoeducation: str = dspy.InputField(desc="candidate of the psycho-education specialist")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")


class Respond(_Merge):
    """Merge the specialists' candidates into one reply that uses the chosen techniques."""

    techniques: Techniques = dspy.InputField(desc="the techniques to use")


class RespondToPlan(_Merge):
    """Merge the specialists' candidates into one reply that follows the plan (MAGneT-T)."""

    plan: CBTPlan = dspy.InputField(desc="the session's plan")
    history: str | None = dspy.InputField(desc="the session so far, one line a message")


class RespondFreely(_Merge):
    """Merge what fits of the specialists' candidates into one reply (MAGneT-C-T)."""

    history: str | None = dspy.InputField(desc="the session so far, one line a message")


class RespondCactus(dspy.Signature):
    """Give the counselor's next reply, following the plan (CACTUS)."""

    client_information: str | None = dspy.InputField(desc="who the client is")
    reason: str | None = dspy.InputField(desc="why the client seeks counselling")
    plan: CBTPlan = dspy.InputField(desc="the session's plan")
    history: str = dspy.InputField(desc="the session so far, one line a message")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")


class RespondPsych8k(dspy.Signature):
    """Answer as a counselor, from the session alone (Psych8k)."""

    history: str = dspy.InputField(desc="the session so far, one line a message")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")


class RespondTuned(dspy.Signature):
    """Give the counselor's next reply; the model was fine-tuned to do so (appendix E)."""

    client_information: str = dspy.InputField(desc="who the client is")
    reason: str = dspy.InputField(desc="why the client seeks counselling")
    history: str = dspy.InputField(desc="the session so far, one line a message")
    reply: str = dspy.OutputField(desc="the counselor's next reply, a single turn")
