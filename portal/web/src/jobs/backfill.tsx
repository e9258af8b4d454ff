import { useEffect, useRef, useState } from "preact/hooks";
import { change, Failure } from "../api";
import type { Format } from "../logic/format";
import { sentence } from "../parts/states";
import { backfillsURL, door, type Backfill, type Job, type Only, type Order, type Plan } from "./api";
import { OutcomeWord } from "./bits";
import { Confirm } from "./dialogs";
import type { Act } from "./job";
import { word } from "./words";

interface BackfillPanelProps {
  job: Job;
  act: Act;
  busy: boolean;
  close: () => void;
  format: Format;
}

const onlys: readonly Only[] = ["none", "failed", "completed"];

/** Asks for which due times a job is to be run, shows what that would do, and does it. */
export function BackfillPanel({ job, act, busy, close, format }: BackfillPanelProps) {
  const t = format.t;
  const [order, setOrder] = useState<Order>({ from: "", to: "", most: 1 });
  const [plan, setPlan] = useState<Plan | null>(null);
  const [planning, setPlanning] = useState(false);
  const [wrong, setWrong] = useState("");
  const first = useRef<HTMLInputElement>(null);
  const planTitle = useRef<HTMLHeadingElement>(null);
  useEffect(() => first.current?.focus(), []);
  useEffect(() => planTitle.current?.focus(), [plan]);
  const write = (change: Partial<Order>) => {
    setOrder((old) => ({ ...old, ...change }));
    setPlan(null); // it was for something else
    setWrong("");
  };
  const body = (): Order => ({ from: order.from, ...(order.to ? { to: order.to } : {}), ...(order.only ? { only: order.only } : {}), ...(order.reverse ? { reverse: true } : {}), most: order.most || 1 });
  const preview = async () => {
    if (planning) return;
    setPlanning(true);
    setWrong("");
    try {
      setPlan(await change<Plan>(door, "POST", `${backfillsURL(job.name)}/plan`, body()));
    } catch (error) {
      setWrong(sentence(error instanceof Failure ? error : new Failure(String(error)), format));
    }
    setPlanning(false);
  };
  const may = job.overlap === "allow";
  return (
    <section class="panel backfill" aria-labelledby="backfill-title">
      <div class="panel-head"><h2 id="backfill-title">{t("jobs.backfillTitle")}</h2><div class="panel-tools"><button type="button" class="quiet" onClick={close}>{t("keys.close")}</button></div></div>
      <p class="definition">{t("jobs.backfillWhat", { zone: job.time_zone })}</p>
      <form
        class="backfill-form"
        onSubmit={(e) => {
          e.preventDefault();
          void preview();
        }}
      >
        <label class="stacked"><span>{t("jobs.from")}</span><input ref={first} name="from" type="datetime-local" required value={order.from} onInput={(e) => write({ from: e.currentTarget.value })} /></label>
        <label class="stacked"><span>{t("jobs.to")}</span><input name="to" type="datetime-local" value={order.to ?? ""} aria-describedby="to-hint" onInput={(e) => write({ to: e.currentTarget.value })} /><small id="to-hint">{t("jobs.toHint")}</small></label>
        <label class="stacked">
          <span>{t("jobs.only")}</span>
          <select name="only" value={order.only ?? ""} onChange={(e) => write({ only: onlys.find((only) => only === e.currentTarget.value) })}>
            <option value="">{t("jobs.only.all")}</option>
            {onlys.map((only) => <option key={only} value={only}>{t(`jobs.only.${only}`)}</option>)}
          </select>
        </label>
        <label class="stacked">
          <span>{t("jobs.order")}</span>
          <select name="order" value={order.reverse ? "reverse" : "forward"} onChange={(e) => write({ reverse: e.currentTarget.value === "reverse" })}>
            <option value="forward">{t("jobs.forward")}</option>
            <option value="reverse">{t("jobs.reverse")}</option>
          </select>
        </label>
        <label class="stacked"><span>{t("jobs.most")}</span><input name="most" type="number" min={1} max={may ? 100 : 1} value={order.most} disabled={!may} aria-describedby="most-hint" onInput={(e) => write({ most: Number(e.currentTarget.value) })} />{!may && <small id="most-hint">{t("jobs.mostHint")}</small>}</label>
        <button type="submit" class={plan ? "quiet bordered" : "primary"} aria-disabled={planning}>{t(planning ? "jobs.planning" : "jobs.plan")}</button>
      </form>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {plan && (
        <div class="plan">
          <h3 ref={planTitle} tabIndex={-1}>{t("jobs.planTitle", { runs: format.number(plan.runs), total: format.number(plan.total) })}</h3>
          {plan.runs === 0 ? <p>{t("jobs.planNothing")}</p> : (
            <>
              <ol>{plan.first.slice(0, 6).map((due) => <li key={due}>{format.time(new Date(due))}</li>)}{plan.runs > 6 && <li class="absent">{t("jobs.planMore", { n: format.number(plan.runs - 6) })}</li>}</ol>
              <button type="button" class="primary" disabled={busy} onClick={() => void act(t("jobs.backfillStarted"), backfillsURL(job.name), { ...body(), from: plan.from, to: plan.to })}>{t("jobs.backfillStart", { runs: format.number(plan.runs) })}</button>
            </>
          )}
        </div>
      )}
    </section>
  );
}

