import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { change, Failure } from "../api";
import type { Format } from "../logic/format";
import { ReadFailed, sentence } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useBeat, useNow, useRemote } from "../remote";
import type { SignedIn } from "../session";
import { door, jobURL, nextURL, recentURL, runURL, type Due, type Job, type Recent, type Run } from "./api";
import type { Choose } from "./app";
import { BackfillPanel, Backfills } from "./backfill";
import { Durations, OutcomeWord, State } from "./bits";
import { PauseDialog, TriggerDialog } from "./dialogs";
import { Bones, JobLink, Stands } from "./list";
import { RunPanel } from "./run";
import { RunTable } from "./runs";
import { start, type JobsState } from "./state";
import { duration, schedule, seconds, until, word } from "./words";

const refreshEvery = 2_000;

interface JobPageProps {
  view: JobsState;
  choose: Choose;
  who: SignedIn;
  format: Format;
}

/** What an operator does: it answers, is said, and the page is read anew. */
export type Act = (what: string, url: string, body: unknown, done?: (answer: unknown) => void) => Promise<boolean>;

/** One job: how it stands, when it is due, its runs, and what operators do with it. */
export function JobPage({ view, choose, who, format }: JobPageProps) {
  const t = format.t;
  const [beat, look] = useBeat(refreshEvery);
  const signedIn = who.session?.name ?? "";
  const version = `${beat} ${signedIn}`;
  const remote = useRemote<Job>(jobURL(view.job), version);
  const recent = useRemote<Recent[]>(recentURL([view.job]), version);
  const next = useRemote<Due[]>(nextURL(view.job, 10), version);
  const [open, setOpen] = useState<"" | "run" | "pause" | "backfill" | "signin">("");
  const [said, say] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const now = useNow(1_000);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus({ preventScroll: true }), [remote.data === null]);

  const act = useCallback<Act>(
    async (what, url, body, done) => {
      setBusy(true);
      setWrong("");
      try {
        const answer = await change<unknown>(door, "POST", url, body);
        say(what);
        setOpen("");
        done?.(answer);
        look();
        return true;
      } catch (error) {
        const failure = error instanceof Failure ? error : new Failure(String(error));
        if (failure.code === "signed_out") {
          who.expire();
          setOpen("signin");
        }
        setWrong(sentence(failure, format));
        return false;
      } finally {
        setBusy(false);
      }
    },
    [format, look, who.expire],
  );
  const back = () => choose({ ...start, lang: view.lang, theme: view.theme, view: view.view, hours: view.hours, filter: view.filter, q: view.q, sort: view.sort, page: view.page });

  if (!remote.data && remote.failure) {
    if (remote.failure.code === "unknown_job") return <Gone back={back} name={view.job} format={format} />;
    return <ReadFailed title={t("jobs.failed")} failure={remote.failure} retry={look} format={format} />;
  }
  const job = remote.data;
  const may = who.session !== null;
  const ask = (what: typeof open) => {
    setWrong("");
    say("");
    setOpen(may ? what : "signin");
  };
  return (
    <article class="job" aria-labelledby="job-title">
      <nav class="trail"><button type="button" class="quiet" onClick={back}>← {t("jobs.back")}</button></nav>
      <header class="job-head">
        <h2 id="job-title" ref={title} tabIndex={-1}>{view.job}</h2>
        <div class="job-now">{job && <State job={job} now={now} format={format} />}</div>
        <div class="job-actions">
          <button type="button" class="primary" disabled={!job} onClick={() => ask("run")}>{t("jobs.run")}</button>
          <button type="button" class="quiet bordered" disabled={!job} onClick={() => (job?.paused && may ? void act(t("jobs.resumed"), `${jobURL(view.job)}/resume`, {}) : ask("pause"))}>{t(job?.paused ? "jobs.resume" : "jobs.pause")}</button>
          <button type="button" class="quiet bordered" disabled={!job || !timed(job)} title={job && !timed(job) ? t("jobs.backfillNone") : undefined} aria-expanded={open === "backfill"} onClick={() => (open === "backfill" ? setOpen("") : ask("backfill"))}>{t("jobs.backfill")}</button>
        </div>
      </header>
      <Stands failed={remote.failure !== null} seen={remote.data} format={format} />
      <p class="said job-said" role="status">{said}</p>
      {wrong && open !== "run" && open !== "pause" && <p class="wrong" role="alert">{wrong}</p>}
      {open === "signin" && !may && <SignInHere who={who} close={() => setOpen("")} format={format} />}
      {open === "backfill" && may && job && <BackfillPanel job={job} act={act} busy={busy} close={() => setOpen("")} format={format} />}
      {open === "run" && job && <TriggerDialog job={job} act={act} opened={(run) => choose({ run: run.id })} busy={busy} wrong={wrong} close={() => setOpen("")} format={format} />}
      {open === "pause" && job && !job.paused && <PauseDialog job={job} act={act} busy={busy} wrong={wrong} close={() => setOpen("")} format={format} />}
      {!job ? <div class="panel"><Bones format={format} /></div> : (
        <>
          <div class="job-pair">
            <Facts job={job} recent={recent.data?.[0]} view={view} choose={choose} now={now} format={format} />
            <NextTimes job={job} next={next.data} now={now} format={format} />
          </div>
          {job.active.length > 0 && <Active job={job} may={may} act={act} busy={busy} choose={choose} now={now} format={format} />}
          {(job.backfills?.length ?? 0) > 0 && <Backfills job={job} may={may} act={act} busy={busy} format={format} />}
          {view.run && <RunPanel key={view.run} id={view.run} may={may} who={who} act={act} busy={busy} signIn={() => setOpen("signin")} close={() => choose({ run: "" })} beat={version} format={format} />}
          <RunTable view={view} choose={choose} beat={version} format={format} />
        </>
      )}
    </article>
  );
}

