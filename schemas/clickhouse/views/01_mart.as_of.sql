-- The present of this warehouse. What is still open is measured up to here, and not up to the clock of the server: the same
-- data give the same figures whenever they are asked for.
CREATE OR REPLACE VIEW mart.as_of
(
    at Nullable(DateTime64(6, 'UTC')) COMMENT 'latest time that any current case, step or incident speaks of; NULL when nothing is loaded'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT max(at) AS at
FROM
(
    SELECT arrayJoin([max(applied_at), max(accepted_at), max(closed_at), max(delivered_at)]) AS at FROM store.cases FINAL
    UNION ALL
    SELECT arrayJoin([max(started_at), max(ended_at)]) AS at FROM store.case_steps FINAL
    UNION ALL
    SELECT arrayJoin([max(reported_at), max(assigned_at), max(closed_at)]) AS at FROM store.incidents FINAL
)
COMMENT 'up to when the data speak: what is open is censored here'
