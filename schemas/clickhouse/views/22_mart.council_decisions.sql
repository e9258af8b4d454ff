-- What is open is held against mart.as_of, as everywhere.
CREATE OR REPLACE VIEW mart.council_decisions
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    decision LowCardinality(String) COMMENT 'number of the decision (决议编号)',
    topic LowCardinality(String) COMMENT 'what it is about, in a word of a list (议题类别)',
    division LowCardinality(String) COMMENT 'administrative division of the council, GB/T 2260 (行政区划)',
    department LowCardinality(String) COMMENT 'department that has to carry it out (落实部门)',
    decided_at Nullable(DateTime64(6, 'UTC')) COMMENT 'voted on (表决时间)',
    entitled Nullable(Int64) COMMENT 'representatives who were to come (应到人数)',
    attended Nullable(Int64) COMMENT 'representatives who came (实到人数)',
    in_favour Nullable(Int64) COMMENT 'votes in favour (赞成票数)',
    due_on Nullable(Date32) COMMENT 'to be carried out by this day, inclusive (落实期限)',
    carried_out_on Nullable(Date32) COMMENT 'carried out (落实日期)',
    published_on Nullable(Date32) COMMENT 'result published (公开日期)',
    on_time Nullable(UInt8) COMMENT '1 carried out by the day it was due, 0 later or still not carried out past it; NULL when it was never due or is not yet'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH (SELECT toDate32(at, {zone}) FROM mart.as_of) AS today
SELECT
    record_id AS record, dataset, source, source_department, source_time,
    decision, topic, division, department, decided_at, entitled, attended, in_favour, due_on, carried_out_on, published_on,
    multiIf(due_on IS NULL, NULL, carried_out_on IS NOT NULL, carried_out_on <= due_on, today > due_on, 0, NULL) AS on_time
FROM store.council_decisions FINAL
COMMENT 'decisions of residents'' councils as they stand now, and what became of them (居民议事会决议)'
