-- the wall clock
SELECT CONVERT(varchar(12), DATEDIFF(second, SYSUTCDATETIME(), SYSDATETIME()));

-- session
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- session
SET LOCK_TIMEOUT 60000;

-- session
SET DATEFIRST 1;

-- session
SET TEXTSIZE 2147483647;

-- catalog
SELECT c.name, COALESCE(b.name, o.name), CONVERT(varchar(12), c.max_length), CONVERT(varchar(12), c.precision), CONVERT(varchar(12), c.scale), CONVERT(varchar(1), c.is_nullable), c.collation_name FROM sys.columns c JOIN sys.types o ON o.user_type_id = c.user_type_id LEFT JOIN sys.types b ON b.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(@p1) ORDER BY c.column_id;
-- with ["[HR].[RESI`D]]\"ENTS]"]

-- index of the watermark
SELECT TOP (1) '1' FROM sys.index_columns i JOIN sys.columns c ON c.object_id = i.object_id AND c.column_id = i.column_id WHERE i.object_id = OBJECT_ID(@p1) AND c.name = @p2 AND i.key_ordinal = 1;
-- with ["[HR].[RESI`D]]\"ENTS]" "updated_at"]

-- grant
GRANT SELECT ON [HR].[RESI`D]]"ENTS] TO [shire];

-- newest updated_at
SELECT CONVERT(varchar(30), DATEADD(millisecond, -500, DATEADD(second, -300, q.m)), 121) FROM (SELECT MAX([updated_at]) AS m FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] <= CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS datetime2(7))) q;

-- ahead updated_at
SELECT CONVERT(varchar(20), COUNT(*)) FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] > CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS datetime2(7));

-- from the beginning by updated_at
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] IS NOT NULL ORDER BY [updated_at], [region], [id];

-- from a watermark on by updated_at
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] >= CONVERT(datetime2(7), @p1, 121) AND [updated_at] < CONVERT(datetime2(7), @p2, 121) ORDER BY [updated_at], [region], [id];
-- with ["F" "B"]

-- on by updated_at
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] = CONVERT(datetime2(7), @p1, 121) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [updated_at], [region], [id];
-- with ["M" "K1" "K2"]

-- on by updated_at
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] = CONVERT(datetime2(7), @p1, 121) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [updated_at], [region], [id];
-- with ["M" "K1"]

-- on by updated_at
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [updated_at] > CONVERT(datetime2(7), @p1, 121) ORDER BY [updated_at], [region], [id];
-- with ["M"]

-- newest seen
SELECT REPLACE(CONVERT(varchar(40), SWITCHOFFSET(DATEADD(millisecond, -500, DATEADD(second, -300, q.m)), '+00:00'), 121), ' +', '+') FROM (SELECT MAX([seen]) AS m FROM [HR].[RESI`D]]"ENTS] WHERE [seen] <= SYSDATETIMEOFFSET()) q;

-- ahead seen
SELECT CONVERT(varchar(20), COUNT(*)) FROM [HR].[RESI`D]]"ENTS] WHERE [seen] > SYSDATETIMEOFFSET();

-- from the beginning by seen
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [seen] IS NOT NULL ORDER BY [seen], [region], [id];

-- from a watermark on by seen
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [seen] >= CAST(@p1 AS datetimeoffset(7)) AND [seen] < CAST(@p2 AS datetimeoffset(7)) ORDER BY [seen], [region], [id];
-- with ["F" "B"]

-- on by seen
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [seen] = CAST(@p1 AS datetimeoffset(7)) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [seen], [region], [id];
-- with ["M" "K1" "K2"]

-- on by seen
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [seen] = CAST(@p1 AS datetimeoffset(7)) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [seen], [region], [id];
-- with ["M" "K1"]

-- on by seen
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [seen] > CAST(@p1 AS datetimeoffset(7)) ORDER BY [seen], [region], [id];
-- with ["M"]

-- newest old
SELECT CONVERT(varchar(30), DATEADD(millisecond, -500, DATEADD(second, -300, q.m)), 121) FROM (SELECT MAX([old]) AS m FROM [HR].[RESI`D]]"ENTS] WHERE [old] <= CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS datetime)) q;

