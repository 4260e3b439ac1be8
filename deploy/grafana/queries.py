"""What dashboards ask the history, in PostgreSQL's SQL.

``$__from`` and ``$__to`` are the ends of the chosen time in milliseconds, which Grafana fills in.
Segments have an ``=`` before them among the choices: "" is one, and no choice to Grafana.
"""

from __future__ import annotations

from collections.abc import Iterable

_IN_TIME = "window_end_ms BETWEEN $__from AND $__to"
_OF_MODEL = "model = ${model:sqlstring}"
_OF_VERSION = f"{_OF_MODEL} AND version = ${{version:sqlstring}}"
_OF_SEGMENT = f"{_OF_VERSION} AND '=' || segment = ${{segment:sqlstring}}"
_CHOSEN = f"{_OF_SEGMENT} AND window_end_ms - window_start_ms = ${{window:sqlstring}}"
_TIME = 'to_timestamp(window_end_ms / 1000.0) AS "time"'
# The last revision of every alert, without those that were deleted; incidents are made of these.
_FIRING = """
  SELECT * FROM alert_revisions
  WHERE id IN (SELECT max(id) FROM alert_revisions GROUP BY alert_id)
  AND NOT deleted AND state = 'firing' AND kind <> 'incident'"""

MODELS = f"SELECT DISTINCT model FROM metrics WHERE {_IN_TIME} ORDER BY 1"
VERSIONS = f"SELECT DISTINCT version FROM metrics WHERE {_OF_MODEL} AND {_IN_TIME} ORDER BY 1 DESC"
SEGMENTS = f"""SELECT DISTINCT '=' || segment AS "__value",
  CASE segment WHEN '' THEN '(all)' ELSE segment END AS "__text"
FROM metrics WHERE {_OF_VERSION} ORDER BY 1"""
WINDOWS = f"""SELECT size AS "__value", justify_interval(size * interval '1 ms')::text AS "__text"
FROM (SELECT DISTINCT window_end_ms - window_start_ms AS size FROM metrics WHERE {_OF_VERSION}) AS w
ORDER BY size"""
ANY_METRIC = f"SELECT DISTINCT metric FROM metrics WHERE {_OF_SEGMENT} AND {_IN_TIME} ORDER BY 1"

COUNT = f"SELECT count(DISTINCT model) FROM metrics WHERE final AND {_IN_TIME}"
FIRING_COUNT = f"SELECT count(*) FROM ({_FIRING}) AS firing"
AGE = "SELECT extract(epoch FROM now()) - max(written_at_ms) / 1000.0 AS age FROM positions"
GAPS = "SELECT count(*) FROM gaps"
FIRING = f"""SELECT to_timestamp(at_ms / 1000.0) AS "since", severity, model, version, segment,
  monitor, value, threshold, owner, message
FROM ({_FIRING}) AS firing ORDER BY at_ms DESC LIMIT 1000"""
TRAFFIC = f"""SELECT {_TIME}, model AS metric, sum(value) AS value
FROM metrics
WHERE metric = 'predictions' AND segment = '' AND {_IN_TIME}
  AND model IN (SELECT model FROM metrics WHERE metric = 'predictions' AND segment = ''
    AND {_IN_TIME} GROUP BY model ORDER BY sum(value) DESC LIMIT 20)
  AND window_end_ms - window_start_ms = (SELECT min(window_end_ms - window_start_ms) FROM metrics
    WHERE metric = 'predictions' AND {_IN_TIME})
GROUP BY window_end_ms, model ORDER BY 1"""
ALERTS = f"""SELECT to_timestamp(at_ms / 1000.0) AS "time",
  concat_ws(' ', monitor, nullif(segment, '')) AS metric,
  CASE state WHEN 'firing' THEN 1 ELSE 0 END AS value
FROM alert_revisions
WHERE {_OF_VERSION} AND NOT deleted AND at_ms BETWEEN $__from AND $__to
ORDER BY at_ms, id"""
SIDE_BY_SIDE = f"""SELECT {_TIME}, version AS metric, value
FROM metrics
WHERE {_OF_MODEL} AND '=' || segment = ${{segment:sqlstring}}
  AND window_end_ms - window_start_ms = ${{window:sqlstring}}
  AND metric = ${{metric:sqlstring}} AND {_IN_TIME}
ORDER BY window_end_ms"""


