"""The one error a user sees: what is wrong, where, and how to mend it."""


class UsageError(Exception):
    """Bad input. Commands print it without a traceback and leave with exit code 2.

    Args:
        what: what is wrong and where, in one sentence.
        remedy: how to mend it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n  {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
