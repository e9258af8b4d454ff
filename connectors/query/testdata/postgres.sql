-- the wall clock
SELECT EXTRACT(TIMEZONE FROM now())::int::text;

-- session
SET default_transaction_read_only = on;

-- session
SET TimeZone = 'UTC';

-- session
SET DateStyle = 'ISO, YMD';

-- session
SET IntervalStyle = 'postgres';

-- session
SET extra_float_digits = 1;

-- session
SET statement_timeout = 60000;

-- catalog
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), COALESCE(b.typname, t.typname)::text, (NOT a.attnotnull)::text, a.atttypmod::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
-- with ["\"HR\".\"RESI`D]\"\"ENTS\""]

-- index of the watermark
SELECT '1' FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = to_regclass($1) AND a.attname = $2 AND i.indisvalid LIMIT 1;
-- with ["\"HR\".\"RESI`D]\"\"ENTS\"" "updated_at"]

-- grant
GRANT USAGE ON SCHEMA "HR" TO "shire"; GRANT SELECT ON "HR"."RESI`D]""ENTS" TO "shire";

-- newest updated_at
SELECT (q.m - interval '300.5 seconds')::text FROM (SELECT MAX("updated_at") AS m FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" <= now() AT TIME ZONE 'UTC' + interval '28800 seconds') q;

-- ahead updated_at
SELECT (COUNT(*))::text FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" > now() AT TIME ZONE 'UTC' + interval '28800 seconds';

-- from the beginning by updated_at
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" IS NOT NULL ORDER BY "updated_at", "region", "id" LIMIT 10;

-- from a watermark on by updated_at
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" >= $1::text::timestamp(6) without time zone AND "updated_at" < $2::text::timestamp(6) without time zone ORDER BY "updated_at", "region", "id" LIMIT 10;
-- with ["F" "B"]

-- on by updated_at
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" = $1::text::timestamp(6) without time zone AND "region" = $2::text::character(6) AND "id" > $3::text::bigint ORDER BY "updated_at", "region", "id" LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by updated_at
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" = $1::text::timestamp(6) without time zone AND "region" > $2::text::character(6) ORDER BY "updated_at", "region", "id" LIMIT 10;
-- with ["M" "K1"]

-- on by updated_at
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "updated_at" > $1::text::timestamp(6) without time zone ORDER BY "updated_at", "region", "id" LIMIT 10;
-- with ["M"]

-- newest seen
SELECT replace((q.m - interval '300.5 seconds')::text, '+00', '+00:00') FROM (SELECT MAX("seen") AS m FROM "HR"."RESI`D]""ENTS" WHERE "seen" <= now()) q;

-- ahead seen
SELECT (COUNT(*))::text FROM "HR"."RESI`D]""ENTS" WHERE "seen" > now();

-- from the beginning by seen
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "seen" IS NOT NULL ORDER BY "seen", "region", "id" LIMIT 10;

-- from a watermark on by seen
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "seen" >= $1::text::timestamp with time zone AND "seen" < $2::text::timestamp with time zone ORDER BY "seen", "region", "id" LIMIT 10;
-- with ["F" "B"]

-- on by seen
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "seen" = $1::text::timestamp with time zone AND "region" = $2::text::character(6) AND "id" > $3::text::bigint ORDER BY "seen", "region", "id" LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by seen
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "seen" = $1::text::timestamp with time zone AND "region" > $2::text::character(6) ORDER BY "seen", "region", "id" LIMIT 10;
-- with ["M" "K1"]

-- on by seen
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "seen" > $1::text::timestamp with time zone ORDER BY "seen", "region", "id" LIMIT 10;
-- with ["M"]

-- newest born
SELECT (q.m - 1)::text FROM (SELECT MAX("born") AS m FROM "HR"."RESI`D]""ENTS" WHERE "born" <= (now() AT TIME ZONE 'UTC' + interval '28800 seconds')::date) q;

-- ahead born
SELECT (COUNT(*))::text FROM "HR"."RESI`D]""ENTS" WHERE "born" > (now() AT TIME ZONE 'UTC' + interval '28800 seconds')::date;

-- from the beginning by born
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "born" IS NOT NULL ORDER BY "born", "region", "id" LIMIT 10;

-- from a watermark on by born
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "born" >= $1::text::date AND "born" < $2::text::date ORDER BY "born", "region", "id" LIMIT 10;
-- with ["F" "B"]

-- on by born
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "born" = $1::text::date AND "region" = $2::text::character(6) AND "id" > $3::text::bigint ORDER BY "born", "region", "id" LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by born
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "born" = $1::text::date AND "region" > $2::text::character(6) ORDER BY "born", "region", "id" LIMIT 10;
-- with ["M" "K1"]

-- on by born
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "born" > $1::text::date ORDER BY "born", "region", "id" LIMIT 10;
-- with ["M"]

-- newest id
SELECT (q.m - 1000)::text FROM (SELECT MAX("id") AS m FROM "HR"."RESI`D]""ENTS") q;

-- from the beginning by id
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "id" IS NOT NULL ORDER BY "id", "region", "id" LIMIT 10;

-- from a watermark on by id
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "id" >= $1::text::bigint AND "id" < $2::text::bigint ORDER BY "id", "region", "id" LIMIT 10;
-- with ["F" "B"]

-- on by id
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "id" = $1::text::bigint AND "region" = $2::text::character(6) AND "id" > $3::text::bigint ORDER BY "id", "region", "id" LIMIT 10;
-- with ["M" "K1" "K2"]

-- on by id
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "id" = $1::text::bigint AND "region" > $2::text::character(6) ORDER BY "id", "region", "id" LIMIT 10;
-- with ["M" "K1"]

-- on by id
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1" FROM "HR"."RESI`D]""ENTS" WHERE "id" > $1::text::bigint ORDER BY "id", "region", "id" LIMIT 10;
-- with ["M"]

-- every column, one key at a time
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1", ("name")::text AS "shire_2", ("updated_at")::text AS "shire_3", replace(("seen")::text, '+00', '+00:00') AS "shire_4", ("born")::text AS "shire_5", encode("token", 'hex') AS "shire_6", ("cash")::numeric::text AS "shire_7" FROM "HR"."RESI`D]""ENTS" WHERE ("region" = $1::text::character(6) AND "id" = $2::text::bigint) OR ("region" = $3::text::character(6) AND "id" = $4::text::bigint);
-- with ["K1" "K2" "L1" "L2"]

