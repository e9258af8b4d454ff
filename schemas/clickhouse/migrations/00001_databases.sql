-- +goose NO TRANSACTION
-- +goose Up
-- The program has created store before it came here, since goose keeps its own table in it.
CREATE DATABASE IF NOT EXISTS store;
ALTER DATABASE store MODIFY COMMENT 'the county''s model as it was loaded, every version; read it through mart';
CREATE DATABASE IF NOT EXISTS restricted COMMENT 'personal data, for the sharing interface alone';
CREATE DATABASE IF NOT EXISTS mart COMMENT 'the county''s model as it stands now, for analysts';
CREATE DATABASE IF NOT EXISTS metrics COMMENT 'one view for each metric definition';
CREATE DATABASE IF NOT EXISTS ops COMMENT 'how the flow is doing: loads, quarantine, lag, runs';
CREATE DATABASE IF NOT EXISTS audit COMMENT 'who read what, and why';
