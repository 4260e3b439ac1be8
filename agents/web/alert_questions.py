"""What is asked of the history about alerts: SQL that SQLite and PostgreSQL have in common."""

OF_MODEL = "SELECT m.alert_id FROM alert_revisions m WHERE m.model = :model"
ALERTS = """
SELECT last.alert_id, last.state, last.model, last.version, last.segment, last.monitor, last.kind,
       last.severity, last.at_ms, last.value, last.threshold, last.direction, last.detector,
       last.message, last.revision, {evidence} AS evidence, last.owner, last.runbook, last.tags,
       last.incident_id, last.silenced, last.visible_at_ms, first.at_ms AS began_ms
FROM (SELECT max(x.id) AS last_id, min(x.id) AS first_id FROM alert_revisions x {where}
      GROUP BY x.alert_id) ids
JOIN alert_revisions last ON last.id = ids.last_id
JOIN alert_revisions first ON first.id = ids.first_id
WHERE NOT last.deleted {also} ORDER BY first.at_ms DESC, last.alert_id LIMIT :most
"""
REVISIONS = """
SELECT state, at_ms, visible_at_ms, value, threshold, message, revision, evidence, owner, runbook,
       tags
FROM alert_revisions
WHERE alert_id = :alert AND NOT deleted AND visible_at_ms <= coalesce(CAST(:until AS BIGINT), :last)
ORDER BY id
"""
OWNERS = """
SELECT model, owner, tags FROM alert_revisions WHERE id IN (
    SELECT max(id) FROM alert_revisions
    WHERE (owner <> '' OR tags <> '{}') AND model IS NOT NULL
      AND visible_at_ms <= coalesce(CAST(:until AS BIGINT), :last)
    GROUP BY model
)
"""
