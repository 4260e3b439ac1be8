"""The demo's model, traffic, oracle and display, without a broker."""

import io
import signal
import sys
import time
from collections import Counter, defaultdict

import msgspec
import pytest
from rich.console import Console
from river import drift
from sklearn import metrics as sklearn_metrics

from agents.demo import run_demo
from agents.demo_model import (
    GARBAGE,
    MODEL,
    TRAINING_ROWS,
    VERSION,
    Scenario,
    SentGarbage,
    SentLabel,
    SentPrediction,
    plan_traffic,
    shuttle_rows,
    swap_sensors,
    train,
)
from agents.demo_oracle import (
    METRICS,
    TEMPERATURE,
    WINDOW_MS,
    AlertRecord,
    Board,
    MetricRecord,
    compare,
    expect,
    judge,
    published_cells,
)
from agents.demo_summary import summarise
from agents.demo_views import COLUMNS, LineView, render
from agents.demo_worker import WorkerEndedError, WorkerProcess

START_MS = 1_764_000_000_000 // 3_600_000 * 3_600_000
MOCK_PARTITION_BYTES = 5_000_000


@pytest.fixture(scope="module")
def traffic() -> Scenario:
    rows = shuttle_rows()
    return plan_traffic(train(rows[:TRAINING_ROWS]), rows[TRAINING_ROWS:], start_ms=START_MS)


def losses_in_label_order(scenario: Scenario, *, final: bool) -> list[tuple[int, int]]:
    """Pair label time and 0/1 loss, for the first label of each prediction or for the last."""
    answers = {e.prediction_id: e for e in scenario.events if isinstance(e, SentPrediction)}
    labels: dict[str, SentLabel] = {}
    for event in scenario.events:
        if isinstance(event, SentLabel) and event.label is not None:
            known = labels.setdefault(event.prediction_id, event)
            if final and event.timestamp_ms > known.timestamp_ms:
                labels[event.prediction_id] = event
    return sorted(
        (label.timestamp_ms, int(answers[key].prediction != label.label))
        for key, label in labels.items()
        if key in answers
    )


# --- model and traffic


def test_the_frozen_model_is_rarely_wrong_before_the_change_and_often_after(
    traffic: Scenario,
) -> None:
    assert traffic.error_before < 0.01
    assert traffic.error_after > 0.10


def test_the_same_seed_gives_the_same_traffic(traffic: Scenario) -> None:
    rows = shuttle_rows()

    again = plan_traffic(train(rows[:TRAINING_ROWS]), rows[TRAINING_ROWS:], start_ms=START_MS)

    assert again == traffic


def test_a_later_start_shifts_every_time_and_changes_nothing_else(traffic: Scenario) -> None:
    rows = shuttle_rows()
    shift_ms = 7_200_000

    later = plan_traffic(
        train(rows[:TRAINING_ROWS]), rows[TRAINING_ROWS:], start_ms=START_MS + shift_ms
    )

    expected = {
        (start_ms + shift_ms, metric): value
        for (start_ms, metric), value in expect(traffic.events, window_ms=WINDOW_MS).items()
    }
    assert expect(later.events, window_ms=WINDOW_MS) == expected


def test_swapped_sensors_lose_no_reading_and_leave_the_original_alone() -> None:
    readings = {"f1": 1.0, "f7": 7.0, "f9": 9.0}

    swapped = swap_sensors(readings)

    assert swapped == {"f1": 1.0, "f7": 9.0, "f9": 7.0}
    assert readings == {"f1": 1.0, "f7": 7.0, "f9": 9.0}


def test_the_traffic_holds_every_kind_of_disorder(traffic: Scenario) -> None:
    answers: dict[str, SentPrediction] = {}
    labels: defaultdict[str, list[SentLabel]] = defaultdict(list)
    kinds: Counter[str] = Counter()
    for event in traffic.events:
        if isinstance(event, SentPrediction):
            kinds["repeated prediction"] += event.prediction_id in answers
            kinds["early label"] += event.prediction_id in labels
            answers.setdefault(event.prediction_id, event)
        elif isinstance(event, SentLabel):
            labels[event.prediction_id].append(event)
    for same_id in labels.values():
        kinds["retraction"] += same_id[-1].label is None
        kinds["repeated label"] += len(same_id) == 2 and same_id[0] == msgspec.structs.replace(
            same_id[1], arrival_ms=same_id[0].arrival_ms
        )
        kinds["correction"] += len({label.label for label in same_id} - {None}) == 2
    kinds["missing label"] = len(answers.keys() - labels.keys())
    kinds["orphan label"] = len(labels.keys() - answers.keys())

    expected_shares = {
        "missing label": 0.03,
        "early label": 0.01,
        "repeated prediction": 0.01,
        "repeated label": 0.01,
        "correction": 0.01,
        "retraction": 0.003,
    }
    for kind, share in expected_shares.items():
        assert kinds[kind] / len(answers) == pytest.approx(share, rel=0.35), kind
    assert kinds["orphan label"] == 5
    assert sum(isinstance(event, SentGarbage) for event in traffic.events) == 1


