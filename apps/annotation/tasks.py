"""What annotation does in the background."""

from apps.annotation import (
    announcing,
    bulk,
    deciding,
    golden,
    pulling,
    queue,
    rechecks,
    retraining,
    selectors,
    transfers,
    weighing,
)
from apps.core import background


@background.every(5, "annotation.pull_due")
def pull_due() -> None:
    """Turn logged calls into tasks."""
    pulling.pull_due()


@background.every(3, "annotation.proceed_retrainings")
def proceed_retrainings() -> None:
    """Take up retrainings whose event was lost."""
    retraining.proceed_all()


@background.every(3, "annotation.ask_again")
def ask_again() -> None:
    """Ask versions in production what was called wrong before."""
    rechecks.proceed_all()


@background.every(60, "annotation.decide_retrainings")
def decide_retrainings() -> None:
    """Let the rules say what is trained anew and what is released."""
    deciding.decide_all()


@background.every(20, "annotation.fold_tallies")
def fold_tallies() -> None:
    """Keep the counts of tasks short."""
    selectors.fold_tallies()


@background.task("annotation.transfer")
def transfer(pk: int) -> None:
    """Read or write one file."""
    transfers.run(pk)


@background.every(5, "annotation.run_transfers")
def run_transfers() -> None:
    """Take up files that a killed worker left, or whose task was lost."""
    transfers.run_waiting()


@background.task("annotation.bulk")
def many_at_once(pk: int) -> None:
    """Make a data set version of labels, or accept them."""
    bulk.run(pk)


@background.every(5, "annotation.run_bulks")
def run_bulks() -> None:
    """Take up what a killed worker left."""
    bulk.run_waiting()


@background.every(30, "annotation.stop_decided")
def stop_decided() -> None:
    """Pause the queues that have reached their purpose."""
    queue.stop_decided()


@background.every(60, "annotation.weigh")
def weigh() -> None:
    """Propose labels for disagreements by what is known of the people."""
    weighing.propose_all()


@background.every(60, "annotation.keep_golden")
def keep_golden() -> None:
    """Make golden tasks where they are asked for, and retire those that people answer otherwise."""
    golden.keep_all()


@background.every(5, "annotation.announce")
def announce() -> None:
    """Tell webhooks of new labels and decisions."""
    announcing.tell_all()
