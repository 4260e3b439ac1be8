"""What every Python job shares: what the harness tells it, its progress, and the tally."""

import os
import threading
import time

SERVERS = os.environ["PEER_SERVERS"]
PREDICTIONS = os.environ["PEER_PREDICTIONS"]
LABELS = os.environ["PEER_LABELS"]
OUTPUT = os.environ["PEER_OUTPUT"]
APPLICATION = os.environ["PEER_APPLICATION"]
FOLDER = os.environ["PEER_FOLDER"]
VARIANT = os.environ["PEER_VARIANT"]
EVENTS = int(os.environ["PEER_EVENTS"])
LABELLED = int(os.environ["PEER_LABELLED"])

HORIZON_MS = 3_600_000
WINDOW_MS = 60_000
BINS = 100

_INTERVAL_S = 0.2


class Progress:
    """Input records parsed, labelled predictions added to a window."""

    consumed = 0
    aggregated = 0


def report_progress() -> None:
    """Write a line every 0.2 s from now on, from a thread of its own."""
    threading.Thread(target=_report, daemon=True).start()


def _report() -> None:
    while True:
        time.sleep(_INTERVAL_S)
        tell_progress()


def tell_progress() -> None:
    """Write one line, past any buffer and any redirection of print."""
    line = f"P {time.time():.3f} {Progress.consumed} {Progress.aggregated}\n"
    os.write(1, line.encode())


def empty_counts() -> dict:
    """Return the tally of a model and minute without outcomes, and without a histogram."""
    return {"count": 0, "tp": 0, "fp": 0, "tn": 0, "fn": 0, "brier_sum": 0.0}


def empty_tally() -> dict:
    """Return the same with a histogram."""
    return {**empty_counts(), "histogram": [[0] * BINS, [0] * BINS]}


def add(tally: dict, prediction: int, label: int, score: float) -> dict:
    """Add one outcome to a tally, in place, and count it as aggregated."""
    Progress.aggregated += 1
    tally["count"] += 1
    tally[("t" if prediction == label else "f") + ("p" if prediction else "n")] += 1
    error = score - label
    tally["brier_sum"] += error * error
    if "histogram" in tally:
        tally["histogram"][label][min(int(score * BINS), BINS - 1)] += 1
    return tally


def wait() -> None:
    """Keep the process, whose CPU time is still read, until the harness ends it."""
    threading.Event().wait()
