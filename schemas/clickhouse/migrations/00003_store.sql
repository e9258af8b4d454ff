-- +goose NO TRANSACTION
-- +goose Up
-- The county's model, without names, numbers, telephones or addresses (I7). The columns are those of
-- schemas/canonical; a test compares them. People read the views in mart, which give current rows only.

CREATE TABLE IF NOT EXISTS store.cases
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_record UUID COMMENT 'the person record of the same source row; zero when none',
    person_id UUID COMMENT 'the person it was resolved to; zero when none',
    organisation_record UUID COMMENT 'the organisation record of the same source row; zero when none',
    organisation_id UUID COMMENT 'the organisation it was resolved to; zero when none',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department that handles the case (办理部门)',
    item_code LowCardinality(String) COMMENT 'code of the service item (实施编码)',
    item_name LowCardinality(String) COMMENT 'name of the service item (事项名称)',
    kind LowCardinality(String) COMMENT 'on_spot (即办件), promised (承诺件) or other (办件类型)',
    channel LowCardinality(String) COMMENT 'window, online, mobile, terminal ... (申请渠道)',
    division LowCardinality(String) COMMENT 'administrative division, GB/T 2260 (行政区划)',
    applied_at Nullable(DateTime64(6, 'UTC')) COMMENT 'applied (申请时间)' CODEC(T64, LZ4),
    accepted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'accepted (受理时间)' CODEC(T64, LZ4),
    promised_at Nullable(DateTime64(6, 'UTC')) COMMENT 'promised to be closed by (承诺办结时间)' CODEC(T64, LZ4),
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'closed (办结时间)' CODEC(T64, LZ4),
    delivered_at Nullable(DateTime64(6, 'UTC')) COMMENT 'result handed over (送达时间)' CODEC(T64, LZ4),
    result LowCardinality(String) COMMENT 'granted, refused, withdrawn ... (办理结果)',
    visits Nullable(Int64) COMMENT 'times the applicant had to come (跑动次数)',
    statutory_days Nullable(Int64) COMMENT 'statutory limit in working days (法定时限)',
    promised_days Nullable(Int64) COMMENT 'promised limit in working days (承诺时限)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one application to the county, from 申请 to 送达 (办件)';

CREATE TABLE IF NOT EXISTS store.case_steps
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    case_number String COMMENT 'case number (办件编号)',
    step String COMMENT 'number of the step in the source',
    kind LowCardinality(String) COMMENT 'step (环节), supplement (补正) or special (特别程序); empty means step',
    activity LowCardinality(String) COMMENT 'what was done (环节名称)',
    started_at Nullable(DateTime64(6, 'UTC')) COMMENT 'started (环节开始时间)' CODEC(T64, LZ4),
    ended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'ended (环节结束时间); some sources fill a missing end with the start' CODEC(T64, LZ4),
    result LowCardinality(String) COMMENT 'pass, return or other (环节结果)',
    handler LowCardinality(String) COMMENT 'pseudonym of the official or team (办理人)',
    department LowCardinality(String) COMMENT 'department that did it'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one step of a case; supplements and special procedures are steps that stop the legal clock (环节, 补正, 特别程序)';

CREATE TABLE IF NOT EXISTS store.submissions
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_record UUID COMMENT 'the person record of the same source row; zero when none',
    person_id UUID COMMENT 'the person it was resolved to; zero when none',
    organisation_record UUID COMMENT 'the organisation record of the same source row; zero when none',
    organisation_id UUID COMMENT 'the organisation it was resolved to; zero when none',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department that asked for it',
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    material_name LowCardinality(String) COMMENT 'name of the material (材料名称)',
    issuer LowCardinality(String) COMMENT 'department that issues this material (出具部门)',
    document String COMMENT 'pseudonym of the document\'s number and edition: the same while it is unchanged',
    submitted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'handed in (提交时间)' CODEC(T64, LZ4),
    valid_from Nullable(Date32) COMMENT 'document valid from (有效期起)',
    valid_until Nullable(Date32) COMMENT 'document valid until, inclusive (有效期止)',
    method LowCardinality(String) COMMENT 'paper, upload, or shared when met from shared data (提交方式)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one paper that was asked for in a case: handed in, or met from shared data (材料)';