-- ahead old
SELECT CONVERT(varchar(20), COUNT(*)) FROM [HR].[RESI`D]]"ENTS] WHERE [old] > CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS datetime);

-- from the beginning by old
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [old] IS NOT NULL ORDER BY [old], [region], [id];

-- from a watermark on by old
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [old] >= CONVERT(datetime, @p1, 121) AND [old] < CONVERT(datetime, @p2, 121) ORDER BY [old], [region], [id];
-- with ["F" "B"]

-- on by old
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [old] = CONVERT(datetime, @p1, 121) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [old], [region], [id];
-- with ["M" "K1" "K2"]

-- on by old
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [old] = CONVERT(datetime, @p1, 121) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [old], [region], [id];
-- with ["M" "K1"]

-- on by old
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [old] > CONVERT(datetime, @p1, 121) ORDER BY [old], [region], [id];
-- with ["M"]

-- newest born
SELECT CONVERT(varchar(10), DATEADD(day, -1, q.m), 23) FROM (SELECT MAX([born]) AS m FROM [HR].[RESI`D]]"ENTS] WHERE [born] <= CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS date)) q;

-- ahead born
SELECT CONVERT(varchar(20), COUNT(*)) FROM [HR].[RESI`D]]"ENTS] WHERE [born] > CAST(DATEADD(second, 28800, SYSUTCDATETIME()) AS date);

-- from the beginning by born
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [born] IS NOT NULL ORDER BY [born], [region], [id];

-- from a watermark on by born
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [born] >= CONVERT(date, @p1, 23) AND [born] < CONVERT(date, @p2, 23) ORDER BY [born], [region], [id];
-- with ["F" "B"]

-- on by born
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [born] = CONVERT(date, @p1, 23) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [born], [region], [id];
-- with ["M" "K1" "K2"]

-- on by born
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [born] = CONVERT(date, @p1, 23) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [born], [region], [id];
-- with ["M" "K1"]

-- on by born
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [born] > CONVERT(date, @p1, 23) ORDER BY [born], [region], [id];
-- with ["M"]

-- newest version
SELECT LOWER(CONVERT(varchar(16), CONVERT(binary(8), MIN_ACTIVE_ROWVERSION()), 2));

-- from the beginning by version
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [version] IS NOT NULL ORDER BY [version], [region], [id];

-- from a watermark on by version
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [version] >= CONVERT(binary(8), @p1, 2) AND [version] < CONVERT(binary(8), @p2, 2) ORDER BY [version], [region], [id];
-- with ["F" "B"]

-- on by version
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [version] = CONVERT(binary(8), @p1, 2) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [version], [region], [id];
-- with ["M" "K1" "K2"]

-- on by version
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [version] = CONVERT(binary(8), @p1, 2) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [version], [region], [id];
-- with ["M" "K1"]

-- on by version
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [version] > CONVERT(binary(8), @p1, 2) ORDER BY [version], [region], [id];
-- with ["M"]

-- newest code
SELECT CONVERT(varchar(20), q.m - 1000) FROM (SELECT MAX([code]) AS m FROM [HR].[RESI`D]]"ENTS]) q;

-- from the beginning by code
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [code] IS NOT NULL ORDER BY [code], [region], [id];

-- from a watermark on by code
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [code] >= CONVERT(bigint, @p1) AND [code] < CONVERT(bigint, @p2) ORDER BY [code], [region], [id];
-- with ["F" "B"]

-- on by code
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [code] = CONVERT(bigint, @p1) AND [region] = CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p3) ORDER BY [code], [region], [id];
-- with ["M" "K1" "K2"]

-- on by code
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [code] = CONVERT(bigint, @p1) AND [region] > CONVERT(char(6), @p2 COLLATE Chinese_PRC_CI_AS) ORDER BY [code], [region], [id];
-- with ["M" "K1"]

