import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Format } from "../logic/format";
import { jobURL, type Job, type Run } from "./api";
import type { Act } from "./job";
import { duration } from "./words";

interface ConfirmProps {
  title: string;
  confirm: string;
  busy: boolean;
  wrong: string;
  submit: () => void;
  close: () => void;
  children: ComponentChildren;
  format: Format;
}

/** Asks before something is done. The dialog keeps the focus inside, gives it back, and closes with Escape. */
export function Confirm({ title, confirm, busy, wrong, submit, close, children, format }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const shown = useRef(false);
  useEffect(() => {
    const d = dialog.current;
    const before = document.activeElement;
    if (d && !d.open) d.showModal();
    shown.current = true;
    return () => {
      shown.current = false; // the browser tells of the close later, when another may be open
      d?.close();
      if (before instanceof HTMLElement && (document.activeElement === document.body || d?.contains(document.activeElement))) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class="keys confirm"
      aria-labelledby="confirm-title"
      onCancel={(e) => {
        e.preventDefault(); // Escape: what is asked for goes, and the dialog with it
        close();
      }}
      onClose={() => shown.current && close()}
    >
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!busy) submit();
        }}
      >
        <h2 id="confirm-title">{title}</h2>
        {children}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <div class="confirm-end">
          <button type="submit" class="primary" aria-disabled={busy}>{confirm}</button>
          <button type="button" class="quiet bordered" onClick={close}>{format.t("jobs.leave")}</button>
        </div>
      </form>
    </dialog>
  );
}

interface DialogProps {
  job: Job;
  act: Act;
  busy: boolean;
  wrong: string;
  close: () => void;
  format: Format;
}

export function TriggerDialog({ job, act, opened, busy, wrong, close, format }: DialogProps & { opened: (run: Run) => void }) {
  const t = format.t;
  const [given, give] = useState<Record<string, string>>({});
  const write = (name: string, value: string) => give((old) => ({ ...old, [name]: value }));
  const own = Object.entries(job.parameters ?? {});
  const submit = () => {
    const changed = Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== (job.parameters ?? {})[name]));
    void act(t("jobs.triggered"), `${jobURL(job.name)}/run`, { parameters: changed }, (run) => opened(run as Run));
  };
  return (
    <Confirm title={t("jobs.runTitle", { name: job.name })} confirm={t("jobs.run")} busy={busy} wrong={wrong} submit={submit} close={close} format={format}>
      <p>{t("jobs.runWhat")} {job.paused && t("jobs.runPaused")}</p>
      {own.map(([name, value]) => (
        <label class="stacked" key={name}>
          <code>{name}</code>
          <input name={`parameter-${name}`} value={given[name] ?? value} maxLength={1000} onInput={(e) => write(name, e.currentTarget.value)} />
        </label>
      ))}
      {own.length > 0 && <p class="definition">{t("jobs.runParameters")}</p>}
    </Confirm>
  );
}

export function PauseDialog({ job, act, busy, wrong, close, format }: DialogProps) {
  const t = format.t;
  const [reason, setReason] = useState("");
  return (
    <Confirm title={t("jobs.pauseTitle", { name: job.name })} confirm={t("jobs.pause")} busy={busy} wrong={wrong} submit={() => void act(t("jobs.pausedNow"), `${jobURL(job.name)}/pause`, { reason })} close={close} format={format}>
      <p>{t("jobs.pauseWhat")} {t(`jobs.pauseMissed.${job.missed === "skip" || job.missed === "all" ? job.missed : "once"}`)}</p>
      <label class="stacked">
        <span>{t("jobs.reason")}</span>
        <input name="reason" value={reason} maxLength={200} onInput={(e) => setReason(e.currentTarget.value)} aria-describedby="reason-hint" />
        <small id="reason-hint">{t("jobs.reasonHint")}</small>
      </label>
    </Confirm>
  );
}

/** Asks before a run that goes on is stopped. */
export function CancelDialog({ run, act, seconds, url, busy, wrong, close, format }: { run: Run; act: Act; seconds: number; url: string; busy: boolean; wrong: string; close: () => void; format: Format }) {
  const t = format.t;
  return (
    <Confirm title={t("jobs.cancelTitle")} confirm={t("jobs.cancel")} busy={busy} wrong={wrong} submit={() => void act(t("jobs.cancelled"), url, {}).then((done) => done && close())} close={close} format={format}>
      <p>{t(run.outcome === "running" ? "jobs.cancelRunning" : "jobs.cancelWaiting", { name: run.job, time: format.time(new Date(run.due)), duration: duration(format, seconds) })}</p>
    </Confirm>
  );
}
