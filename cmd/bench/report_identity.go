package main

import (
	"fmt"
	"strings"

	"github.com/shirecounty/shire/pipeline/identity/evaluate"
)

func (f *batchFigures) section(o options) section {
	var b strings.Builder
	fmt.Fprintf(&b, `
One file of %s person records of %s people as six departments of a simulated county write them
(%s): who is who, from the parsed file to the partition, cold: parameters are estimated from the
file itself, without labels. Ours is a whole process,
%s.
`, thousands(f.rows), thousands(people(&f.usual)), "`shire identity simulate`", "`shire identity evaluate FILE --truth ent --model "+countyModel+"`")
	if len(f.usual.peer) == 0 {
		fmt.Fprintf(&b, "\n**The peer, Splink, could not be run here (%s); what follows is ours alone.**\n", f.noPeer)
	} else {
		b.WriteString(`
Peer: Splink 4 on DuckDB, from pip, by ` + "`cmd/bench/splink_county.py`" + `, a process of its own, on the same file and
as many threads as there are cores: cleaned columns, a model that knows citizen numbers, u from 10 million random pairs, m by EM.
The peer has the benefit of the doubt: its cleaning is not counted, ours (prepare) is; its threshold is the one that is
best for it by the truth, ours is the model's; its peak of memory is taken after its first clustering, ours at the end of
the process, when the file was read, the result scored and a part of it resolved once more. Most of the peer's memory
holds the random pairs that u is estimated from, and is needed for small files too.
`)
	}
	var versions []string
	for _, name := range []string{"splink", "duckdb"} {
		if v := f.versions[name]; v != "" {
			versions = append(versions, name+" "+v)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", conditions(o, "batch", fmt.Sprintf("%d pairs after two that warm up.", len(f.usual.ours)), versions...))
	f.cost(&b)
	f.stages(&b)
	quality(&b, "Numbers missing in 8% of the records", &f.usual)
	quality(&b, fmt.Sprintf("Numbers missing in %.0f%% of the records (one round; this file is for the quality)", missingNumbers*100), &f.few)
	if f.noPeer != "" && len(f.usual.peer) > 0 {
		fmt.Fprintf(&b, "\nThe peer failed before the end: %s\n", f.noPeer)
	}
	return section{titleBatch, b.String()}
}

func people(r *batchRuns) int { return r.ours[0].Quality.Entities }

// cost is rates and memory, ours beside the peer's.
func (f *batchFigures) cost(b *strings.Builder) {
	ours, ourMiB := each(f.usual.ours, ourRate), each(f.usual.ours, ourMemory)
	peer, peerMiB := each(f.usual.peer, peerRate), each(f.usual.peer, peerMemory)
	b.WriteString("| | median (least to greatest) | bound |\n|---|---|---|\n")
	row := func(what, figure, bound string) { fmt.Fprintf(b, "| %s | %s | %s |\n", what, figure, bound) }
	row("shire: prepare, train, resolve", spreadOf(ours).over(1000).whole()+" thousand records/s", "")
	if len(peer) > 0 {
		ratio := spreadOf(against(ours, peer))
		row("Splink: train, predict, cluster", spreadOf(peer).over(1000).String()+" thousand records/s", "")
		row("**shire / Splink**", "**"+ratio.String()+"**", "at least 3: "+verdict(ratio.median >= 3))
	}
	row("noise: shire / shire", spreadOf(again(ours)).String(), "")
	if len(peer) > 1 {
		row("noise: Splink / Splink", spreadOf(again(peer)).String(), "")
	}
	row("peak memory of shire", spreadOf(ourMiB).whole()+" MiB", "")
	if len(peer) > 0 {
		ratio := spreadOf(against(ourMiB, peerMiB))
		row("peak memory of Splink", spreadOf(peerMiB).whole()+" MiB", "")
		row("**shire / Splink, memory**", "**"+ratio.String()+"**", "at most 0.5: "+verdict(ratio.median <= .5))
	}
	row("noise in memory: shire / shire", spreadOf(again(ourMiB)).String(), "")
	if len(peer) > 1 {
		row("noise in memory: Splink / Splink", spreadOf(again(peerMiB)).String(), "")
	}
}

// stages tell where the time went.
func (f *batchFigures) stages(b *strings.Builder) {
	ours := func(of func(evaluate.Seconds) float64) string {
		return fmt.Sprintf("%.2f", spreadOf(each(f.usual.ours, func(e evaluate.Evaluation) float64 { return of(e.Seconds) })).median)
	}
	fmt.Fprintf(b, "\nSeconds of shire, medians: read %s; prepare %s, block %s, train %s, compare %s, cluster %s.\n",
		ours(func(s evaluate.Seconds) float64 { return s.Read }), ours(func(s evaluate.Seconds) float64 { return s.Prepare }),
		ours(func(s evaluate.Seconds) float64 { return s.Block }), ours(func(s evaluate.Seconds) float64 { return s.Train }),
		ours(func(s evaluate.Seconds) float64 { return s.Compare }), ours(func(s evaluate.Seconds) float64 { return s.Cluster }))
	if len(f.usual.peer) == 0 {
		return
	}
	peer := func(of func(splinkRun) float64) string {
		return fmt.Sprintf("%.2f", spreadOf(each(f.usual.peer, of)).median)
	}
	fmt.Fprintf(b, "Seconds of Splink: load %s, clean %s; train %s, predict %s, cluster %s.\n",
		peer(func(r splinkRun) float64 { return r.Seconds.Load }), peer(func(r splinkRun) float64 { return r.Seconds.Clean }),
		peer(func(r splinkRun) float64 { return r.Seconds.Train }), peer(func(r splinkRun) float64 { return r.Seconds.Predict }),
		peer(func(r splinkRun) float64 { return r.Seconds.Cluster }))
}

// quality is what was found, and what was not, in one file.
func quality(b *strings.Builder, title string, r *batchRuns) {
	fmt.Fprintf(b, "\n%s:\n\n| | false pairs | missed pairs | pair F1 | B-cubed | records/s |\n|---|---|---|---|---|---|\n", title)
	q := r.ours[0].Quality
	fmt.Fprintf(b, "| shire | %s | %s | %.5f | %.5f | %.0f |\n",
		thousands(int(q.FalsePairs)), thousands(int(q.MissedPairs)), q.F1, q.BCubed, spreadOf(each(r.ours, ourRate)).median)
	if len(r.peer) > 0 {
		p := r.peer[0].Best
		fmt.Fprintf(b, "| Splink, at %v | %s | %s | %.5f | %.5f | %.0f |\n",
			p.Threshold, thousands(int(p.FalsePairs)), thousands(int(p.MissedPairs)), p.F1, p.BCubed, spreadOf(each(r.peer, peerRate)).median)
	}
}

func (f *changesFigures) section(o options) section {
	var kinds []string
	for _, m := range mixture {
		kinds = append(kinds, fmt.Sprintf("%d%% %s", m.share, m.kind))
	}
	return section{titleChanges, fmt.Sprintf(`
A state of identities on disk, in a process of its own, with the shipped model: %s records come in by ranges of
%s, then %s single changes at %s a second, whatever becomes of them:
%s.
Latency counts from the moment a change was due until the partition with
it is durable, so that waiting behind others counts as well. Changes that wait are applied one by one and kept
together, at most %d of them, as the flow does it with a range. Then as many again, always %d waiting: the most that
is sustained, merging of files on the disk included.

Physical limit beside it: an append of 4 KiB made durable (fsync) in the same folder, just before.

%s
| | | bound |
|---|---|---|
| loaded, until durable | %s records/s | |
| disk: append and fsync | p50 %.2f ms, p99 %.2f ms, greatest %.1f ms | |
| **change to durable partition, at %s/s** | **p50 %.2f ms, p99 %.2f ms**, greatest %.1f ms | p99 at most 10 ms: %s |
| p99 of each %d seconds, median (least to greatest) | %s ms | |
| changes kept together, mean | %.1f | |
| **most changes/s sustained** | **%s** | at least 5,000: %s |
| %d changes, then | p50 %.2f ms, p99 %.2f ms, greatest %.1f ms | |
| memory while loading: peak | %.0f MiB; own %.0f, pages of files %.0f | |
| memory during single changes: | own %.0f MiB, pages of files %.0f | |
| then there are | %s records of %s people; found %s | |

Pages of files are those of the memory-mapped state: they count as resident until somebody else needs the memory, and are
taken back then. Own memory is what the process itself asked for.
`,
		thousands(f.Loaded), thousands(loadRange), thousands(f.Offered), thousands(offeredRate), strings.Join(kinds, ", "), atMost, atMost,
		conditions(o, "changes", "One run."),
		thousands(int(f.LoadRate)), f.Disk.P50, f.Disk.P99, f.Disk.Max,
		thousands(offeredRate), f.Late.P50, f.Late.P99, f.Late.Max, verdict(f.Late.P99 <= 10),
		window, spreadOf(f.Windows), f.Together,
		thousands(int(f.Sustained)), verdict(f.Sustained >= offeredRate), atMost, f.Group.P50, f.Group.P99, f.Group.Max,
		f.LoadMemory.Peak, f.LoadMemory.Own, f.LoadMemory.Mapped, f.Memory.Own, f.Memory.Mapped,
		thousands(f.Records), thousands(f.expected.People), thousands(f.Parties))}
}