def quoted(text: str) -> str:
    """Return a text as SQL writes it.

    Examples
    --------
    >>> quoted("o'brien")
    "'o''brien'"
    """
    return "'" + text.replace("'", "''") + "'"


def values(metric: str) -> str:
    """Return what asks for one metric of the chosen model, with its interval.

    Provisional values begin at the last final one, so that the lines meet.

    Parameters
    ----------
    metric
        As SQL writes it, or a variable.
    """
    return f"""SELECT {_TIME},
  CASE WHEN final THEN value END AS "final",
  CASE WHEN NOT final OR NOT lead(final, 1, true) OVER (ORDER BY window_end_ms) THEN value END
    AS "provisional",
  low AS "low", high AS "high"
FROM metrics
WHERE {_CHOSEN} AND metric = {metric} AND {_IN_TIME}
ORDER BY window_end_ms"""


def by_feature(metric: str) -> str:
    """Return what asks for a metric of all features of the chosen model, the 20 largest."""
    named = f"starts_with(metric, {quoted(metric + ':')})"
    return f"""SELECT {_TIME}, substr(metric, {len(metric) + 2}) AS metric, value
FROM metrics
WHERE {_CHOSEN} AND {_IN_TIME} AND metric IN (
  SELECT metric FROM metrics WHERE {_CHOSEN} AND {_IN_TIME} AND {named}
  GROUP BY metric ORDER BY max(value) DESC, metric LIMIT 20)
ORDER BY window_end_ms"""


def present(names: Iterable[str]) -> str:
    """Return what asks which of these metrics the chosen model has."""
    listed = ", ".join(map(quoted, names))
    return f"""SELECT DISTINCT metric FROM metrics
WHERE {_OF_SEGMENT} AND {_IN_TIME} AND metric IN ({listed}) ORDER BY 1"""


def features(names: Iterable[str]) -> str:
    """Return what asks for metrics of features, those that differ most from the baseline first."""
    listed = ", ".join(map(quoted, names))
    return f"""SELECT metric FROM metrics
WHERE {_OF_SEGMENT} AND {_IN_TIME} AND split_part(metric, ':', 1) IN ({listed})
  AND metric LIKE '%:%'
GROUP BY metric ORDER BY (metric LIKE 'psi:%') DESC, max(value) DESC, metric LIMIT 30"""


def models(names: Iterable[str]) -> str:
    """Return what asks for the last final values of all models, those that fire most first.

    The largest of (end, start, value) is the value of the newest window, the shortest of those that
    end together. Asked so, nothing is sorted, which takes a quarter of the time of DISTINCT ON.
    """
    shown = [*names, "coverage"]
    newest = "(max(ARRAY[window_end_ms, window_start_ms, value]) FILTER (WHERE metric = {}))[3]"
    columns = "".join(f',\n    {newest.format(quoted(one))} AS "{one}"' for one in shown)
    listed = ", ".join(map(quoted, shown))
    named = "".join(f', "{one}"' for one in shown)
    return f"""WITH firing AS (
  SELECT model, version, count(*) AS alerts FROM ({_FIRING}) AS f GROUP BY model, version
), last AS (
  SELECT model, version, to_timestamp(max(window_end_ms) / 1000.0) AS "last final window"{columns}
  FROM metrics
  WHERE segment = '' AND final AND {_IN_TIME} AND metric IN ({listed})
  GROUP BY model, version
)
SELECT model, version, coalesce(alerts, 0) AS "firing", "last final window"{named}
FROM last LEFT JOIN firing USING (model, version)
ORDER BY 3 DESC, 1, 2 LIMIT 10000"""
