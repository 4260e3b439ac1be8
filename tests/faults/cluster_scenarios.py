"""What is done to three brokers that replicate everything, with at least two of them in step.

One of them may go, or hang, at any time, whatever it is: leader of partitions, coordinator of the
group or of transactions, controller. Workers go on.
"""

import signal
from collections.abc import Callable
from functools import partial

from tests.faults.cluster import NODES, SESSION_S, Cluster
from tests.faults.scenarios import scenario
from tests.faults.trial import Trial

_three_brokers = partial(scenario, cluster=True)
#: As docs/how-to/deploy.md says: longer than it takes until a dead coordinator is replaced, which
#: begins anew where it was the controller, too.
_WORKER_SESSION_S = 20.0


def _begin(trial: Trial) -> Cluster:
    """Start workers, and writing, on topics of which the loss of a broker loses nothing."""
    assert trial.cluster is not None, "this scenario needs three brokers"
    topics = {topic for topic, _ in trial.cluster.replicas(lambda name: trial.prefix in name)}
    least = trial.cluster.in_step_at_least(topics)
    assert set(least.values()) == {"2"}, f"records count too soon as written: {least}"
    trial.options += ["--session-timeout", f"{_WORKER_SESSION_S:.0f}s"]
    trial.begin()
    return trial.cluster


def _kill(trial: Trial, *choose: Callable[[Cluster], int]) -> None:
    """Kill the node that is chosen, bring it back, and the next, while records are written."""
    cluster = _begin(trial)
    for count, _ in enumerate(trial.moments(0.5, 3.0)):
        number = choose[count % len(choose)](cluster)
        cluster.end(number)
        trial.pause(1.0, 1.5 * SESSION_S)
        cluster.restart(number)
        cluster.wait_until_whole()


@_three_brokers("three-brokers-leader-killed", quick=True, random=True)
def leader_killed(trial: Trial) -> None:
    """The broker that leads most partitions is killed (SIGKILL) and comes back, again and again."""
    _kill(trial, lambda cluster: cluster.busiest(trial.prefix))


@_three_brokers("three-brokers-coordinator-killed", random=True)
def coordinator_killed(trial: Trial) -> None:
    """The coordinator of the group, then that of a worker's transactions, is killed."""
    _kill(
        trial,
        lambda cluster: cluster.group_coordinator(f"{trial.prefix}-workers"),
        lambda cluster: cluster.transaction_coordinator(f"{trial.prefix}-worker-worker-0"),
    )


@_three_brokers("three-brokers-rolling-restart")
def rolling_restart(trial: Trial) -> None:
    """The brokers are stopped properly (SIGTERM) and started again, one after the other."""
    cluster = _begin(trial)
    for number in NODES:
        trial.fault()
        cluster.end(number, signal.SIGTERM)
        cluster.restart(number)
        cluster.wait_until_whole()
        trial.pause(0.5, 2.0)


@_three_brokers("three-brokers-frozen", random=True)
def frozen(trial: Trial) -> None:
    """The busiest broker, then the group's coordinator, hangs past its session, and wakes up."""
    cluster = _begin(trial)
    for count, _ in enumerate(trial.moments(0.5, 3.0)):
        group = f"{trial.prefix}-workers"
        number = cluster.group_coordinator(group) if count % 2 else cluster.busiest(trial.prefix)
        with cluster.frozen(number):
            trial.pause(SESSION_S / 2, 2 * SESSION_S)
        cluster.wait_until_whole()


@_three_brokers("three-brokers-reassigned", random=True)
def reassigned(trial: Trial) -> None:
    """Partitions, Kafka's own too, move to two other brokers, and to all three, leaders besides."""
    cluster = _begin(trial)
    own = ("__consumer_offsets", "__transaction_state")
    copies = 2
    for _ in trial.moments(0.5, 2.0):
        places = cluster.replicas(lambda name: name.startswith(trial.prefix) or name in own)
        cluster.assign({place: trial.random.sample(NODES, copies) for place in places})
        copies = 5 - copies
    if copies == 3:
        cluster.assign({place: trial.random.sample(NODES, copies) for place in places})


@_three_brokers("three-brokers-storm", random=True)
def storm(trial: Trial) -> None:
    """Brokers and workers are killed, stopped, frozen, in random order."""
    cluster = _begin(trial)
    for _ in trial.moments(0.3, 3.0):
        number, slot = trial.random.choice(NODES), trial.any_slot()
        match trial.random.choice(["kill", "stop", "freeze", "kill worker", "freeze worker"]):
            case "kill" | "stop" as how:
                cluster.end(number, signal.SIGKILL if how == "kill" else signal.SIGTERM)
                trial.pause(0.0, SESSION_S)
                cluster.restart(number)
            case "freeze":
                with cluster.frozen(number):
                    trial.pause(1.0, 1.5 * SESSION_S)
            case "kill worker":
                trial.supervisor.signal(slot, signal.SIGKILL)
            case "freeze worker":
                trial.supervisor.signal(slot, signal.SIGSTOP)
                trial.pause(0.1, 1.5 * _WORKER_SESSION_S)
                trial.supervisor.signal(slot, signal.SIGCONT)
        cluster.wait_until_whole()
