-- +goose NO TRANSACTION
-- +goose Up
-- What the county's programmes yield, and what departments report that they did. The columns are those of schemas/canonical; a
-- test compares them.

CREATE TABLE IF NOT EXISTS store.department_reports
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    department LowCardinality(String) COMMENT 'department that it is about (报送部门)',
    subject LowCardinality(String) COMMENT 'what was counted: cases (收件), incidents (诉求), decisions (决议), training (参训人次)',
    month Nullable(Date32) COMMENT 'a day of the month that it is about (报送月份)',
    reported Nullable(Int64) COMMENT 'how many applied, reported, were decided or took part in that month (报送数)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'how many a department says it had in a month; what the platform captured is held against it (报送数)';

CREATE TABLE IF NOT EXISTS store.council_decisions
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    decision LowCardinality(String) COMMENT 'number of the decision (决议编号)',
    topic LowCardinality(String) COMMENT 'what it is about, in a word of a list (议题类别)',
    division LowCardinality(String) COMMENT 'administrative division of the council, GB/T 2260 (行政区划)',
    department LowCardinality(String) COMMENT 'department that has to carry it out (落实部门)',
    decided_at Nullable(DateTime64(6, 'UTC')) COMMENT 'voted on (表决时间)' CODEC(T64, LZ4),
    entitled Nullable(Int64) COMMENT 'representatives who were to come (应到人数)',
    attended Nullable(Int64) COMMENT 'representatives who came (实到人数)',
    in_favour Nullable(Int64) COMMENT 'votes in favour (赞成票数)',
    due_on Nullable(Date32) COMMENT 'to be carried out by this day, inclusive (落实期限)',
    carried_out_on Nullable(Date32) COMMENT 'carried out (落实日期)',
    published_on Nullable(Date32) COMMENT 'result published (公开日期)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'a decision of a residents'' council and what became of it: one matter, one discussion, one vote (居民议事会决议)';

CREATE TABLE IF NOT EXISTS store.training_participations
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    training LowCardinality(String) COMMENT 'number of the training (培训编号)',
    kind LowCardinality(String) COMMENT 'course, observation_visit, workshop ... (培训类型)',
    participant String COMMENT 'pseudonym of the participant (参训人)',
    department LowCardinality(String) COMMENT 'department that sent the participant (选派部门)',
    attended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'first day (参训时间)' CODEC(T64, LZ4),
    satisfaction Nullable(Int64) COMMENT '1 best to 5 worst (满意度)',
    points_before Nullable(Int64) COMMENT 'points in the test before it (训前测试分)',
    points_after Nullable(Int64) COMMENT 'points in the test after it (训后测试分)',
    practised_on Nullable(Date32) COMMENT 'the participant''s plan was put to work (计划实施日期)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one participant of one training or observation visit, by a pseudonym, and what came of it (参训, 观摩)';
