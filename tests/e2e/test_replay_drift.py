"""ADWIN on the loss fires at the index at which bare river fires, and says which way it went."""

from pathlib import Path

import pytest

from tests import builders, oracle

WINDOW_MS = 5 * builders.MINUTE_MS
UP = {f"up-{seed}": (seed, 0.1, 0.4) for seed in (1, 2, 3)}
DOWN = {f"down-{seed}": (seed, 0.4, 0.1) for seed in (4, 5, 6)}
FLAT = {f"flat-{seed}": (seed, 0.2, 0.2) for seed in (7, 8, 9)}


class Replayed:
    """A history of many models, what the oracle makes of it and what the product does."""

    def __init__(self, events: list[builders.Event], folder: Path) -> None:
        lines = builders.as_lines(events)
        file = builders.write_lines(folder / "events.jsonl", lines)
        self.expected = oracle.expect(lines, window_ms=WINDOW_MS)
        self.alerts = oracle.replay(file, "--monitors", oracle.RAW, out=folder).alerts

    def adwin(self, model: str) -> list[builders.Event]:
        """Return the firings of ADWIN on the loss of one model."""
        return [a for a in oracle.loss_alerts(self.alerts) if a["model"] == model]

    def bare(self, model: str) -> list[int]:
        """Return the indices at which bare river fires on the same losses."""
        return oracle.adwin_indices(self.expected.losses[model, ""])


@pytest.fixture(scope="module")
def arrivals() -> list[builders.Arrival]:
    """Make all streams, side by side in one history."""
    streams = (UP | DOWN | FLAT).items()
    return [
        arrival
        for model, (seed, before, after) in streams
        for arrival in builders.drifting(model, seed=seed, before=before, after=after)
    ]


@pytest.fixture(scope="module", params=["in_order", "shuffled"])
def replayed(
    request: pytest.FixtureRequest,
    arrivals: list[builders.Arrival],
    tmp_path_factory: pytest.TempPathFactory,
) -> Replayed:
    """Replay the streams as they were made, or in an arbitrary order of arrival."""
    is_shuffled = request.param == "shuffled"
    events = builders.shuffled(arrivals, seed=1) if is_shuffled else builders.in_order(arrivals)
    return Replayed(events, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("model", [*UP, *DOWN])
def test_adwin_fires_first_at_the_index_of_bare_river(replayed: Replayed, model: str) -> None:
    """The evidence names the outcome, counted from 0 in the order of the labels."""
    bare = replayed.bare(model)

    fired = [alert["evidence"]["outcome_index"] for alert in replayed.adwin(model)]

    assert bare[0] > 2_000, "the stream must not drift before half time"
    assert fired[:1] == bare[:1]
    assert set(fired) <= set(bare)


@pytest.mark.parametrize(
    ("model", "direction"), [*((m, "worse") for m in UP), *((m, "better") for m in DOWN)]
)
def test_the_direction_says_whether_the_loss_rose(
    replayed: Replayed, model: str, direction: str
) -> None:
    """ADWIN fires on improvement too; only the direction tells them apart."""
    first = replayed.adwin(model)[0]

    assert first["direction"] == direction


@pytest.mark.parametrize("model", FLAT)
def test_a_steady_model_raises_no_adwin_alert_on_its_loss(replayed: Replayed, model: str) -> None:
    """Where bare river is silent there is no alert."""
    assert replayed.bare(model) == []
    assert replayed.adwin(model) == []


@pytest.mark.parametrize("model", [*UP, *DOWN])
def test_the_alert_is_dated_by_event_time(replayed: Replayed, model: str) -> None:
    """The alert's time is that of the outcome, up to the end of its window."""
    first = replayed.adwin(model)[0]

    time_ms = replayed.expected.label_times[model, ""][first["evidence"]["outcome_index"]]

    assert time_ms <= first["at_ms"] <= time_ms + WINDOW_MS


def test_detectors_see_the_first_label_and_no_correction(tmp_path: Path) -> None:
    """One label in five is corrected a minute later; the index stays that of the first labels."""
    stream = builders.drifting("up", seed=1, before=0.1, after=0.4)
    corrected = stream + builders.corrections(stream, every=5, after_ms=60_500)

    replayed = Replayed(builders.in_order(corrected), tmp_path)

    fired = [alert["evidence"]["outcome_index"] for alert in replayed.adwin("up")]
    assert replayed.expected.fates["correction"] == 800
    assert fired[:1] == replayed.bare("up")[:1]
    assert len(replayed.bare("up")) > 0


def test_lost_and_repeated_records_leave_the_index_that_of_the_outcomes(tmp_path: Path) -> None:
    """Only matched predictions are counted, each once."""
    stream = builders.drifting("up", seed=2, before=0.1, after=0.4)
    events = [event for i, event in enumerate(builders.in_order(stream)) if i % 13]
    repeated = [event for event in events for _ in range(2)]

    replayed = Replayed(repeated, tmp_path)

    fired = [alert["evidence"]["outcome_index"] for alert in replayed.adwin("up")]
    assert fired[:1] == replayed.bare("up")[:1]
    assert len(replayed.bare("up")) > 0