def test_the_traffic_arrives_in_order_and_lasts_half_an_hour(traffic: Scenario) -> None:
    arrivals = [event.arrival_ms for event in traffic.events]

    assert arrivals == sorted(arrivals)
    assert traffic.start_ms <= arrivals[0]
    assert traffic.end_ms - traffic.start_ms == pytest.approx(31 * 60_000, rel=0.03)
    assert traffic.change_ms - traffic.start_ms == pytest.approx(15 * 60_000, rel=0.03)


def test_garbage_is_not_json() -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode(GARBAGE)


def test_the_traffic_fits_the_embedded_broker(traffic: Scenario) -> None:
    """A whole topic on one partition would still fit, so no spread of keys can overflow."""
    size_bytes = sum(
        len(msgspec.json.encode(event))
        for event in traffic.events
        if isinstance(event, SentPrediction)
    )

    assert size_bytes < MOCK_PARTITION_BYTES


@pytest.mark.parametrize("final", [False, True], ids=["first labels", "corrected labels"])
@pytest.mark.parametrize("seed", [7, 1, 2])
def test_adwin_sees_the_loss_get_worse_after_the_change_and_never_before(
    seed: int, final: bool
) -> None:
    rows = shuttle_rows()
    scenario = plan_traffic(
        train(rows[:TRAINING_ROWS]), rows[TRAINING_ROWS:], start_ms=START_MS, seed=seed
    )
    detector = drift.ADWIN()
    fired: list[tuple[int, bool]] = []

    for at_ms, loss in losses_in_label_order(scenario, final=final):
        before = detector.estimation
        detector.update(loss)
        if detector.drift_detected:
            fired.append((at_ms, detector.estimation > before))

    first_ms, worse = fired[0]
    assert worse
    assert 0 < first_ms - scenario.change_ms < 90_000


# --- oracle


def answer(key: str, at_ms: int, prediction: bool) -> SentPrediction:
    return SentPrediction(at_ms, key, at_ms, prediction, 0.5, {}, 1.0)


def label(key: str, at_ms: int, truth: bool | None) -> SentLabel:
    return SentLabel(at_ms, key, at_ms, truth)


A = answer("a", 5, True)


@pytest.mark.parametrize(
    ("events", "labels", "accuracy"),
    [
        pytest.param([A, label("a", 9, True)], 1, 1.0, id="right"),
        pytest.param([A, label("a", 9, False)], 1, 0.0, id="wrong"),
        pytest.param([A], 0, None, id="no label"),
        pytest.param([label("a", 9, True), A], 1, 1.0, id="label first"),
        pytest.param([A, label("a", 9, False), label("a", 11, True)], 1, 1.0, id="correction"),
        pytest.param([A, label("a", 11, True), label("a", 9, False)], 1, 1.0, id="old news"),
        pytest.param([A, label("a", 9, True), label("a", 9, True)], 1, 1.0, id="label twice"),
        pytest.param([A, label("a", 9, True), label("a", 11, None)], 0, None, id="retraction"),
        pytest.param([A, A, label("a", 9, True)], 1, 1.0, id="prediction twice"),
        pytest.param([A, label("b", 9, False)], 0, None, id="orphan"),
    ],
)
def test_the_oracle_counts(
    events: list[SentPrediction | SentLabel], labels: int, accuracy: float | None
) -> None:
    expected = expect(events, window_ms=10)

    assert expected[0, "predictions"] == 1
    assert expected[0, "labels"] == labels
    assert expected[0, "coverage"] == labels
    assert expected.get((0, "accuracy")) == accuracy


def test_a_window_holds_its_start_and_not_its_end() -> None:
    events = [answer("a", 9, True), answer("b", 10, True), answer("c", 19, True)]

    expected = expect(events, window_ms=10)

    assert (expected[0, "predictions"], expected[10, "predictions"]) == (1, 2)


