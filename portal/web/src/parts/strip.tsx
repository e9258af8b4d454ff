import { useState } from "preact/hooks";
import type { Flow } from "../api";
import { isKey } from "../catalogue";
import type { Format } from "../logic/format";
import { useNow, type Pulse } from "../remote";

const calm = new Set(["running"]);
const broken = new Set(["failed", "stopped"]);

/** What the node calls by a code, in the reader's language. */
function word(format: Format, code: string): string {
  const key = `flow.${code}`;
  return isKey(key) ? format.t(key) : code;
}

export function stateName(format: Format, state: string): string {
  const key = `flow.${state}`;
  return format.t(isKey(key) ? key : "flow.unknown");
}

function tone(state: string): string {
  return calm.has(state) ? "good" : broken.has(state) ? "bad" : "wait";
}

/** One line on the health of the flow; more on request. */
export function Strip({ pulse, format, compact }: { pulse: Pulse; format: Format; compact: boolean }) {
  const now = useNow(1_000);
  const [open, setOpen] = useState(false);
  const t = format.t;
  const { flow, lost } = pulse;
  const state = lost || !flow ? "unknown" : flow.state;
  const problem = flow && summary(flow, format);
  return (
    <section class="strip" aria-label={t("flow.title")}>
      <div class="strip-line">
        <span class="strip-state"><i class={`dot dot-${lost ? "wait" : tone(state)}`} />{t("flow.title")}<b>{stateName(format, state)}</b></span>
        {flow && (
          <dl class={lost ? "strip-facts faded" : "strip-facts"}>
            <div>
              <dt>{t("flow.lag")}</dt>
              <dd>{flow.lag_rows > 0 ? <>{t("flow.lagRows", { rows: format.number(flow.lag_rows) })}<small>{t("flow.oldest", { age: format.age(flow.oldest_unloaded_seconds) })}</small></> : t("flow.lagNone")}</dd>
            </div>
            <div>
              <dt>{t("flow.lastLoad")}</dt>
              <dd>{flow.last_load_at ? <time dateTime={flow.last_load_at} title={format.time(new Date(flow.last_load_at))}>{format.ago((now - Date.parse(flow.last_load_at)) / 1000)}</time> : t("flow.never")}<small>{t("flow.loaded", { rows: format.number(flow.loaded_rows) })}</small></dd>
            </div>
            <div>
              <dt>{t("flow.quarantined")}</dt>
              <dd class={flow.quarantined > 0 ? "attention" : ""}>{t("flow.rows", { rows: format.number(flow.quarantined) })}</dd>
            </div>
          </dl>
        )}
        {flow && !compact && (
          <button type="button" class="quiet strip-more" aria-expanded={open} aria-controls="flow-details" onClick={() => setOpen(!open)}>
            {t(open ? "flow.hide" : "flow.details")}
          </button>
        )}
      </div>
      {problem && !open && !compact && <p class="strip-problem">{problem}</p>}
      {flow && open && <Details flow={flow} format={format} now={now} />}
    </section>
  );
}

/** What needs somebody, in the reader's language; the sentences of the node itself, which are in English, are in the details. */
function summary(flow: Flow, format: Format): string | null {
  const t = format.t;
  const names = (list: { name: string }[]) => list.map((x) => x.name).join(format.language === "en" ? ", " : "、");
  const engines = flow.engines.filter((e) => !calm.has(e.state));
  const sources = flow.sources.filter((s) => s.problem);
  if (engines.length > 0) return t("flow.enginesNeed", { names: names(engines) });
  if (sources.length > 0) return t("flow.sourcesNeed", { names: names(sources) });
  if (flow.drift.length > 0) return t("flow.driftNeed", { names: names([...new Set(flow.drift.map((d) => d.dataset))].map((name) => ({ name }))) });
  return flow.problem ? t("flow.problemSee") : null;
}

function Details({ flow, format, now }: { flow: Flow; format: Format; now: number }) {
  const t = format.t;
  return (
    <div class="strip-details" id="flow-details">
      {flow.problem && <p class="strip-problem" lang="en">{flow.problem}</p>}
      <div>
        {flow.by_owner.length === 0 ? <p>{t("flow.noQuarantine")}</p> : (
          <table>
            <caption>{t("flow.byOwner")}</caption>
            <thead><tr><th scope="col">{t("flow.owner")}</th><th scope="col" class="num">{t("flow.rowsHead")}</th></tr></thead>
            <tbody>
              {flow.by_owner.map((o) => (
                <tr key={o.department + o.owner_zh}><th scope="row">{format.text({ zh: o.owner_zh, en: o.owner_en }) || o.department}</th><td class="num">{format.number(o.rows)}</td></tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      <div class="wide">
        {flow.sources.length === 0 ? <p>{t("flow.noSources")}</p> : (
          <table>
            <caption>{t("flow.sources")}</caption>
            <thead><tr><th scope="col">{t("flow.source")}</th><th scope="col">{t("flow.kind")}</th><th scope="col">{t("flow.state")}</th><th scope="col">{t("flow.lastChange")}</th><th scope="col">{t("flow.problem")}</th></tr></thead>
            <tbody>
              {flow.sources.map((s) => (
                <tr key={s.name}>
                  <th scope="row">{s.name}</th><td>{s.kind}</td><td><i class={`dot dot-${tone(s.state)}`} />{stateName(format, s.state)}</td>
                  <td>{s.last_change_at ? format.ago((now - Date.parse(s.last_change_at)) / 1000) : "–"}</td><td class="prose" lang="en">{s.problem ?? ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      {flow.drift.length > 0 && (
        <div class="wide">
          <table>
            <caption>{t("flow.drift")}</caption>
            <thead><tr><th scope="col">{t("flow.dataset")}</th><th scope="col">{t("flow.column")}</th><th scope="col">{t("flow.change")}</th><th scope="col">{t("flow.since")}</th><th scope="col">{t("flow.reaction")}</th><th scope="col">{t("flow.problem")}</th></tr></thead>
            <tbody>
              {flow.drift.map((d) => (
                <tr key={d.dataset + d.code + d.column}>
                  <th scope="row">{d.dataset}</th><td>{d.column}</td><td>{word(format, d.code)}</td><td>{format.time(new Date(d.since))}</td>
                  <td><i class={`dot dot-${d.reaction === "evolve" ? "good" : d.reaction === "freeze" ? "bad" : "wait"}`} />{word(format, d.reaction)}</td><td class="prose" lang="en">{d.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div>
        <table>
          <caption>{t("flow.engines")}</caption>
          <thead><tr><th scope="col">{t("flow.engine")}</th><th scope="col">{t("flow.state")}</th></tr></thead>
          <tbody>
            {flow.engines.map((e) => (
              <tr key={e.name}><th scope="row">{e.name}</th><td><i class={`dot dot-${tone(e.state)}`} />{stateName(format, e.state)}{e.problem && <small class="prose" lang="en">{e.problem}</small>}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