CREATE TABLE IF NOT EXISTS store.ratings
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_record UUID COMMENT 'the person record of the same source row; zero when none',
    person_id UUID COMMENT 'the person it was resolved to; zero when none',
    organisation_record UUID COMMENT 'the organisation record of the same source row; zero when none',
    organisation_id UUID COMMENT 'the organisation it was resolved to; zero when none',
    case_number String COMMENT 'case number (办件编号)',
    rated_at Nullable(DateTime64(6, 'UTC')) COMMENT 'rated (评价时间)' CODEC(T64, LZ4),
    score Nullable(Int64) COMMENT '1 best to 5 worst (满意度)',
    channel LowCardinality(String) COMMENT 'where the rating was given (评价渠道)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'a satisfaction rating of a case (好差评)';

CREATE TABLE IF NOT EXISTS store.incidents
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_record UUID COMMENT 'the person record of the same source row; zero when none',
    person_id UUID COMMENT 'the person it was resolved to; zero when none',
    organisation_record UUID COMMENT 'the organisation record of the same source row; zero when none',
    organisation_id UUID COMMENT 'the organisation it was resolved to; zero when none',
    incident_number String COMMENT 'number (工单编号)',
    origin LowCardinality(String) COMMENT 'hotline, grid ... (来源)',
    category LowCardinality(String) COMMENT 'category (类别)',
    department LowCardinality(String) COMMENT 'department it was assigned to (承办部门)',
    division LowCardinality(String) COMMENT 'administrative division, GB/T 2260 (行政区划)',
    reported_at Nullable(DateTime64(6, 'UTC')) COMMENT 'reported (受理时间)' CODEC(T64, LZ4),
    assigned_at Nullable(DateTime64(6, 'UTC')) COMMENT 'assigned (派单时间)' CODEC(T64, LZ4),
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'closed (办结时间)' CODEC(T64, LZ4),
    reopened Nullable(Int64) COMMENT 'times it was opened again (退回重办次数)',
    score Nullable(Int64) COMMENT 'satisfaction, 1 best to 5 worst (满意度)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'a 12345 call or a grid incident (诉求, 网格事件)';

CREATE TABLE IF NOT EXISTS store.holdings
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_record UUID COMMENT 'the person record of the same source row; zero when none',
    person_id UUID COMMENT 'the person it was resolved to; zero when none',
    organisation_record UUID COMMENT 'the organisation record of the same source row; zero when none',
    organisation_id UUID COMMENT 'the organisation it was resolved to; zero when none',
    material_code LowCardinality(String) COMMENT 'kind of material it can stand for (材料编码)',
    issuer LowCardinality(String) COMMENT 'department that holds it (出具部门)',
    document String COMMENT 'pseudonym of the document\'s number and edition',
    issued_at Nullable(DateTime64(6, 'UTC')) COMMENT 'issued or registered' CODEC(T64, LZ4),
    valid_from Nullable(Date32) COMMENT 'valid from (有效期起)',
    valid_until Nullable(Date32) COMMENT 'valid until, inclusive (有效期止)',
    status LowCardinality(String) COMMENT 'valid, revoked, expired ... (状态)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'a document or fact about a person or an organisation that a department holds (证照, 登记信息)';

CREATE TABLE IF NOT EXISTS store.interventions
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    intervention LowCardinality(String) COMMENT 'its short name',
    kind LowCardinality(String) COMMENT 'data_link, council_decision, observation_visit ... (类型)',
    title_zh String COMMENT 'title in Chinese',
    title_en String COMMENT 'title in English',
    starts_on Nullable(Date32) COMMENT 'first day in force (开始日期)',
    department LowCardinality(String) COMMENT 'department in scope; empty for all',
    item_code LowCardinality(String) COMMENT 'service item in scope; empty for all',
    metric LowCardinality(String) COMMENT 'the metric it claims to move',
    claim String COMMENT 'what is claimed, in words'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'something the county did to serve better: what, where, since when, with what claim (改革举措)';
