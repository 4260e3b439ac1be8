"""Which features a replay says have moved."""

from __future__ import annotations

import io
import json

from rich.console import Console

from agents.replay_moved import Moved


def record(
    metric: str, value: float, low: float | None, *, model: str = "m", start_ms: int = 60
) -> bytes:
    found = {"model": model, "version": "1", "segment": "", "window_start_ms": start_ms}
    return json.dumps(found | {"metric": metric, "value": value, "low": low}).encode()


def test_features_of_the_last_window_are_told_the_furthest_first() -> None:
    moved = Moved(
        [
            record("psi:gone", 5.0, 4.0, start_ms=0),
            record("psi:a", 0.4, 0.3),
            record("ks:a", 0.2, 0.1),
            record("psi:b", 2.5, 2.4),
            record("unseen_rate:b", 0.3, 0.2),
            record("psi:still", 0.01, 0.0),
            record("mean:a", 9.0, 8.0),
            record("psi:c", 1.0, 0.9, model="n", start_ms=0),
        ]
    )

    assert [place for place, _ in moved.rows] == [
        (("m", "1"), "b"),
        (("m", "1"), "a"),
        (("n", "1"), "c"),
    ]


def test_of_many_features_ten_are_shown_and_the_others_counted() -> None:
    moved = Moved([record(f"psi:f{n}", n + 1.0, n + 0.5) for n in range(14)])
    output = io.StringIO()
    console = Console(file=output, width=100)

    console.print(moved.table(console))

    shown = output.getvalue()
    assert "f13" in shown
    assert "f3 " not in shown
    assert "and 4 more" in shown


def test_without_a_baseline_there_is_nothing_to_tell() -> None:
    assert not Moved([record("mean:a", 9.0, 8.0), record("psi:a", 0.1, None)]).rows