const timed = (job: Job) => Boolean(job.schedule || job.every || job.after?.length);

function SignInHere({ who, close, format }: { who: SignedIn; close: () => void; format: Format }) {
  const t = format.t;
  if (who.state === "failed") return <ReadFailed title={t("load.failed")} failure={who.failure!} retry={who.retry} format={format} />;
  return (
    <div class="panel signin-here">
      <button type="button" class="quiet close" aria-label={t("keys.close")} onClick={close}>×</button>
      <SignIn
        door={door}
        what={t("jobs.signinWhat")}
        ended={who.ended ? t("jobs.signinEnded") : ""}
        how={t("jobs.signinHow")}
        command="shire jobs operators add NAME"
        enter={(session) => {
          who.enter(session);
          close();
        }}
        format={format}
      />
    </div>
  );
}

function Facts({ job, recent, view, choose, now, format }: { job: Job; recent: Recent | undefined; view: JobsState; choose: Choose; now: number; format: Format }) {
  const t = format.t;
  const fact = (label: string, value: preact.ComponentChildren) => <div><dt>{label}</dt><dd>{value}</dd></div>;
  return (
    <section class="panel facts" aria-labelledby="facts-title">
      <div class="panel-head"><h2 id="facts-title">{t("jobs.facts")}</h2></div>
      {job.paused && <p class="strip-problem">{t("jobs.pausedSince", { time: format.time(new Date(job.paused.at)) })}{job.paused.reason && <> <q>{job.paused.reason}</q></>}</p>}
      {job.silent_since && <p class="strip-problem">{t("jobs.silent", { age: format.age((now - Date.parse(job.silent_since)) / 1000) })}</p>}
      <dl>
        {fact(t("jobs.kindOf"), <>{word(format, "kind", job.kind)}{job.source && <> · {job.source}</>}</>)}
        {job.owner && fact(t("jobs.owner"), job.owner)}
        {fact(t("jobs.schedule"), job.after?.length ? <>{t("jobs.after", { names: "" })} {job.after.map((name) => <JobLink key={name} job={name} view={view} choose={choose} />)}</> : <span class={job.schedule ? "cron" : ""}>{schedule(format, job)}</span>)}
        {timed(job) && fact(t("jobs.days"), <>{word(format, "days", job.days)} <span class="absent">{job.time_zone}</span></>)}
        {timed(job) && fact(t("jobs.missed"), word(format, "missed", job.missed))}
        {fact(t("jobs.overlap"), word(format, "overlap", job.overlap))}
        {fact(t("jobs.lastOK"), job.last_ok ? <time dateTime={job.last_ok} title={format.time(new Date(job.last_ok))}>{format.ago((now - Date.parse(job.last_ok)) / 1000)}</time> : t("jobs.never"))}
        {job.last && fact(t("jobs.last"), <><OutcomeWord outcome={job.last.outcome} format={format} />{seconds(job.last, now) !== null && <> · {duration(format, seconds(job.last, now)!)}</>}</>)}
        {job.parameters && Object.keys(job.parameters).length > 0 && fact(t("jobs.parameters"), <ul class="parameters">{Object.entries(job.parameters).map(([name, value]) => <li key={name}><code>{name}</code> {value}</li>)}</ul>)}
      </dl>
      <Durations runs={recent?.runs ?? []} open={(run) => choose({ run })} format={format} />
    </section>
  );
}