def test_the_oracle_agrees_with_scikit_learn(traffic: Scenario) -> None:
    answers: dict[str, SentPrediction] = {}
    truths: dict[str, SentLabel] = {}
    for event in traffic.events:
        if isinstance(event, SentPrediction):
            answers.setdefault(event.prediction_id, event)
    for event in sorted(
        (e for e in traffic.events if isinstance(e, SentLabel)), key=lambda e: e.timestamp_ms
    ):
        truths[event.prediction_id] = event
    start_ms = traffic.start_ms + 10 * WINDOW_MS
    pairs = [
        (truths[key].label, one.prediction)
        for key, one in answers.items()
        if start_ms <= one.timestamp_ms < start_ms + WINDOW_MS
        and key in truths
        and truths[key].label is not None
    ]
    truth, predicted = zip(*pairs, strict=True)

    expected = expect(traffic.events, window_ms=WINDOW_MS)

    assert expected[start_ms, "labels"] == len(pairs)
    for name in ("accuracy", "precision", "recall", "f1"):
        scorer = getattr(sklearn_metrics, f"{name}_score")
        assert expected[start_ms, name] == pytest.approx(scorer(truth, predicted), abs=1e-12)


def test_every_metric_is_defined_in_every_window(traffic: Scenario) -> None:
    expected = expect(traffic.events, window_ms=WINDOW_MS)

    windows = {start_ms for start_ms, _ in expected}
    assert len(windows) == 30
    assert expected.keys() == {(start_ms, metric) for start_ms in windows for metric in METRICS}


def test_a_comparison_finds_wrong_missing_and_invented_numbers() -> None:
    expected = {(0, "labels"): 2.0, (0, "f1"): 0.5, (10, "labels"): 1.0}
    published = {(0, "labels"): 2.0, (0, "f1"): 0.5 + 1e-6, (20, "labels"): 1.0}

    comparison = compare(expected, published)

    assert (comparison.compared, comparison.equal) == (4, 1)
    assert [(one.window_start_ms, one.metric) for one in comparison.differing] == [
        (0, "f1"),
        (10, "labels"),
        (20, "labels"),
    ]


def metric(
    name: str = "labels", value: float = 1.0, *, segment: str = "", size_ms: int = WINDOW_MS
) -> MetricRecord:
    return MetricRecord(MODEL, VERSION, segment, 0, size_ms, name, value)


def test_segments_other_windows_and_other_metrics_are_not_compared() -> None:
    records = [metric(), metric(segment="site=a"), metric(size_ms=1), metric("roc_auc")]

    assert published_cells(records, window_ms=WINDOW_MS) == {(0, "labels"): 1.0}


# --- alerts and the verdict


def alert(at_ms: int = 200, **fields: object) -> AlertRecord:
    defaults: dict[str, object] = {
        "alert_id": f"a{at_ms}",
        "state": "firing",
        "kind": "drift",
        "severity": "critical",
        "direction": "worse",
        "detector": "adwin",
        "message": "loss rose",
        "evidence": {"input": "loss"},
    }
    return msgspec.convert({**defaults, "at_ms": at_ms, **fields}, AlertRecord)


@pytest.mark.parametrize(
    ("one", "true_alarms", "false_alarms"),
    [
        pytest.param(alert(100), 1, 0, id="at the change"),
        pytest.param(alert(99), 0, 1, id="before the change"),
        pytest.param(alert(direction="better"), 0, 0, id="better"),
        pytest.param(alert(evidence={"input": "f7"}), 0, 0, id="a feature"),
        pytest.param(alert(kind="threshold"), 0, 0, id="a threshold"),
    ],
)
def test_only_a_worse_loss_is_judged(one: AlertRecord, true_alarms: int, false_alarms: int) -> None:
    verdict = judge([one], change_ms=100)

    assert (len(verdict.true_alarms), len(verdict.false_alarms)) == (true_alarms, false_alarms)


@pytest.mark.parametrize(
    ("alerts", "differing", "ok"),
    [
        pytest.param([200], False, True, id="as it must be"),
        pytest.param([], False, False, id="no alert"),
        pytest.param([50, 200], False, False, id="a false alarm too"),
        pytest.param([200], True, False, id="a number differs"),
    ],
)
def test_the_demo_is_right_only_if_numbers_and_alerts_are(
    traffic: Scenario, alerts: list[int], differing: bool, ok: bool
) -> None:
    scenario = msgspec.structs.replace(traffic, change_ms=100)
    comparison = compare({(0, "labels"): 1.0}, {(0, "labels"): 2.0 if differing else 1.0})

    summary = summarise(
        scenario, comparison, verdict=judge(map(alert, alerts), change_ms=100), seconds=2.0
    )

    assert summary.ok is ok