interface BackfillsProps {
  job: Job;
  may: boolean;
  act: Act;
  busy: boolean;
  format: Format;
}

/** How far backfills are. */
export function Backfills({ job, may, act, busy, format }: BackfillsProps) {
  const t = format.t;
  const [cancelling, cancel] = useState<Backfill | null>(null);
  const change = (b: Backfill, what: "pause" | "resume" | "cancel") => act(t(`jobs.backfillDid.${what}`), `${backfillsURL(job.name)}/${b.id}/${what}`, {});
  return (
    <section class="panel" aria-labelledby="backfills-title">
      <div class="panel-head"><h2 id="backfills-title">{t("jobs.backfills")}</h2></div>
      <ul class="backfills">
        {[...job.backfills!].reverse().map((b) => (
          <li key={b.id} data-backfill={b.id}>
            <div class="backfill-line">
              <OutcomeWord outcome={b.outcome} format={format} />
              {b.paused && b.outcome === "running" && <b class="attention">{word(format, "state", "paused")}</b>}
              <span>{format.time(new Date(b.from))} – {format.time(new Date(b.to))}</span>
              <span class="absent">{[b.only && t(`jobs.only.${b.only}`), b.reverse && t("jobs.reverse"), b.most > 1 && t("jobs.atATime", { n: b.most })].filter(Boolean).join(" · ")}</span>
              {may && b.outcome === "running" && (
                <span class="backfill-tools">
                  <button type="button" class="quiet bordered" disabled={busy} onClick={() => void change(b, b.paused ? "resume" : "pause")}>{t(b.paused ? "jobs.resume" : "jobs.pause")}</button>
                  <button type="button" class="quiet bordered" disabled={busy} onClick={() => cancel(b)}>{t("jobs.cancel")}</button>
                </span>
              )}
            </div>
            <progress max={Math.max(1, b.total)} value={b.passed} aria-label={t("jobs.progress", { passed: format.number(b.passed), total: format.number(b.total) })} />
            <small>
              {t("jobs.progress", { passed: format.number(b.passed), total: format.number(b.total) })}
              {Object.entries(b.outcomes ?? {}).map(([outcome, n]) => <span key={outcome}> · {word(format, "state", outcome)} {format.number(n)}</span>)}
              {b.left > 0 && <> · {t("jobs.leftAlone", { n: format.number(b.left) })}</>}
            </small>
          </li>
        ))}
      </ul>
      {cancelling && (
        <Confirm title={t("jobs.backfillCancelTitle")} confirm={t("jobs.cancel")} busy={busy} wrong="" submit={() => void change(cancelling, "cancel").then(() => cancel(null))} close={() => cancel(null)} format={format}>
          <p>{t("jobs.backfillCancelWhat")}</p>
        </Confirm>
      )}
    </section>
  );
}
