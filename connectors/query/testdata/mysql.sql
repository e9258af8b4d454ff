-- the wall clock
SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW());

-- session
SET SESSION time_zone = '+00:00';

-- session
SET SESSION TRANSACTION READ ONLY;

-- session
SET SESSION sql_mode = '';

-- catalog
SELECT column_name, column_type, data_type, is_nullable, numeric_scale FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position;
-- with ["HR" "RESI`D]\"ENTS"]

-- index of the watermark
SELECT '1' FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND column_name = ? AND seq_in_index = 1 LIMIT 1;
-- with ["HR" "RESI`D]\"ENTS" "updated_at"]

-- grant
GRANT SELECT ON `HR`.`RESI``D]"ENTS` TO 'shire'@'%';

-- newest updated_at
SELECT CAST(CAST(q.m - INTERVAL 300500000 MICROSECOND AS DATETIME(6)) AS CHAR) FROM (SELECT MAX(`updated_at`) AS m FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` <= UTC_TIMESTAMP(6) + INTERVAL 28800 SECOND) q;

-- ahead updated_at
SELECT CAST(COUNT(*) AS CHAR) FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` > UTC_TIMESTAMP(6) + INTERVAL 28800 SECOND;

-- from the beginning by updated_at
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` IS NOT NULL ORDER BY `updated_at`, `region`, `id` LIMIT 10;

-- from a watermark on by updated_at
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` >= CAST(? AS DATETIME(6)) AND `updated_at` < CAST(? AS DATETIME(6)) ORDER BY `updated_at`, `region`, `id` LIMIT 10;
-- with ["F" "B"]

-- on by updated_at
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` = CAST(? AS DATETIME(6)) AND `region` = ? AND `id` > CAST(? AS UNSIGNED) ORDER BY `updated_at`, `region`, `id` LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by updated_at
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` = CAST(? AS DATETIME(6)) AND `region` > ? ORDER BY `updated_at`, `region`, `id` LIMIT 10;
-- with ["M" "K1"]

-- on by updated_at
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `updated_at` > CAST(? AS DATETIME(6)) ORDER BY `updated_at`, `region`, `id` LIMIT 10;
-- with ["M"]

-- newest seen
SELECT CONCAT(CAST(CAST(q.m - INTERVAL 300500000 MICROSECOND AS DATETIME(6)) AS CHAR), IF(CAST(q.m - INTERVAL 300500000 MICROSECOND AS DATETIME(6)) = 0, '', '+00:00')) FROM (SELECT MAX(`seen`) AS m FROM `HR`.`RESI``D]"ENTS` WHERE `seen` <= UTC_TIMESTAMP(6)) q;

-- ahead seen
SELECT CAST(COUNT(*) AS CHAR) FROM `HR`.`RESI``D]"ENTS` WHERE `seen` > UTC_TIMESTAMP(6);

-- from the beginning by seen
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `seen` IS NOT NULL ORDER BY `seen`, `region`, `id` LIMIT 10;

-- from a watermark on by seen
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `seen` >= CAST(REPLACE(?, '+00:00', '') AS DATETIME(6)) AND `seen` < CAST(REPLACE(?, '+00:00', '') AS DATETIME(6)) ORDER BY `seen`, `region`, `id` LIMIT 10;
-- with ["F" "B"]

-- on by seen
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `seen` = CAST(REPLACE(?, '+00:00', '') AS DATETIME(6)) AND `region` = ? AND `id` > CAST(? AS UNSIGNED) ORDER BY `seen`, `region`, `id` LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by seen
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `seen` = CAST(REPLACE(?, '+00:00', '') AS DATETIME(6)) AND `region` > ? ORDER BY `seen`, `region`, `id` LIMIT 10;
-- with ["M" "K1"]

-- on by seen
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `seen` > CAST(REPLACE(?, '+00:00', '') AS DATETIME(6)) ORDER BY `seen`, `region`, `id` LIMIT 10;
-- with ["M"]

-- newest born
SELECT CAST(q.m - INTERVAL 1 DAY AS CHAR) FROM (SELECT MAX(`born`) AS m FROM `HR`.`RESI``D]"ENTS` WHERE `born` <= DATE(UTC_TIMESTAMP(6) + INTERVAL 28800 SECOND)) q;

-- ahead born
SELECT CAST(COUNT(*) AS CHAR) FROM `HR`.`RESI``D]"ENTS` WHERE `born` > DATE(UTC_TIMESTAMP(6) + INTERVAL 28800 SECOND);

-- from the beginning by born
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `born` IS NOT NULL ORDER BY `born`, `region`, `id` LIMIT 10;

-- from a watermark on by born
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `born` >= CAST(? AS DATE) AND `born` < CAST(? AS DATE) ORDER BY `born`, `region`, `id` LIMIT 10;
-- with ["F" "B"]

-- on by born
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `born` = CAST(? AS DATE) AND `region` = ? AND `id` > CAST(? AS UNSIGNED) ORDER BY `born`, `region`, `id` LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by born
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `born` = CAST(? AS DATE) AND `region` > ? ORDER BY `born`, `region`, `id` LIMIT 10;
-- with ["M" "K1"]

-- on by born
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `born` > CAST(? AS DATE) ORDER BY `born`, `region`, `id` LIMIT 10;
-- with ["M"]

-- newest id
SELECT CAST(GREATEST(CAST(q.m AS DECIMAL(65, 0)) - 1000, 0) AS CHAR) FROM (SELECT MAX(`id`) AS m FROM `HR`.`RESI``D]"ENTS`) q;

-- from the beginning by id
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `id` IS NOT NULL ORDER BY `id`, `region`, `id` LIMIT 10;

-- from a watermark on by id
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `id` >= CAST(? AS UNSIGNED) AND `id` < CAST(? AS UNSIGNED) ORDER BY `id`, `region`, `id` LIMIT 10;
-- with ["F" "B"]

-- on by id
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `id` = CAST(? AS UNSIGNED) AND `region` = ? AND `id` > CAST(? AS UNSIGNED) ORDER BY `id`, `region`, `id` LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by id
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `id` = CAST(? AS UNSIGNED) AND `region` > ? ORDER BY `id`, `region`, `id` LIMIT 10;
-- with ["M" "K1"]

-- on by id
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1` FROM `HR`.`RESI``D]"ENTS` WHERE `id` > CAST(? AS UNSIGNED) ORDER BY `id`, `region`, `id` LIMIT 10;
-- with ["M"]

