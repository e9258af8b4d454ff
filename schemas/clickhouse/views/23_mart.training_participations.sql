CREATE OR REPLACE VIEW mart.training_participations
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    training LowCardinality(String) COMMENT 'number of the training (培训编号)',
    kind LowCardinality(String) COMMENT 'course, observation_visit, workshop ... (培训类型)',
    participant String COMMENT 'pseudonym of the participant (参训人)',
    department LowCardinality(String) COMMENT 'department that sent the participant (选派部门)',
    attended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'first day (参训时间)',
    satisfaction Nullable(Int64) COMMENT '1 best to 5 worst (满意度)',
    points_before Nullable(Int64) COMMENT 'points in the test before it (训前测试分)',
    points_after Nullable(Int64) COMMENT 'points in the test after it (训后测试分)',
    practised_on Nullable(Date32) COMMENT 'the participant''s plan was put to work (计划实施日期)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, dataset, source, source_department, source_time,
    training, kind, participant, department, attended_at, satisfaction, points_before, points_after, practised_on
FROM store.training_participations FINAL
COMMENT 'participants of trainings and observation visits as they stand now, and what came of it (参训, 观摩)'