-- on by code
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1] FROM [HR].[RESI`D]]"ENTS] WHERE [code] > CONVERT(bigint, @p1) ORDER BY [code], [region], [id];
-- with ["M"]

-- every column, one key at a time
SELECT [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1], [name] AS [shire_2], [bio] AS [shire_3], CONVERT(varchar(20), [code]) AS [shire_4], CONVERT(varchar(42), [price]) AS [shire_5], CONVERT(varchar(40), [cash], 2) AS [shire_6], CONVERT(varchar(40), [ratio], 3) AS [shire_7], CONVERT(varchar(20), [open]) AS [shire_8], CONVERT(varchar(10), [born], 23) AS [shire_9], CONVERT(varchar(30), [old], 121) AS [shire_10], CONVERT(varchar(30), [updated_at], 121) AS [shire_11], REPLACE(CONVERT(varchar(40), SWITCHOFFSET([seen], '+00:00'), 121), ' +', '+') AS [shire_12], CONVERT(varchar(16), [at], 121) AS [shire_13], LOWER(CONVERT(varchar(16), CONVERT(binary(8), [version]), 2)) AS [shire_14], LOWER(CONVERT(varchar(max), CONVERT(varbinary(max), [token]), 2)) AS [shire_15], LOWER(CONVERT(varchar(max), CONVERT(varbinary(max), [photo]), 2)) AS [shire_16], CONVERT(nvarchar(max), [doc]) AS [shire_17], [place].ToString() AS [shire_18] FROM [HR].[RESI`D]]"ENTS] WHERE ([region] = CONVERT(char(6), @p1 COLLATE Chinese_PRC_CI_AS) AND [id] = CONVERT(uniqueidentifier, @p2)) OR ([region] = CONVERT(char(6), @p3 COLLATE Chinese_PRC_CI_AS) AND [id] = CONVERT(uniqueidentifier, @p4));
-- with ["K1" "K2" "L1" "L2"]

-- region char(6): CONVERT(char(6), @p1 COLLATE Chinese_PRC_CI_AS)
-- id uniqueidentifier: CONVERT(uniqueidentifier, @p1)
-- name nvarchar(60): @p1
-- bio nvarchar(max): @p1
-- code bigint: CONVERT(bigint, @p1)
-- price decimal(12,2): CONVERT(decimal(12,2), @p1)
-- cash money: CONVERT(money, @p1)
-- ratio float: CONVERT(float, @p1)
-- open bit: CONVERT(bit, @p1)
-- born date: CONVERT(date, @p1, 23)
-- old datetime: CONVERT(datetime, @p1, 121)
-- updated_at datetime2(7): CONVERT(datetime2(7), @p1, 121)
-- seen datetimeoffset(7): CAST(@p1 AS datetimeoffset(7))
-- at time: CONVERT(time, @p1)
-- version rowversion: CONVERT(binary(8), @p1, 2)
-- token varbinary(16): CONVERT(varbinary(8000), @p1, 2)
-- photo image: CONVERT(varbinary(8000), @p1, 2)
-- doc xml: @p1
-- place geography: @p1

-- rows after a key of three columns, of which one may be NULL
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1], [name] AS [shire_2] FROM [HR].[RESI`D]]"ENTS] WHERE [region] = CONVERT(char(6), @p1 COLLATE Chinese_PRC_CI_AS) AND [id] = CONVERT(uniqueidentifier, @p2) AND [name] > @p3 AND [name] IS NOT NULL ORDER BY [region], [id], [name];
-- with ["K1" "K2" "K3"]

-- rows without a key
SELECT CONVERT(varchar(20), COUNT(*)) FROM [HR].[RESI`D]]"ENTS] WHERE NOT ([name] IS NOT NULL);

-- keys
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1], [name] AS [shire_2], CONVERT(varchar(20), [code]) AS [shire_3] FROM [HR].[RESI`D]]"ENTS] WHERE [name] IS NOT NULL ORDER BY [region], [id], [name];

-- keys without a watermark
SELECT TOP (10) [region] AS [shire_0], LOWER(CONVERT(varchar(36), [id])) AS [shire_1], [name] AS [shire_2], CONVERT(varchar(20), [code]) AS [shire_3] FROM [HR].[RESI`D]]"ENTS] WHERE [region] = CONVERT(char(6), @p1 COLLATE Chinese_PRC_CI_AS) AND [id] > CONVERT(uniqueidentifier, @p2) AND [code] IS NULL AND [name] IS NOT NULL ORDER BY [region], [id], [name];
-- with ["K1" "K2"]

