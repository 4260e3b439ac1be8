"""What is asked of the history about windows: SQL that SQLite and PostgreSQL have in common."""

NAMES = """
WITH RECURSIVE models(model) AS (
    SELECT min(model) FROM {table} UNION ALL
    SELECT (SELECT min(t.model) FROM {table} t WHERE t.model > models.model)
    FROM models WHERE models.model IS NOT NULL
), found(model, version) AS (
    SELECT model, (SELECT min(t.version) FROM {table} t WHERE t.model = models.model)
    FROM models WHERE models.model IS NOT NULL UNION ALL
    SELECT model, (
        SELECT min(t.version) FROM {table} t
        WHERE t.model = found.model AND t.version > found.version
    ) FROM found WHERE found.version IS NOT NULL
)
SELECT model, version FROM found WHERE version IS NOT NULL
"""
STARTS = """
WITH RECURSIVE starts(s) AS (
    SELECT CAST(:first AS BIGINT) UNION ALL
    SELECT s + :step FROM starts WHERE s + :step <= :last
), wanted(metric) AS (VALUES {wanted})
"""
# CROSS JOIN: SQLite then goes from starts to windows, as it must, and reads all metrics of one at
# once, which are side by side.
LIVE = """
FROM starts CROSS JOIN wanted CROSS JOIN metrics r
WHERE r.model = :model AND r.version = :version AND r.segment = :segment
  AND r.window_start_ms = s AND r.window_end_ms = s + :length AND r.metric = wanted.metric
"""
ASOF = """
FROM starts CROSS JOIN wanted CROSS JOIN metric_revisions r
WHERE r.id = (
    SELECT max(x.id) FROM metric_revisions x
    WHERE x.model = :model AND x.version = :version AND x.segment = :segment
      AND x.window_start_ms = s AND x.window_end_ms = s + :length AND x.metric = wanted.metric
      AND x.visible_at_ms <= :until
  ) AND NOT r.deleted
"""
EACH = """
SELECT s, r.metric, r.value, r.low, r.high, r.count, r.coverage, r.revision, r.final, 1
{source}
"""
TOGETHER = """
SELECT min(s), r.metric,
       sum(r.value * (r.count + 1)) / sum(r.count + 1), min(r.value), max(r.value), sum(r.count),
       avg(r.coverage), max(r.revision), min(CASE WHEN r.final THEN 1 ELSE 0 END), count(*)
{source} GROUP BY r.metric, (s - :first) / :together
"""
