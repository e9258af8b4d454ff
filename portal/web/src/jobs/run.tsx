import { useEffect, useRef, useState } from "preact/hooks";
import type { Format } from "../logic/format";
import { ReadFailed } from "../parts/states";
import { useNow, useRemote } from "../remote";
import type { SignedIn } from "../session";
import { isOver, runURL, type Run } from "./api";
import { OutcomeWord } from "./bits";
import { CancelDialog } from "./dialogs";
import type { Act } from "./job";
import { Bones } from "./list";
import { LogView } from "./log";
import { duration, seconds, until, word } from "./words";

interface RunPanelProps {
  id: string;
  may: boolean;
  who: SignedIn;
  act: Act;
  busy: boolean;
  signIn: () => void;
  close: () => void;
  beat: string;
  format: Format;
}

/** One run: what it was about, how it stands, and what it printed. */
export function RunPanel({ id, may, who, act, busy, signIn, close, beat, format }: RunPanelProps) {
  const t = format.t;
  const now = useNow(1_000);
  const remote = useRemote<Run>(runURL(id), beat);
  const [asking, ask] = useState(false);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    title.current?.focus({ preventScroll: true });
    title.current?.scrollIntoView({ block: "nearest" });
  }, []);
  const run = remote.data;
  return (
    <section class="panel run" aria-labelledby="run-title">
      <div class="panel-head">
        <h2 id="run-title" ref={title} tabIndex={-1}>{t("jobs.runOf", { time: run ? format.time(new Date(run.due)) : id.slice(id.indexOf("@") + 1) })}</h2>
        {run && <OutcomeWord outcome={run.outcome} format={format} />}
        <div class="panel-tools">
          {may && run && !isOver(run.outcome) && <button type="button" class="quiet bordered" disabled={busy || run.cancelling} onClick={() => ask(true)}>{t(run.cancelling ? "jobs.cancelling" : "jobs.cancel")}</button>}
          {may && run && isOver(run.outcome) && run.outcome !== "ok" && <button type="button" class="quiet bordered" disabled={busy} onClick={() => void act(t("jobs.retried"), `${runURL(id)}/retry`, {})}>{t("jobs.retry")}</button>}
          <button type="button" class="quiet" onClick={close}>{t("keys.close")}</button>
        </div>
      </div>
      {asking && run && !isOver(run.outcome) && <CancelDialog run={run} act={act} seconds={seconds(run, now) ?? 0} url={`${runURL(id)}/cancel`} busy={busy} wrong="" close={() => ask(false)} format={format} />}
      {!run ? remote.failure ? <ReadFailed title={t("jobs.runGone")} failure={remote.failure} retry={close} format={format} /> : <Bones format={format} /> : <RunFacts run={run} now={now} format={format} />}
      {run && (may ? <LogView run={run} expire={who.expire} format={format} /> : (
        <div class="case-none log-closed">
          <p>{t("jobs.logClosed")}</p>
          <button type="button" class="quiet bordered" onClick={signIn}>{t("signin.submit")}</button>
        </div>
      ))}
    </section>
  );
}

function RunFacts({ run, now, format }: { run: Run; now: number; format: Format }) {
  const t = format.t;
  const took = seconds(run, now);
  const fact = (label: string, value: preact.ComponentChildren) => <div><dt>{label}</dt><dd>{value}</dd></div>;
  return (
    <>
      {run.message && <p class={run.outcome === "failed" ? "wrong" : "run-message"} lang="en">{run.message}</p>}
      <dl class="run-facts">
        {fact(t("jobs.cause"), word(format, "cause", run.cause))}
        {run.attempt > 0 && fact(t("jobs.attempts"), format.number(run.attempt))}
        {run.started && fact(t("jobs.started"), format.time(new Date(run.started)))}
        {took !== null && fact(t("jobs.took"), duration(format, took))}
        {run.not_before && run.outcome === "waiting" && fact(t("jobs.againAt"), until(format, run.not_before, now))}
        {run.from < run.to && fact(t("jobs.interval"), `${format.time(new Date(run.from))} – ${format.time(new Date(run.to))}`)}
        {run.counts && Object.entries(run.counts).map(([name, n]) => fact(name, format.number(n)))}
        {run.parameters && Object.entries(run.parameters).map(([name, value]) => fact(name, value))}
      </dl>
    </>
  );
}
