import type { Failure } from "../api";
import type { Translate } from "../catalogue";
import type { Format } from "../logic/format";
import { useNow, type Pulse } from "../remote";

/** Why something could not be read, in the reader's language where the code is one of ours. */
export function reason(failure: Failure, t: Translate): string {
  if (failure.code === "unreachable") return t("load.unreachable");
  if (failure.code === "unavailable") return t("load.unavailable");
  if (failure.code === "refused") return t("load.refused", { detail: failure.detail });
  return failure.detail;
}

/** The portal's sentence on why something did not work, in the reader's language. */
export function sentence(failure: Failure, format: Format): string {
  if (failure.code === "unreachable") return format.t("load.unreachable");
  return (format.language === "en" ? failure.detail : failure.detailZh) || failure.detail;
}

export function ReadFailed({ title, failure, retry, format }: { title: string; failure: Failure; retry: () => void; format: Format }) {
  return (
    <section class="message" role="alert">
      <h2>{title}</h2>
      <p>{sentence(failure, format)}</p>
      <button type="button" class="primary" onClick={retry}>{format.t("load.retry")}</button>
    </section>
  );
}

/** The shape of the page before its figures are here. */
export function Loading({ t }: { t: Translate }) {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">{t("load.loading")}</span>
      <div class="cards" aria-hidden="true">
        {Array.from({ length: 5 }, (_, i) => (
          <div class="card" key={i}><div class="bone bone-label" /><div class="bone bone-value" /><div class="bone bone-line" /></div>
        ))}
      </div>
      <div class="panel" aria-hidden="true"><div class="bone bone-label" /><div class="bone bone-chart" /></div>
    </div>
  );
}

export function Failed({ failure, retry, t }: { failure: Failure; retry: () => void; t: Translate }) {
  return (
    <section class="message" role="alert">
      <h2>{t("load.failed")}</h2>
      <p>{reason(failure, t)}</p>
      <p class="message-aside">{t("load.retrying")}</p>
      <button type="button" class="primary" onClick={retry}>{t("load.retry")}</button>
    </section>
  );
}

export function Empty({ t }: { t: Translate }) {
  return (
    <section class="message">
      <h2>{t("load.empty")}</h2>
      <p>{t("load.emptyWhat")}</p>
      <dl class="commands">
        <div><dt>{t("load.emptyDemo")}</dt><dd><code>shire demo</code></dd></div>
        <div><dt>{t("load.emptyLoad")}</dt><dd><code>shire load</code></dd></div>
      </dl>
      <p class="message-aside" role="status">{t("load.emptyFlow")}</p>
    </section>
  );
}

const standstill = 300; // seconds that the oldest change may wait before the figures count as stale

/** Says that the figures are frozen, and since when. They stay where they are. */
export function Stale({ pulse, format, figures }: { pulse: Pulse; format: Format; figures: boolean }) {
  const now = useNow(10_000);
  const text = figures ? staleness(pulse, format, now) : null;
  return (
    <div role="status" class="stale-live">
      {text && <div class="stale"><span class="stale-sign" aria-hidden="true" /><p>{text}</p></div>}
    </div>
  );
}

function staleness({ flow, lost, seenAt }: Pulse, format: Format, now: number): string | null {
  const t = format.t;
  const say = (key: "load.staleUnreachable" | "load.staleUnknown" | "load.staleFlow", at: number) => t(key, { time: format.time(new Date(at)), ago: format.ago((now - at) / 1000) });
  if (lost && seenAt > 0) return say(lost === "portal" ? "load.staleUnreachable" : "load.staleUnknown", seenAt);
  if (!flow) return null;
  const stands = ["failed", "stopped", "paused"].includes(flow.state) || (flow.lag_rows > 0 && flow.oldest_unloaded_seconds > standstill);
  if (!stands) return null;
  return flow.last_load_at ? say("load.staleFlow", Date.parse(flow.last_load_at)) : t("load.staleFlowNever");
}
