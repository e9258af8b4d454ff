import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Format } from "../logic/format";
import { ReadFailed } from "../parts/states";
import { useBeat, useNow, useRemote } from "../remote";
import { filters, listURL, nextURL, perPage, recentURL, sorts, type Due, type Filter, type Job, type JobList, type Recent, type Sort } from "./api";
import type { Choose } from "./app";
import { Bars, State } from "./bits";
import { format as formatState, start, type JobsState } from "./state";
import { TimelinePanel } from "./timeline";
import { duration, schedule, seconds, until, word } from "./words";

const refreshEvery = 5_000;

interface ListPageProps {
  view: JobsState;
  choose: Choose;
  format: Format;
}

/** All jobs, page by page: as a list, or on a timeline; and what is due next. */
export function ListPage({ view, choose, format }: ListPageProps) {
  const t = format.t;
  const [beat, look] = useBeat(refreshEvery);
  const list = useRemote<JobList>(listURL(view), String(beat));
  const names = useMemo(() => (list.data?.items ?? []).map((job) => job.name), [list.data]);
  const key = names.join(" ");
  const recent = useRemote<Recent[]>(key && view.view === "list" ? recentURL(names) : null, String(beat));
  if (!list.data && list.failure) return <ReadFailed title={t("jobs.failed")} failure={list.failure} retry={look} format={format} />;
  if (list.data?.total === 0) return <NoJobs format={format} />;
  return (
    <>
      <Choices view={view} choose={choose} list={list.data} format={format} />
      <Stands failed={list.failure !== null} seen={list.data} format={format} />
      <div class={view.view === "list" ? "jobs-pair" : ""}>
        {view.view === "timeline" ? (
          <TimelinePanel names={list.data ? names : null} view={view} choose={choose} format={format} />
        ) : (
          <section class="panel jobs-list" aria-labelledby="jobs-list-title" aria-busy={!list.data}>
            <h2 id="jobs-list-title" class="visually-hidden">{t("jobs.list")}</h2>
            {!list.data ? <Bones format={format} /> : list.data.items.length === 0 ? <NoMatch choose={choose} format={format} /> : <JobTable jobs={list.data.items} recent={recent.data} view={view} choose={choose} format={format} />}
          </section>
        )}
        {view.view === "list" && <Coming beat={beat} view={view} choose={choose} format={format} />}
      </div>
      {list.data && <Pager page={view.page} of={list.data.matching} shown={names.length} choose={(page) => choose({ page })} format={format} />}
    </>
  );
}

