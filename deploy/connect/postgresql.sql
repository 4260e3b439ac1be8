-- What Kafka Connect fills by postgresql-sink.json: the last value of every metric and alert.
-- `record` is the record as it is on the topic; the other columns are its fields, for queries.

CREATE TABLE driftline_metrics (
    key text PRIMARY KEY,
    record jsonb,
    model text GENERATED ALWAYS AS (record ->> 'model') STORED,
    version text GENERATED ALWAYS AS (record ->> 'version') STORED,
    segment text GENERATED ALWAYS AS (record ->> 'segment') STORED,
    window_start_ms bigint GENERATED ALWAYS AS ((record ->> 'window_start_ms')::bigint) STORED,
    window_end_ms bigint GENERATED ALWAYS AS ((record ->> 'window_end_ms')::bigint) STORED,
    metric text GENERATED ALWAYS AS (record ->> 'metric') STORED,
    value double precision GENERATED ALWAYS AS ((record ->> 'value')::double precision) STORED,
    low double precision GENERATED ALWAYS AS ((record ->> 'low')::double precision) STORED,
    high double precision GENERATED ALWAYS AS ((record ->> 'high')::double precision) STORED,
    count bigint GENERATED ALWAYS AS ((record ->> 'count')::bigint) STORED,
    coverage double precision GENERATED ALWAYS AS ((record ->> 'coverage')::double precision) STORED,
    revision bigint GENERATED ALWAYS AS ((record ->> 'revision')::bigint) STORED,
    final boolean GENERATED ALWAYS AS ((record ->> 'final')::boolean) STORED
);

CREATE INDEX driftline_metrics_by_time ON driftline_metrics (model, metric, window_end_ms);

CREATE TABLE driftline_alerts (
    key text PRIMARY KEY,
    record jsonb,
    alert_id text GENERATED ALWAYS AS (record ->> 'alert_id') STORED,
    state text GENERATED ALWAYS AS (record ->> 'state') STORED,
    model text GENERATED ALWAYS AS (record ->> 'model') STORED,
    version text GENERATED ALWAYS AS (record ->> 'version') STORED,
    segment text GENERATED ALWAYS AS (record ->> 'segment') STORED,
    monitor text GENERATED ALWAYS AS (record ->> 'monitor') STORED,
    kind text GENERATED ALWAYS AS (record ->> 'kind') STORED,
    severity text GENERATED ALWAYS AS (record ->> 'severity') STORED,
    at_ms bigint GENERATED ALWAYS AS ((record ->> 'at_ms')::bigint) STORED,
    value double precision GENERATED ALWAYS AS ((record ->> 'value')::double precision) STORED,
    threshold double precision GENERATED ALWAYS AS ((record ->> 'threshold')::double precision) STORED,
    direction text GENERATED ALWAYS AS (record ->> 'direction') STORED,
    detector text GENERATED ALWAYS AS (record ->> 'detector') STORED,
    message text GENERATED ALWAYS AS (record ->> 'message') STORED,
    revision bigint GENERATED ALWAYS AS ((record ->> 'revision')::bigint) STORED,
    evidence jsonb GENERATED ALWAYS AS (record -> 'evidence') STORED,
    owner text GENERATED ALWAYS AS (record ->> 'owner') STORED,
    runbook text GENERATED ALWAYS AS (record ->> 'runbook') STORED,
    tags jsonb GENERATED ALWAYS AS (record -> 'tags') STORED,
    incident_id text GENERATED ALWAYS AS (record ->> 'incident_id') STORED,
    silenced boolean GENERATED ALWAYS AS ((record ->> 'silenced')::boolean) STORED
);
