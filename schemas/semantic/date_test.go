package semantic_test

import (
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/semantic"
	"pgregory.net/rapid"
)

func TestDate(t *testing.T) {
	runTable(t, mustNew(t, "date", nil), []row{
		{"2024-01-05", "2024-01-05"}, {"2024/1/5", "2024-01-05"}, {"2024.1.5", "2024-01-05"}, {"20240105", "2024-01-05"},
		{"2024年1月5日", "2024-01-05"}, {"2024年01月05号", "2024-01-05"}, {"2024 年 1 月 5 日", "!format"}, {"2024年 1月 5日", "2024-01-05"},
		{"２０２４－０１－０５", "2024-01-05"}, {" 2024-01-05 ", "2024-01-05"},
		{"2024-01-05 00:00:00", "2024-01-05"}, {"2024-01-05T23:59:59", "2024-01-05"}, {"2024-01-05T23:00:00Z", "2024-01-06"}, {"2024-01-05 24:00", "2024-01-06"},
		{"2024-02-29", "2024-02-29"}, {"2023-02-29", "!no_such_date"}, {"1900-02-29", "!no_such_date"}, {"2000-02-29", "2000-02-29"},
		{"2024-13-01", "!no_such_date"}, {"2024-04-31", "!no_such_date"}, {"2024-00-10", "!no_such_date"},
		{"24-01-05", "!two_digit_year"}, {"24/1/5", "!two_digit_year"}, {"24年1月5日", "!two_digit_year"},
		{"05/01/2024", "!format"}, {"5/1/2024", "!format"}, {"2024-01/05", "!format"}, {"2024-01", "!format"}, {"202401", "!format"}, {"45296", "!format"},
		{"0000-00-00", "!placeholder"}, {"0000-00-00 00:00:00", "!placeholder"}, {"9999-12-31", "!placeholder"}, {"0001-01-01", "!placeholder"}, {"无", "!placeholder"},
		{"1899-12-31", "!out_of_range"}, {"2300-01-01", "!out_of_range"}, {"1900-01-01", "1900-01-01"}, {"2299-12-31", "2299-12-31"},
		{"长期", "!long_term"}, {"2024-01-05 8h", "!format"}, {"2024-01-055", "!format"}, {"2024-01-0508:30", "!format"},
	})
	runTable(t, mustNew(t, "date", semantic.Params{"excel": true, "long_term": "2299-12-31", "placeholders": []any{"1900-01-01"}}), []row{
		{"45296", "2024-01-05"}, {"45296.99", "2024-01-05"}, {"1", "!placeholder"}, {"2", "1900-01-02"}, {"59", "1900-02-28"}, {"60", "!no_such_date"}, {"61", "1900-03-01"},
		{"20240105", "2024-01-05"}, {"2024/1/5", "2024-01-05"}, {"0.5", "!out_of_range"}, {"-3", "!out_of_range"}, {"999999", "!out_of_range"},
		{"长期", "2299-12-31"}, {"永久有效", "2299-12-31"},
	})
	runTable(t, mustNew(t, "date", semantic.Params{"epoch": "milliseconds"}), []row{
		{"1704412800000", "2024-01-05"}, {"1704470400000", "2024-01-06"}, {"1.5", "!format"}, {"99999999999999999", "!out_of_range"},
	})
	runTable(t, mustNew(t, "date", semantic.Params{"layout": "02.01.2006"}), []row{
		{"05.01.2024", "2024-01-05"}, {"31.02.2024", "!no_such_date"}, {"05.13.2024", "!no_such_date"}, {"2024-01-05", "!format"},
	})
}