-- region character(6): $1::text::character(6)
-- id bigint: $1::text::bigint
-- name text: $1::text::text
-- updated_at timestamp(6) without time zone: $1::text::timestamp(6) without time zone
-- seen timestamp with time zone: $1::text::timestamp with time zone
-- born date: $1::text::date
-- token bytea: decode($1::text, 'hex')
-- cash money: $1::text::money

-- rows after a key of three columns, of which one may be NULL
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1", ("name")::text AS "shire_2" FROM "HR"."RESI`D]""ENTS" WHERE "region" = $1::text::character(6) AND "id" = $2::text::bigint AND "name" > $3::text::text AND "name" IS NOT NULL ORDER BY "region", "id", "name" LIMIT 10;
-- with ["K1" "K2" "K3"]

-- rows without a key
SELECT (COUNT(*))::text FROM "HR"."RESI`D]""ENTS" WHERE NOT ("name" IS NOT NULL);

-- keys
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1", ("name")::text AS "shire_2", ("id")::text AS "shire_3" FROM "HR"."RESI`D]""ENTS" WHERE "name" IS NOT NULL ORDER BY "region", "id", "name" LIMIT 10;

-- keys without a watermark
SELECT ("region")::text AS "shire_0", ("id")::text AS "shire_1", ("name")::text AS "shire_2", ("id")::text AS "shire_3" FROM "HR"."RESI`D]""ENTS" WHERE "region" = $1::text::character(6) AND "id" > $2::text::bigint AND "id" IS NULL AND "name" IS NOT NULL ORDER BY "region", "id", "name" LIMIT 10;
-- with ["K1" "K2"]