function NextTimes({ job, next, now, format }: { job: Job; next: Due[] | null; now: number; format: Format }) {
  const t = format.t;
  return (
    <section class="panel coming" aria-labelledby="next-title">
      <div class="panel-head"><h2 id="next-title">{t("jobs.nextTimes")}</h2></div>
      {job.paused && next && next.length > 0 && <p class="strip-problem">{t("jobs.pausedNext")}</p>}
      {!next ? <Bones format={format} /> : next.length === 0 ? <p class="definition">{t("jobs.nextNone")}</p> : (
        <ol class={job.paused ? "passed" : ""}>
          {next.map((due) => (
            <li key={due.due}>
              <time dateTime={due.due}>{format.time(new Date(due.due))}</time>
              <span class="absent">{until(format, due.due, now)}</span>
              {due.problem && <small class="attention" lang="en">{due.problem}</small>}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

interface ActiveProps {
  job: Job;
  may: boolean;
  act: Act;
  busy: boolean;
  choose: Choose;
  now: number;
  format: Format;
}

function Active({ job, may, act, busy, choose, now, format }: ActiveProps) {
  const t = format.t;
  const total = job.running + job.waiting;
  const cancel = (run: Run) => void act(t("jobs.cancelled"), `${runURL(run.id)}/cancel`, {});
  return (
    <section class="panel" aria-labelledby="active-title">
      <div class="panel-head"><h2 id="active-title">{t("jobs.active")}</h2>{total > job.active.length && <span class="panel-legend">{t("jobs.activeShown", { n: format.number(job.active.length), total: format.number(total) })}</span>}</div>
      <ul class="active">
        {job.active.map((run) => (
          <li key={run.id} data-run={run.id}>
            <OutcomeWord outcome={run.outcome} format={format} />
            <button type="button" class="link" onClick={() => choose({ run: run.id })}>{format.time(new Date(run.due))}</button>
            <span class="active-what">
              {word(format, "cause", run.cause)} · {run.outcome === "running" ? duration(format, seconds(run, now) ?? 0) : run.not_before ? t("jobs.again", { when: until(format, run.not_before, now) }) : t("jobs.turn")}
              {run.attempt > 1 && <> · {t("jobs.attempt", { n: run.attempt })}</>}
              {run.message && <small lang="en">{run.message}</small>}
            </span>
            {may && <button type="button" class="quiet bordered" disabled={busy || run.cancelling} onClick={() => cancel(run)}>{t(run.cancelling ? "jobs.cancelling" : "jobs.cancel")}</button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Gone({ back, name, format }: { back: () => void; name: string; format: Format }) {
  const t = format.t;
  return (
    <section class="message">
      <h2>{t("jobs.gone", { name })}</h2>
      <p>{t("jobs.goneWhat")}</p>
      <button type="button" class="primary" onClick={back}>{t("jobs.back")}</button>
    </section>
  );
}