function Choices({ view, choose, list, format }: ListPageProps & { list: JobList | null }) {
  const t = format.t;
  const [q, setQ] = useState(view.q);
  const typed = useRef(view.q);
  useEffect(() => {
    if (view.q !== typed.current) setQ(view.q); // by back or forward
    typed.current = view.q;
  }, [view.q]);
  useEffect(() => {
    if (q === typed.current) return;
    const timer = setTimeout(() => {
      typed.current = q;
      choose({ q, page: 1 }, true);
    }, 250);
    return () => clearTimeout(timer);
  }, [q, choose]);
  const count = (filter: Filter | "") => (list ? format.number(filter ? list.counts[filter] : list.total) : "–");
  return (
    <div class="controls jobs-controls">
      <div class="segments" role="group" aria-label={t("jobs.filter")}>
        {(["", ...filters] as const).map((filter) => (
          <button key={filter} type="button" aria-pressed={view.filter === filter} onClick={() => choose({ filter, page: 1 })}>
            {t(`jobs.filter.${filter || "all"}`)} <span class={`count${filter === "failed" && list?.counts.failed ? " count-bad" : ""}`}>{count(filter)}</span>
          </button>
        ))}
      </div>
      <label class="field">
        <span class="visually-hidden">{t("jobs.search")}</span>
        <input type="search" value={q} maxLength={64} placeholder={t("jobs.search")} onInput={(e) => setQ(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{t("jobs.sort")}</span>
        <select value={view.sort} onChange={(e) => choose({ sort: e.currentTarget.value as Sort, page: 1 })}>
          {sorts.map((sort) => <option key={sort} value={sort}>{t(`jobs.sort.${sort}`)}</option>)}
        </select>
      </label>
      <div class="segments" role="group" aria-label={t("jobs.view")}>
        {(["list", "timeline"] as const).map((name) => (
          <button key={name} type="button" aria-pressed={view.view === name} onClick={() => choose({ view: name })}>{t(`jobs.view.${name}`)}</button>
        ))}
      </div>
    </div>
  );
}

/** Says that what is shown stands still, and since when. */
export function Stands({ failed, seen, format }: { failed: boolean; seen: unknown; format: Format }) {
  const now = useNow(10_000);
  const seenAt = useMemo(() => Date.now(), [seen]);
  return (
    <div role="status" class="stale-live">
      {failed && seen !== null && <div class="stale"><span class="stale-sign" aria-hidden="true" /><p>{format.t("jobs.stale", { time: format.time(new Date(seenAt)), ago: format.ago((now - seenAt) / 1000) })}</p></div>}
    </div>
  );
}

interface JobTableProps {
  jobs: Job[];
  recent: Recent[] | null;
  view: JobsState;
  choose: Choose;
  format: Format;
}

function JobTable({ jobs, recent, view, choose, format }: JobTableProps) {
  const t = format.t;
  const now = useNow(5_000);
  const byName = useMemo(() => new Map((recent ?? []).map((r) => [r.job, r.runs])), [recent]);
  return (
    <table class="job-table">
      <thead>
        <tr>
          <th scope="col">{t("jobs.job")}</th><th scope="col">{t("jobs.state")}</th><th scope="col">{t("jobs.last")}</th>
          <th scope="col">{t("jobs.recent")}</th><th scope="col">{t("jobs.next")}</th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <tr key={job.name} data-job={job.name}>
            <th scope="row">
              <JobLink job={job.name} view={view} choose={choose} />
              <small title={[word(format, "kind", job.kind), job.source, job.owner].filter(Boolean).join(" · ")}>{[word(format, "kind", job.kind), job.source, job.owner].filter(Boolean).join(" · ")}</small>
            </th>
            <td class="job-state"><State job={job} now={now} format={format} /></td>
            <td class="job-last">
              {job.last ? (
                <>
                  <time dateTime={job.last.finished ?? job.last.due} title={format.time(new Date(job.last.finished ?? job.last.due))}>{format.ago((now - Date.parse(job.last.finished ?? job.last.due)) / 1000)}</time>
                  <small>{job.state !== job.last.outcome && <>{word(format, "state", job.last.outcome)} · </>}{seconds(job.last, now) === null ? "–" : duration(format, seconds(job.last, now)!)}{job.last.attempt > 1 && <> · {t("jobs.attempt", { n: job.last.attempt })}</>}</small>
                </>
              ) : <span class="absent">{t("jobs.never")}</span>}
            </td>
            <td class="job-recent"><Bars runs={byName.get(job.name) ?? []} format={format} /></td>
            <td class="job-next" data-label={t("jobs.next")}>
              {job.next ? <time dateTime={job.next} title={format.time(new Date(job.next))}>{until(format, job.next, now)}</time> : <span class="absent">–</span>}
              <small class={job.schedule ? "cron" : ""}>{schedule(format, job)}{job.schedule && job.days !== "any" && <> {word(format, "days", job.days)}</>}</small>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A link that changes the page without reading it anew; with a modifier it is the browser's. */
export function JobLink({ job, run = "", view, choose, children }: { job: string; run?: string; view: JobsState; choose: Choose; children?: preact.ComponentChildren }) {
  const to = { ...start, lang: view.lang, theme: view.theme, job, run };
  return (
    <a
      class="job-link"
      href={`/jobs${formatState(to)}`}
      onClick={(e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
        e.preventDefault();
        choose({ job, run, runs: 1, outcome: "" });
        scrollTo(0, 0);
      }}
    >
      {children ?? job}
    </a>
  );
}

/** What is due next, of all jobs. */
function Coming({ beat, view, choose, format }: { beat: number } & ListPageProps) {
  const t = format.t;
  const now = useNow(1_000);
  const coming = useRemote<Due[]>(nextURL("", 12), String(beat));
  return (
    <aside class="panel coming" aria-labelledby="coming-title">
      <h2 id="coming-title">{t("jobs.coming")}</h2>
      {coming.failure && !coming.data ? <p class="wrong">{t("jobs.failed")}</p> : !coming.data ? <Bones format={format} /> : coming.data.length === 0 ? <p class="definition">{t("jobs.comingNone")}</p> : (
        <ol>
          {coming.data.map((due) => (
            <li key={`${due.job} ${due.due}`} class={due.paused ? "passed" : ""}>
              <JobLink job={due.job} view={view} choose={choose} />
              <time dateTime={due.due} title={format.time(new Date(due.due))}>{until(format, due.due, now)}</time>
              {due.paused && <small>{word(format, "state", "paused")}</small>}
              {due.problem && <small class="attention" lang="en">{due.problem}</small>}
            </li>
          ))}
        </ol>
      )}
    </aside>
  );
}

interface PagerProps {
  page: number;
  of?: number; // entries in all, where that is known
  shown: number;
  more?: boolean; // there are more pages, where it is not known how many
  choose: (page: number) => void;
  format: Format;
}

export function Pager({ page, of, shown, more = false, choose, format }: PagerProps) {
  const t = format.t;
  const from = (page - 1) * perPage;
  const next = of === undefined ? more : from + shown < of;
  if (page === 1 && !next) return null;
  return (
    <nav class="pager" aria-label={t("jobs.pages")}>
      <button type="button" class="quiet bordered" disabled={page === 1} onClick={() => choose(page - 1)}>{t("jobs.previous")}</button>
      <span>{shown > 0 ? `${format.number(from + 1)}–${format.number(from + shown)}` : "–"}{of !== undefined && <> / {format.number(of)}</>}</span>
      <button type="button" class="quiet bordered" disabled={!next} onClick={() => choose(page + 1)}>{t("jobs.nextPage")}</button>
    </nav>
  );
}

function NoMatch({ choose, format }: { choose: Choose; format: Format }) {
  const t = format.t;
  return (
    <div class="case-none" role="status">
      <p>{t("jobs.noMatch")}</p>
      <button type="button" class="quiet bordered" onClick={() => choose({ filter: "", q: "", page: 1 })}>{t("jobs.showAll")}</button>
    </div>
  );
}

function NoJobs({ format }: { format: Format }) {
  const t = format.t;
  return (
    <section class="message">
      <h2>{t("jobs.none")}</h2>
      <p>{t("jobs.noneWhat")}</p>
      <pre class="example"><code>{example}</code></pre>
      <dl class="commands">
        <div><dt>{t("jobs.noneCheck")}</dt><dd><code>shire check</code></dd></div>
        <div><dt>{t("jobs.noneList")}</dt><dd><code>shire jobs list</code></dd></div>
      </dl>
    </section>
  );
}

const example = `jobs:
  - name: nightly-check
    schedule: "30 2 * * *"
    do: {calendar_check: {}}`;

export function Bones({ format }: { format: Format }) {
  return (
    <div role="status">
      <span class="visually-hidden">{format.t("review.reading")}</span>
      <div class="bones" aria-hidden="true">{Array.from({ length: 8 }, (_, i) => <div key={i}><div class="bone bone-line" /></div>)}</div>
    </div>
  );
}
