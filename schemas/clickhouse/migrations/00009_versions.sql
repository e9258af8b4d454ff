-- +goose NO TRANSACTION
-- +goose Up
-- Time travel (I9): when each version of a record reached the county, and every version that ever did. The tables of the
-- model forget a version once a newer one has been merged into it; those named _versions do not, and the views of the
-- database known read them. A table's versions come by a materialised view, so that a load that is sent twice under its
-- token adds nothing in either place (I3).
CREATE DATABASE IF NOT EXISTS known COMMENT 'the county''s model as it was known at a time that the reader names, for analysts';

ALTER TABLE restricted.person_records ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE restricted.organisation_records ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.cases ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.case_steps ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.submissions ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.ratings ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.incidents ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.holdings ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.interventions ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.department_reports ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.council_decisions ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.training_participations ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE restricted.verdicts ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;
ALTER TABLE store.models ADD COLUMN IF NOT EXISTS received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4) AFTER source_time;

CREATE TABLE IF NOT EXISTS store.cases_versions AS store.cases
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.cases, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.cases_kept TO store.cases_versions
AS SELECT * FROM store.cases
COMMENT 'keeps every version that is loaded into store.cases';
INSERT INTO store.cases_versions SELECT * FROM store.cases;

CREATE TABLE IF NOT EXISTS store.case_steps_versions AS store.case_steps
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.case_steps, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.case_steps_kept TO store.case_steps_versions
AS SELECT * FROM store.case_steps
COMMENT 'keeps every version that is loaded into store.case_steps';
INSERT INTO store.case_steps_versions SELECT * FROM store.case_steps;

CREATE TABLE IF NOT EXISTS store.submissions_versions AS store.submissions
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.submissions, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.submissions_kept TO store.submissions_versions
AS SELECT * FROM store.submissions
COMMENT 'keeps every version that is loaded into store.submissions';
INSERT INTO store.submissions_versions SELECT * FROM store.submissions;

CREATE TABLE IF NOT EXISTS store.ratings_versions AS store.ratings
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.ratings, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.ratings_kept TO store.ratings_versions
AS SELECT * FROM store.ratings
COMMENT 'keeps every version that is loaded into store.ratings';
INSERT INTO store.ratings_versions SELECT * FROM store.ratings;

CREATE TABLE IF NOT EXISTS store.incidents_versions AS store.incidents
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.incidents, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.incidents_kept TO store.incidents_versions
AS SELECT * FROM store.incidents
COMMENT 'keeps every version that is loaded into store.incidents';
INSERT INTO store.incidents_versions SELECT * FROM store.incidents;

CREATE TABLE IF NOT EXISTS store.holdings_versions AS store.holdings
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.holdings, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.holdings_kept TO store.holdings_versions
AS SELECT * FROM store.holdings
COMMENT 'keeps every version that is loaded into store.holdings';
INSERT INTO store.holdings_versions SELECT * FROM store.holdings;

CREATE TABLE IF NOT EXISTS store.interventions_versions AS store.interventions
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.interventions, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.interventions_kept TO store.interventions_versions
AS SELECT * FROM store.interventions
COMMENT 'keeps every version that is loaded into store.interventions';
INSERT INTO store.interventions_versions SELECT * FROM store.interventions;

CREATE TABLE IF NOT EXISTS store.department_reports_versions AS store.department_reports
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.department_reports, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.department_reports_kept TO store.department_reports_versions
AS SELECT * FROM store.department_reports
COMMENT 'keeps every version that is loaded into store.department_reports';
INSERT INTO store.department_reports_versions SELECT * FROM store.department_reports;

CREATE TABLE IF NOT EXISTS store.council_decisions_versions AS store.council_decisions
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.council_decisions, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.council_decisions_kept TO store.council_decisions_versions
AS SELECT * FROM store.council_decisions
COMMENT 'keeps every version that is loaded into store.council_decisions';
INSERT INTO store.council_decisions_versions SELECT * FROM store.council_decisions;

CREATE TABLE IF NOT EXISTS store.training_participations_versions AS store.training_participations
ENGINE = ReplacingMergeTree
ORDER BY (dataset, record_id, version, received_at)
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'every version of what is in store.training_participations, deletions included';
CREATE MATERIALIZED VIEW IF NOT EXISTS store.training_participations_kept TO store.training_participations_versions
AS SELECT * FROM store.training_participations
COMMENT 'keeps every version that is loaded into store.training_participations';
INSERT INTO store.training_participations_versions SELECT * FROM store.training_participations;
