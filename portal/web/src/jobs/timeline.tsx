import { useMemo, useState } from "preact/hooks";
import type { Format } from "../logic/format";
import { download, figure, words, type TableModel } from "../logic/table";
import { DataTable } from "../parts/panel";
import { sentence } from "../parts/states";
import { useBeat, useRemote } from "../remote";
import { timelineURL, type Lane, type Timeline } from "./api";
import type { Choose } from "./app";
import { JobLink } from "./list";
import { place, ticks } from "./lanes";
import { outcomes, type JobsState } from "./state";
import { word } from "./words";

const refreshEvery = 15_000;

interface TimelinePanelProps {
  names: string[] | null; // null: not known yet
  view: JobsState;
  choose: Choose;
  format: Format;
}

/** When the jobs of a page ran. */
export function TimelinePanel({ names, view, choose, format }: TimelinePanelProps) {
  const t = format.t;
  const [beat] = useBeat(refreshEvery);
  const [asTable, setAsTable] = useState(false);
  const remote = useRemote<Timeline>(names && names.length > 0 ? timelineURL(names, view.hours) : null, String(beat));
  const timeline = names?.length === 0 ? null : remote.data;
  const table = useMemo(() => timeline && tableOf(timeline, format), [timeline, format]);
  return (
    <section class="panel timeline" aria-labelledby="timeline-title" aria-busy={remote.pending}>
      <div class="panel-head">
        <h2 id="timeline-title">{t("jobs.timeline")}</h2>
        <div class="segments" role="group" aria-label={t("jobs.window")}>
          {([24, 168] as const).map((hours) => (
            <button key={hours} type="button" aria-pressed={view.hours === hours} onClick={() => choose({ hours })}>{t(`jobs.hours.${hours}`)}</button>
          ))}
        </div>
        <div class="panel-legend legend-runs">
          {outcomes.map((outcome) => <span key={outcome}><i class={`swatch run-${outcome}`} aria-hidden="true" />{word(format, "state", outcome)}</span>)}
        </div>
        <div class="panel-tools">
          <button type="button" class="quiet" onClick={() => setAsTable(!asTable)}>{t(asTable ? "panel.chart" : "panel.table")}</button>
          <button type="button" class="quiet" disabled={!table} onClick={() => table && download(`jobs_${view.hours}h.csv`, table)}>{t("panel.csv")}</button>
        </div>
      </div>
      {remote.failure && <div class="panel-failure" role="alert"><p>{sentence(remote.failure, format)}</p></div>}
      {names?.length === 0 ? <p class="case-none">{t("jobs.noMatch")}</p> : !timeline ? !remote.failure && <div class="bone bone-chart" role="status"><span class="visually-hidden">{t("panel.loading")}</span></div> : asTable && table ? <DataTable table={table} /> : <Lanes timeline={timeline} view={view} choose={choose} format={format} />}
    </section>
  );
}

function Lanes({ timeline, view, choose, format }: { timeline: Timeline; view: JobsState; choose: Choose; format: Format }) {
  const from = Date.parse(timeline.from);
  const to = Date.parse(timeline.to);
  const axis = useMemo(() => ticks(from, to, format.zone, to - from > 48 * 3_600_000 ? 24 : 3), [from, to, format]);
  const label = useMemo(() => {
    const day = new Intl.DateTimeFormat(format.language, { month: "short", day: "numeric", timeZone: format.zone });
    const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: format.zone });
    return (time: Date, midnight: boolean) => (midnight ? day : hour).format(time);
  }, [format]);
  return (
    <div class="lanes">
      <div class="lane lane-axis" aria-hidden="true">
        <span />
        <div class="lane-track">
          {axis.filter((tick) => tick.at < 97).map((tick) => <span key={tick.at} class={tick.midnight ? "tick tick-day" : tick.minor ? "tick tick-minor" : "tick"} style={{ left: `${tick.at}%` }}>{label(tick.time, tick.midnight)}</span>)}
        </div>
      </div>
      {timeline.lanes.map((lane) => (
        <div class="lane" key={lane.job} data-lane={lane.job}>
          <JobLink job={lane.job} view={view} choose={choose} />
          <div class="lane-track" role="img" aria-label={summary(lane, format)}>
            {axis.map((tick) => <i key={tick.at} class={tick.midnight ? "grid grid-day" : "grid"} style={{ left: `${tick.at}%` }} />)}
            {lane.since && <i class="lane-unknown" title={format.t("jobs.since", { time: format.time(new Date(lane.since)) })} style={{ width: `${place({ from: timeline.from, to: lane.since, outcome: "ok", runs: 0, failed: 0, run: "" }, from, to).width}%` }} />}
            {lane.blocks.map((block) => {
              const { left, width } = place(block, from, to);
              return (
                <i
                  key={`${block.from} ${block.run}`}
                  class={`block run-${block.outcome}`}
                  style={{ left: `min(${left}%, 100% - 3px)`, width: `${width}%` }}
                  title={[format.time(new Date(block.from)), word(format, "state", block.outcome), block.runs > 1 ? format.t("jobs.runsFailed", { runs: format.number(block.runs), failed: format.number(block.failed) }) : ""].filter(Boolean).join(" · ")}
                  onClick={() => choose({ job: lane.job, run: block.run, runs: 1, outcome: "" })}
                />
              );
            })}
          </div>
        </div>
      ))}
    </div>
  );
}

function totals(lane: Lane): { runs: number; failed: number } {
  return lane.blocks.reduce((sum, b) => ({ runs: sum.runs + b.runs, failed: sum.failed + b.failed }), { runs: 0, failed: 0 });
}

function summary(lane: Lane, format: Format): string {
  const { runs, failed } = totals(lane);
  return format.t("jobs.runsFailed", { runs: format.number(runs), failed: format.number(failed) });
}

function tableOf(timeline: Timeline, format: Format): TableModel {
  const t = format.t;
  return {
    caption: t("jobs.timelineCaption", { from: format.time(new Date(timeline.from)), to: format.time(new Date(timeline.to)) }),
    head: [t("jobs.job"), t("jobs.runs"), t("jobs.failedRuns"), t("jobs.firstRun"), t("jobs.lastRun"), t("jobs.state")],
    units: ["", "", "", "", "", ""],
    rows: timeline.lanes.map((lane) => {
      const { runs, failed } = totals(lane);
      const first = lane.blocks[0];
      const last = lane.blocks.at(-1);
      return [words(lane.job), figure(format.number(runs), runs), figure(format.number(failed), failed), words(first ? format.time(new Date(first.from)) : "–"), words(last ? format.time(new Date(last.from)) : "–"), words(last ? word(format, "state", last.outcome) : "–")];
    }),
  };
}