# --- what the worker has published


def put(board: Board, topic: str, record: msgspec.Struct, key: bytes = b"k") -> None:
    board.fold(f"driftline.{topic}", key=key, value=msgspec.json.encode(record))


def test_the_last_record_of_a_key_counts_and_a_tombstone_deletes_it() -> None:
    board = Board()

    put(board, "metrics", metric(value=1.0))
    put(board, "metrics", metric(value=2.0))
    put(board, "metrics", metric("f1"), key=b"other")
    board.fold("driftline.metrics", key=b"other", value=None)

    assert board.windows() == {0: {"labels": 2.0}}


def test_a_retracted_alert_did_not_fire_and_a_resolved_one_did() -> None:
    board = Board()

    for one in (alert(1), alert(2), alert(9, alert_id="a1", state="retracted")):
        put(board, "alerts", one)
    put(board, "alerts", alert(9, alert_id="a2", state="resolved"))

    assert [one.at_ms for one in board.alerts.values()] == [2]
    assert len(board.news) == 4


def test_dead_letters_are_compared_too(traffic: Scenario) -> None:
    board = Board()
    before = board.compare(traffic.events)

    board.fold("driftline.predictions.dlq", key=b"garbage", value=GARBAGE)

    assert before.differing[-1].metric == "dead letters"
    assert board.compare(traffic.events).equal == before.equal + 1


# --- display


def full_window(board: Board, number: int, scenario: Scenario) -> None:
    start_ms = scenario.start_ms + number * WINDOW_MS
    for name in COLUMNS:
        version = "" if name == TEMPERATURE else VERSION
        record = MetricRecord(MODEL, version, "", start_ms, start_ms + WINDOW_MS, name, 0.5)
        put(board, "metrics", record, key=f"{number}-{name}".encode())


def test_without_a_terminal_a_window_is_one_plain_line_once_it_is_settled(
    traffic: Scenario,
) -> None:
    output = io.StringIO()
    view, board = LineView(Console(file=output, width=200)), Board()
    for number in range(5):
        full_window(board, number, traffic)
    put(board, "alerts", alert(traffic.change_ms))

    view.start(traffic)
    view.update(board, sent=1)
    view.update(board, sent=2)
    settled = output.getvalue()
    view.finish(board)

    assert settled.count(" 0.5000") == 2 * len(COLUMNS)
    assert settled.count("FIRING") == 1
    assert output.getvalue().count(" 0.5000") == 5 * len(COLUMNS)
    assert "\x1b" not in output.getvalue()


def test_the_table_shows_the_latest_windows_and_alerts(traffic: Scenario) -> None:
    output, board = io.StringIO(), Board()
    for number in range(12):
        full_window(board, number, traffic)
    put(board, "alerts", alert(traffic.change_ms))

    Console(file=output, width=200).print(render(board, traffic, sent=1_234))

    shown = output.getvalue()
    assert "1,234 of 36," in shown
    assert shown.count("0.5000") == 10 * len(COLUMNS)
    assert "FIRING critical drift worse adwin: loss rose" in shown


# --- parts and ends


def wait_for_the_end(worker: WorkerProcess) -> None:
    deadline_s = time.monotonic() + 10
    while worker.exit_code is None and time.monotonic() < deadline_s:
        time.sleep(0.01)


def interrupted_beside(worker: WorkerProcess) -> None:
    with worker:
        worker.check()
        raise KeyboardInterrupt


def test_a_worker_that_dies_is_reported_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"]

    with WorkerProcess(command) as worker:
        wait_for_the_end(worker)
        with pytest.raises(WorkerEndedError, match=r"exit code 3, saying\nno"):
            worker.check()


@pytest.mark.skipif(sys.platform == "win32", reason="there, to terminate is to kill")
def test_the_worker_is_asked_to_stop_before_it_is_made_to() -> None:
    worker = WorkerProcess([sys.executable, "-c", "import time; time.sleep(60)"])

    with pytest.raises(KeyboardInterrupt):
        interrupted_beside(worker)

    assert worker.exit_code == -signal.SIGTERM


def test_the_users_settings_do_not_reach_the_demos_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIFTLINE_WINDOW", "1d")
    code = "import os, sys; print(os.environ.get('DRIFTLINE_WINDOW')); sys.exit(3)"

    with WorkerProcess([sys.executable, "-c", code]) as worker:
        wait_for_the_end(worker)
        said = worker.tail()

    assert said == "None"


def test_a_stream_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run_demo(seconds=0)
