package grafana

import "github.com/shirecounty/shire/schemas/metrics"

// flow is the dashboard of how the data gets in: loads, what waits in quarantine, how far each dataset has come, and the runs of jobs.
func flow(language string) Dashboard {
	b := &board{language: language}
	word := func(zh, en string) string { return b.say(metrics.Text{Zh: zh, En: en}) }
	table := object{"showHeader": true, "cellHeight": "sm"}
	plain := object{"custom": object{"align": "auto"}}

	time := "finished_at >= " + fromTime + " AND finished_at <= " + toTime
	rows := word("行数", "Rows")
	bars := object{"unit": "short", "min": 0, "custom": object{"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0}}
	b.panels = append(b.panels, b.panel("timeseries", word("每小时入库行数", "Rows loaded each hour"), "ops.loads",
		"SELECT toStartOfHour(toDateTime(finished_at)) AS time, toUInt64(sum(rows)) AS "+identifier(rows)+"\nFROM ops.loads\nWHERE "+time+"\nGROUP BY time\nORDER BY time",
		[]string{"time", rows}, 0, 14, 9, bars, object{"legend": object{"showLegend": false}, "tooltip": object{"mode": "single"}}, nil))

	dataset, last, total := word("数据集", "Dataset"), word("最近入库", "Last loaded"), word("累计行数", "Rows in all")
	b.panels = append(b.panels, b.panel("table", word("各数据集的进度", "How far each dataset has come"), "ops.lag",
		"SELECT dataset AS "+identifier(dataset)+", toDateTime(last_loaded_at) AS "+identifier(last)+", rows AS "+identifier(total)+"\nFROM ops.lag\nORDER BY last_loaded_at DESC, dataset",
		[]string{dataset, last, total}, 14, 10, 9, plain, table, nil))
	b.y += 9

	owner, reason, waiting, oldest := word("责任方", "Owner"), word("原因", "Reason"), word("待处理行数", "Rows that wait"), word("最早", "Oldest")
	b.panels = append(b.panels, b.panel("table", word("隔离区中待处理的行", "What waits in quarantine"), "ops.quarantine",
		"SELECT owner_"+language+" AS "+identifier(owner)+", dataset AS "+identifier(dataset)+", code AS "+identifier(reason)+", count() AS "+identifier(waiting)+", toDateTime(min(quarantined_at)) AS "+identifier(oldest)+
			"\nFROM ops.quarantine\nWHERE state = 'waiting'\nGROUP BY owner_"+language+", dataset, code\nORDER BY "+identifier(waiting)+" DESC, dataset, code\nLIMIT 200",
		[]string{owner, dataset, reason, waiting, oldest}, 0, 12, 10, plain, table, nil))

	job, outcome, started, seconds, message := word("作业", "Job"), word("结果", "Outcome"), word("开始", "Started"), word("用时", "Took"), word("说明", "Message")
	took := []any{override(seconds, object{"id": "unit", "value": "s"})}
	b.panels = append(b.panels, b.panel("table", word("最近的作业", "The latest runs of jobs"), "ops.runs",
		"SELECT job AS "+identifier(job)+", outcome AS "+identifier(outcome)+", toDateTime(started_at) AS "+identifier(started)+", dateDiff('second', started_at, finished_at) AS "+identifier(seconds)+", message AS "+identifier(message)+
			"\nFROM ops.runs\nWHERE started_at >= "+fromTime+" AND started_at <= "+toTime+"\nORDER BY started_at DESC, job\nLIMIT 200",
		[]string{job, outcome, started, seconds, message}, 12, 12, 10, plain, table, took))
	return b.file("flow", metrics.Text{Zh: "数据流", En: "The flow of the data"}, "now-7d", []any{})
}
