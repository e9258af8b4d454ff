-- Written once: a view that shows a person or an organisation shows the newest link of the row's record when it is newer than
-- the row, else what the row was loaded with:
--     if(p.version > t.version, p.party_id, t.person_id) AS person_id
--     ... LEFT ANY JOIN store.current_links AS p ON t.person_record = p.record
-- Only records that changed their party stand here, so what is joined is small.
CREATE OR REPLACE VIEW store.current_links
(
    record UUID COMMENT 'a record that changed its person or organisation after it was loaded',
    party_id UUID COMMENT 'the person or organisation that it belongs to now',
    version UInt64 COMMENT 'stream sequence and row of the change that brought it about'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT record_id AS record, argMax(l.party_id, l.version) AS party_id, max(l.version) AS version
FROM store.links AS l
GROUP BY record_id
COMMENT 'the last link of each record that was linked anew'
