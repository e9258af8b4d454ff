-- +goose NO TRANSACTION
-- +goose Up
-- A case that was closed and taken up again says so by a step of a kind of its own (docs/clocks.md).

ALTER TABLE store.case_steps
    COMMENT COLUMN kind 'step (环节), supplement (补正), special (特别程序) or reopened (重新办理: from a closing until the case was taken up again); empty means step';
