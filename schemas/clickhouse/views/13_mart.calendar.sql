CREATE OR REPLACE VIEW mart.calendar
(
    date Date32 COMMENT 'a day of a year whose working calendar is published',
    working UInt8 COMMENT '1 on a working day, make-up days (调休) included',
    workday_index Int32 COMMENT 'working days from the first day of the calendar to this day, both included',
    holiday_zh LowCardinality(String) COMMENT 'name of the holiday that rules this day, in Chinese; empty when none does',
    holiday_en LowCardinality(String) COMMENT 'name of the holiday that rules this day, in English; empty when none does'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT date, working, workday_index, holiday_zh, holiday_en
FROM store.calendar FINAL
COMMENT 'the working calendar by which legal_days are counted'
