-- What ClickHouse (24.3 or later) reads from Kafka itself: every revision of every metric and alert.
-- Replace `kafka:9092` and, where it is another, the prefix `driftline` of the topics.
--
-- A deletion is a record without a value, which the Kafka engine passes over: see
-- docs/how-to/connect.md.

CREATE TABLE driftline_metrics_queue
(
    model String,
    version String,
    segment String,
    window_start_ms Int64,
    window_end_ms Int64,
    metric String,
    value Float64,
    low Nullable(Float64),
    high Nullable(Float64),
    count Int64,
    coverage Nullable(Float64),
    revision Int64,
    final Bool
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'kafka:9092',
    kafka_topic_list = 'driftline.metrics',
    kafka_group_name = 'clickhouse-driftline-metrics',
    kafka_format = 'JSONEachRow',
    kafka_handle_error_mode = 'stream';

CREATE TABLE driftline_metrics
(
    model LowCardinality(String),
    version LowCardinality(String),
    segment LowCardinality(String),
    window_start_ms Int64,
    window_end_ms Int64,
    metric LowCardinality(String),
    value Float64,
    low Nullable(Float64),
    high Nullable(Float64),
    count Int64,
    coverage Nullable(Float64),
    revision Int64,
    final Bool,
    kafka_partition UInt64,
    kafka_offset UInt64,
    visible_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(visible_at)
ORDER BY (model, metric, version, segment, window_start_ms, window_end_ms, kafka_partition, kafka_offset);

CREATE MATERIALIZED VIEW driftline_metrics_reader TO driftline_metrics AS
SELECT
    model, version, segment, window_start_ms, window_end_ms, metric,
    value, low, high, count, coverage, revision, final,
    _partition AS kafka_partition, _offset AS kafka_offset, _timestamp_ms AS visible_at
FROM driftline_metrics_queue
WHERE length(_error) = 0;

-- The last revision of every metric.
CREATE VIEW driftline_metrics_latest AS
SELECT *
FROM driftline_metrics
ORDER BY kafka_offset DESC
LIMIT 1 BY model, version, segment, window_start_ms, window_end_ms, metric;

CREATE TABLE driftline_alerts_queue
(
    alert_id String,
    state String,
    model String,
    version String,
    segment String,
    monitor String,
    kind String,
    severity String,
    at_ms Int64,
    value Nullable(Float64),
    threshold Nullable(Float64),
    direction String,
    detector String,
    message String,
    revision Int64,
    evidence String,
    owner String,
    runbook String,
    tags Map(String, String),
    incident_id String,
    silenced Bool
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'kafka:9092',
    kafka_topic_list = 'driftline.alerts',
    kafka_group_name = 'clickhouse-driftline-alerts',
    kafka_format = 'JSONEachRow',
    kafka_handle_error_mode = 'stream';

CREATE TABLE driftline_alerts
(
    alert_id String,
    state LowCardinality(String),
    model LowCardinality(String),
    version LowCardinality(String),
    segment LowCardinality(String),
    monitor LowCardinality(String),
    kind LowCardinality(String),
    severity LowCardinality(String),
    at_ms Int64,
    value Nullable(Float64),
    threshold Nullable(Float64),
    direction LowCardinality(String),
    detector LowCardinality(String),
    message String,
    revision Int64,
    evidence String,
    owner LowCardinality(String),
    runbook String,
    tags Map(String, String),
    incident_id String,
    silenced Bool,
    kafka_partition UInt64,
    kafka_offset UInt64,
    visible_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(visible_at)
ORDER BY (model, monitor, alert_id, kafka_partition, kafka_offset);

CREATE MATERIALIZED VIEW driftline_alerts_reader TO driftline_alerts AS
SELECT
    alert_id, state, model, version, segment, monitor, kind, severity, at_ms, value, threshold,
    direction, detector, message, revision, evidence, owner, runbook, tags,
    incident_id, silenced,
    _partition AS kafka_partition, _offset AS kafka_offset, _timestamp_ms AS visible_at
FROM driftline_alerts_queue
WHERE length(_error) = 0;

-- The last revision of every alert.
CREATE VIEW driftline_alerts_latest AS
SELECT *
FROM driftline_alerts
ORDER BY kafka_offset DESC
LIMIT 1 BY alert_id;