func TestTimestamp(t *testing.T) {
	runTable(t, mustNew(t, "timestamp", nil), []row{
		{"2024-01-05 08:30", "2024-01-05T00:30:00.000000Z"}, {"2024-01-05 08:30:05", "2024-01-05T00:30:05.000000Z"},
		{"2024-01-05 08:30:05.123456", "2024-01-05T00:30:05.123456Z"}, {"2024-01-05T08:30:05,5", "2024-01-05T00:30:05.500000Z"},
		{"2024-01-05 08:30:05.123456789", "2024-01-05T00:30:05.123456Z"}, {"2024/1/5 8:30", "2024-01-05T00:30:00.000000Z"},
		{"2011-10-11 13:42:22.688000+02:00", "2011-10-11T11:42:22.688000Z"}, {"2011-10-11T13:42:22Z", "2011-10-11T13:42:22.000000Z"},
		{"2011-10-11 13:42:22 +0800", "2011-10-11T05:42:22.000000Z"}, {"2011-10-11T13:42-05", "2011-10-11T18:42:00.000000Z"}, {"2011-10-11 13:42:22 UTC", "2011-10-11T13:42:22.000000Z"},
		{"20240105083005", "2024-01-05T00:30:05.000000Z"}, {"202401050830", "2024-01-05T00:30:00.000000Z"}, {"20240105083005123", "2024-01-05T00:30:05.123000Z"},
		{"20240105T083005Z", "2024-01-05T08:30:05.000000Z"}, {"20240105 08:30:05", "2024-01-05T00:30:05.000000Z"},
		{"2024年1月5日 8时30分5秒", "2024-01-05T00:30:05.000000Z"}, {"2024年1月5日8时", "2024-01-05T00:00:00.000000Z"}, {"2024年1月5日08:30", "2024-01-05T00:30:00.000000Z"},
		{"２０２４－０１－０５　０８：３０", "2024-01-05T00:30:00.000000Z"}, {"2024-01-05\t08:30", "2024-01-05T00:30:00.000000Z"},
		{"2024-01-05", "2024-01-04T16:00:00.000000Z"}, {"2024-01-05 24:00:00", "2024-01-05T16:00:00.000000Z"},
		{"2024-01-05 25:00", "!no_such_time"}, {"2024-01-05 08:60", "!no_such_time"}, {"2024-01-05 24:00:01", "!no_such_time"}, {"2024-02-30 08:00", "!no_such_date"},
		{"24-01-05 08:30", "!two_digit_year"}, {"2024-01-05 08:30:05.", "!format"}, {"2024-01-05 08:30 CST", "!format"}, {"2024-01-05T", "!format"}, {"2024-01-05 8", "!format"},
		// China's summer time: 1986-05-04 and 1991-04-14 skip 02:00 to 03:00, 1991-09-15 repeats 01:00 to 02:00.
		{"1988-07-01 12:00", "1988-07-01T03:00:00.000000Z"}, {"1988-12-01 12:00", "1988-12-01T04:00:00.000000Z"},
		{"1991-04-14 02:30", "1991-04-13T18:30:00.000000Z"}, {"1991-09-15 01:30", "1991-09-14T16:30:00.000000Z"}, {"1991-09-15 02:00", "1991-09-14T18:00:00.000000Z"},
		{"1900-01-01 00:00", "!out_of_range"}, // 1899 in UTC
		{"0000-00-00 00:00:00", "!placeholder"}, {"9999-12-31 23:59:59", "!placeholder"}, {"", "!empty"}, {"\xff", "!encoding"},
	})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"excel": true}), []row{
		{"45296.354166666664", "2024-01-05T00:30:00.000000Z"}, {"45296", "2024-01-04T16:00:00.000000Z"}, {"45295.9999999999", "2024-01-04T16:00:00.000000Z"},
	})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"epoch": "seconds"}), []row{
		{"1704414605", "2024-01-05T00:30:05.000000Z"}, {"1704414605.25", "2024-01-05T00:30:05.250000Z"}, {"-1", "1969-12-31T23:59:59.000000Z"}, {"99999999999999", "!out_of_range"},
		{"9223372036854775807", "!out_of_range"}, {"2024-01-05 08:30", "2024-01-05T00:30:00.000000Z"},
	})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"epoch": "milliseconds"}), []row{{"1704414605123", "2024-01-05T00:30:05.123000Z"}})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"layout": "Jan 2, 2006 3:04:05 PM"}), []row{
		{"Jan 5, 2024 8:30:05 PM", "2024-01-05T12:30:05.000000Z"}, {"Jan 5, 2024 18:30:05 PM", "!no_such_time"},
	})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"layout": "02/01/2006 15:04 -0700"}), []row{{"05/01/2024 08:30 +0200", "2024-01-05T06:30:00.000000Z"}})
	runTable(t, mustNew(t, "timestamp", semantic.Params{"time_zone": "Europe/Amsterdam"}), []row{
		{"2011-10-11 13:42:22", "2011-10-11T11:42:22.000000Z"}, {"2011-03-27 02:30", "2011-03-27T01:30:00.000000Z"}, {"2011-10-30 02:30", "2011-10-30T00:30:00.000000Z"},
	})
}

// The offset table agrees with the time package wherever a local time exists exactly once.
func TestZonesAgreeWithTimePackage(t *testing.T) {
	for _, name := range []string{"Asia/Shanghai", "Europe/Amsterdam", "UTC", "Asia/Urumqi", "America/New_York"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		timestamp := mustNew(t, "timestamp", semantic.Params{"time_zone": name}).(semantic.TimestampType)
		date := mustNew(t, "date", semantic.Params{"time_zone": name}).(semantic.DateType)
		rapid.Check(t, func(t *rapid.T) {
			utc := rapid.Int64Range(-2208988800+86400, 10413792000-86400).Draw(t, "utc")
			at := time.Unix(utc, 0)
			local := at.In(location)
			day, p := date.ParseDate(at.UTC().Format(time.RFC3339))
			if p != nil || semantic.FormatDate(day) != local.Format(time.DateOnly) {
				t.Fatalf("date of %s: have %s %v", local, semantic.FormatDate(day), p)
			}
			for _, near := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
				_, here := local.Zone()
				if _, there := at.Add(near).In(location).Zone(); here != there {
					t.Skip("near a change of offset")
				}
			}
			micros, p := timestamp.ParseTimestamp(local.Format(time.DateTime))
			if p != nil || micros != utc*1e6 {
				t.Fatalf("%s in %s: have %d %v, want %d", local, name, micros, p, utc*1e6)
			}
		})
	}
}

// Every day of four centuries in every common shape, against the time package.
func TestEveryDay(t *testing.T) {
	date := mustNew(t, "date", semantic.Params{"placeholders": []any{}}).(semantic.DateType)
	day := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; day.Year() < 2300; day = day.AddDate(0, 0, 1) {
		want := int32(day.Unix() / 86400)
		if day.Unix() < 0 {
			want = -int32(-day.Unix() / 86400)
		}
		for _, layout := range []string{"2006-01-02", "2006/1/2", "20060102", "2006年1月2日"} {
			if got, p := date.ParseDate(day.Format(layout)); p != nil || got != want {
				t.Fatalf("%s: have %d %v, want %d", day.Format(layout), got, p, want)
			}
		}
		if got := semantic.FormatDate(want); got != day.Format(time.DateOnly) {
			t.Fatalf("format of %s: have %s", day.Format(time.DateOnly), got)
		}
	}
}
