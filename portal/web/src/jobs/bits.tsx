import type { Format } from "../logic/format";
import type { Brief, Job, Outcome } from "./api";
import { heights } from "./lanes";
import { duration, tone, word } from "./words";

export function Dot({ state }: { state: string }) {
  return <i class={`dot dot-${tone(state)}`} aria-hidden="true" />;
}

export function OutcomeWord({ outcome, format }: { outcome: Outcome; format: Format }) {
  return <span class="outcome"><Dot state={outcome} />{word(format, "state", outcome)}</span>;
}

/** What a job does now, and what a person should know of it. */
export function State({ job, now, format }: { job: Job; now: number; format: Format }) {
  const t = format.t;
  const failed = job.last?.outcome === "failed";
  const held = job.active.find((run) => run.outcome === "waiting" && run.attempt === 0)?.message ?? ""; // why nobody has started it
  const said = job.paused?.reason || held || (failed ? job.last?.message : "") || "";
  return (
    <>
      <span class="outcome"><Dot state={job.state} />{word(format, "state", job.state)}
        {job.running + job.waiting > 1 && <span class="many"> {t("jobs.many", { running: format.number(job.running), waiting: format.number(job.waiting) })}</span>}
        {job.paused && job.state !== "paused" && <span class="many"> {word(format, "state", "paused")}</span>}
        {failed && job.state !== "failed" && <span class="many bad"> {t("jobs.lastFailed")}</span>}
      </span>
      <small class={(failed || held) && !job.paused ? "bad" : ""} lang={(failed || held) && !job.paused ? "en" : undefined} title={said}>
        {job.silent_since ? <b>{t("jobs.silent", { age: format.age((now - Date.parse(job.silent_since)) / 1000) })} </b> : null}{said}
      </small>
    </>
  );
}

const width = 120;
const height = 30;
const slots = 20;

/** How long the newest runs took, and how they ended; for the eye: the job's page says the same in full. */
export function Bars({ runs, format }: { runs: Brief[]; format: Format }) {
  const t = format.t;
  const high = heights(runs.map((r) => r.seconds));
  const bad = runs.filter((r) => r.outcome === "failed").length;
  const step = width / slots;
  return (
    <svg class="bars" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={t("jobs.bars", { n: format.number(runs.length), failed: format.number(bad) })}>
      <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} class="bars-ground" />
      {runs.map((r, i) => {
        const h = (high[i]! / 100) * (height - 4);
        return (
          <rect key={r.id} class={`run-${r.outcome}`} x={(slots - runs.length + i) * step + 0.5} width={step - 1.5} y={height - 1 - h} height={h}>
            <title>{`${format.time(new Date(r.due))} · ${word(format, "state", r.outcome)} · ${duration(format, r.seconds)}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}

/** The same, larger, with its scale. The table of runs below says it in full, and is what keys lead to. */
export function Durations({ runs, open, format }: { runs: Brief[]; open: (run: string) => void; format: Format }) {
  const t = format.t;
  const high = heights(runs.map((r) => r.seconds));
  const longest = Math.max(0, ...runs.map((r) => r.seconds));
  return (
    <figure class="durations" aria-hidden="true">
      <figcaption>{t("jobs.recent")}{longest > 0 && <span>{t("jobs.longest", { duration: duration(format, longest) })}</span>}</figcaption>
      <div class="durations-bars">
        {Array.from({ length: Math.max(0, slots - runs.length) }, (_, i) => <span key={`none ${i}`} />)}
        {runs.map((r, i) => (
          <span key={r.id} title={`${format.time(new Date(r.due))} · ${word(format, "state", r.outcome)} · ${duration(format, r.seconds)}`} onClick={() => open(r.id)}>
            <i class={`run-${r.outcome}`} style={{ height: `${high[i]}%` }} />
          </span>
        ))}
      </div>
    </figure>
  );
}
