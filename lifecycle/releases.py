"""Release: something new upstream, and what people decided about it.

A repository appears (FOUND). While its files are still being uploaded it stays there. When its weights are complete a
card is shown (OFFERED) and a person approves, skips or snoozes it. Approval writes the deployment in the same
transaction, so an APPROVED release always has one; once that has retired, the release can be reopened. A repository
that is deleted upstream, or goes private, is WITHDRAWN until the same commit is public again.

While nobody has decided, the release follows its repository: a new commit or a new name is looked at afresh, under the
same card.
"""

from lifecycle.machine import Machine

FOUND, OFFERED, SNOOZED, APPROVED, SKIPPED, WITHDRAWN = "FOUND OFFERED SNOOZED APPROVED SKIPPED WITHDRAWN".split()

AFRESH = {"pushed": FOUND, "renamed": FOUND}

RELEASE = Machine(
    "release",
    FOUND,
    {
        FOUND: {"offered": OFFERED, "approved": APPROVED, "skipped": SKIPPED, "withdrawn": WITHDRAWN, **AFRESH},
        OFFERED: {"approved": APPROVED, "skipped": SKIPPED, "snoozed": SNOOZED, "withdrawn": WITHDRAWN, **AFRESH},
        SNOOZED: {"woke": OFFERED, "approved": APPROVED, "skipped": SKIPPED, "withdrawn": WITHDRAWN, **AFRESH},
        SKIPPED: {"reopened": OFFERED, "approved": APPROVED, "withdrawn": WITHDRAWN, "renamed": SKIPPED},
        APPROVED: {"reopened": OFFERED},
        WITHDRAWN: {"returned": FOUND},
    },
)