-- every column, one key at a time
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1`, `name` AS `shire_2`, CAST(`updated_at` AS CHAR) AS `shire_3`, CONCAT(CAST(`seen` AS CHAR), IF(`seen` = 0, '', '+00:00')) AS `shire_4`, CAST(`born` AS CHAR) AS `shire_5`, CAST(`price` AS CHAR) AS `shire_6`, CAST(CAST(`ratio` AS DOUBLE) AS CHAR) AS `shire_7`, CAST(`open` + 0 AS CHAR) AS `shire_8`, CAST(`kind` AS CHAR) AS `shire_9`, LOWER(HEX(`token`)) AS `shire_10`, CAST(`at` AS CHAR) AS `shire_11` FROM `HR`.`RESI``D]"ENTS` WHERE (`region` = ? AND `id` = CAST(? AS UNSIGNED)) OR (`region` = ? AND `id` = CAST(? AS UNSIGNED));
-- with ["K1" "K2" "L1" "L2"]

-- region char(6): ?
-- id bigint(20) unsigned: CAST(? AS UNSIGNED)
-- name varchar(60): ?
-- updated_at datetime(6): CAST(? AS DATETIME(6))
-- seen timestamp(6): CAST(REPLACE(?, '+00:00', '') AS DATETIME(6))
-- born date: CAST(? AS DATE)
-- price decimal(12,2): CAST(? AS DECIMAL(65, 2))
-- ratio float: CAST(? AS DOUBLE)
-- open bit(1): CAST(? AS UNSIGNED)
-- kind enum('a','b'): ?
-- token varbinary(16): UNHEX(?)
-- at time: CAST(? AS TIME(6))

-- rows after a key of three columns, of which one may be NULL
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1`, `name` AS `shire_2` FROM `HR`.`RESI``D]"ENTS` WHERE `region` = ? AND `id` = CAST(? AS UNSIGNED) AND `name` > ? AND `name` IS NOT NULL ORDER BY `region`, `id`, `name` LIMIT 10;
-- with ["K1" "K2" "K3"]

-- rows without a key
SELECT CAST(COUNT(*) AS CHAR) FROM `HR`.`RESI``D]"ENTS` WHERE NOT (`name` IS NOT NULL);

-- keys
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1`, `name` AS `shire_2`, CAST(`id` AS CHAR) AS `shire_3` FROM `HR`.`RESI``D]"ENTS` WHERE `name` IS NOT NULL ORDER BY `region`, `id`, `name` LIMIT 10;

-- keys without a watermark
SELECT `region` AS `shire_0`, CAST(`id` AS CHAR) AS `shire_1`, `name` AS `shire_2`, CAST(`id` AS CHAR) AS `shire_3` FROM `HR`.`RESI``D]"ENTS` WHERE `region` = ? AND `id` > CAST(? AS UNSIGNED) AND `id` IS NULL AND `name` IS NOT NULL ORDER BY `region`, `id`, `name` LIMIT 10;
-- with ["K1" "K2"]

