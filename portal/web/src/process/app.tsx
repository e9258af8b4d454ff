import { useCallback, useEffect, useState } from "preact/hooks";
import type { County, Labels } from "../api";
import { useAppearance } from "../appearance";
import { preferred } from "../catalogue";
import { useCounty } from "../county";
import { PageHead } from "../figures/app";
import { valueName } from "../figures/words";
import type { Format } from "../logic/format";
import { ending, index, months, type Range } from "../logic/months";
import { periodLengths } from "../logic/state";
import { download, figure, words, type TableModel } from "../logic/table";
import { KnownOn, RestatedWords } from "../parts/known";
import { DataTable } from "../parts/panel";
import { Empty, Failed, Loading, reason, Stale } from "../parts/states";
import { useRemote } from "../remote";
import { processURL, type Process } from "./api";
import { Graph } from "./graph";
import { edgeCounts, format as formatState, parse, type ProcessState } from "./state";
import { activityName, short } from "./words";

type Choose = (change: Partial<ProcessState>) => void;

/** How cases go: the ways they take, what follows what, what is done again, and where the time goes. */
export function ProcessApp() {
  const [view, choose] = useProcessState();
  useAppearance(view.theme, "page");
  const language = view.lang ?? preferred(navigator.languages);
  const { pulse, county, labels, name, format, version, missing, failure, retry } = useCounty(language);
  const t = format.t;
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = `${name} · ${t("process.title")}`;
  }, [language, name, t]);
  const ready = !missing && county.data && labels.data && !county.data.empty ? { county: county.data, labels: labels.data } : null;
  return (
    <div class="plain process">
      <a class="skip" href="#main">{t("app.skip")}</a>
      <PageHead name={name} what={t("process.title")} subtitle={t("process.subtitle")} lang={view.lang} theme={view.theme} here="process" choose={choose} format={format} />
      <Stale pulse={pulse} format={format} figures={ready !== null} />
      <main id="main" tabIndex={-1}>
        {missing ? failure ? <Failed failure={failure} retry={retry} t={t} /> : <Loading t={t} /> : ready ? <Body {...ready} view={view} choose={choose} version={version} retry={retry} format={format} /> : <Empty t={t} />}
      </main>
      <footer class="foot">
        {county.data?.as_of && <span>{t("app.asOf", { time: format.time(new Date(county.data.as_of)) })}</span>}
        {county.data && <span>{t("app.version", { version: county.data.version })}</span>}
        <a href="/openapi.json">{t("app.api")}</a>
      </footer>
    </div>
  );
}

interface BodyProps {
  county: County;
  labels: Labels;
  view: ProcessState;
  choose: Choose;
  version: string;
  retry: () => void;
  format: Format;
}

function Body({ county, labels, view, choose, version, retry, format }: BodyProps) {
  const t = format.t;
  const period = ending(view.end && view.end <= county.last_month ? view.end : county.last_month, view.months);
  const answer = useRemote<Process>(processURL(view, period), version);
  const process = answer.data;
  const name = view.item ? valueName(format, labels, "item", view.item) : t("process.allItems");
  const file = (what: string) => [county.division, "process", what, view.item, period.from, period.to, view.known && `known_${view.known}`].filter(Boolean).join("_") + ".csv";
  return (
    <>
      <Choices county={county} labels={labels} view={view} choose={choose} period={period} format={format} />
      {answer.failure && (
        <div class="panel-failure process-failure" role="alert">
          <p>{t("load.panelFailed", { detail: reason(answer.failure, t) })}</p>
          <button type="button" class="quiet" onClick={retry}>{t("load.retry")}</button>
        </div>
      )}
      {!process && !answer.failure && <section class="panel" role="status"><span class="visually-hidden">{t("panel.loading")}</span><div class="bone bone-chart" /></section>}
      {process && (
        <div class={answer.pending ? "pending" : ""} aria-busy={answer.pending}>
          <Summary process={process} name={name} period={period} format={format} />
          {process.cases === 0 ? <section class="panel"><p class="definition">{t("process.empty")}</p></section> : (
            <>
              <section class="panel" aria-labelledby="graph-title">
                <div class="panel-head">
                  <h2 id="graph-title">{t("process.graph")}</h2>
                  <div class="segments" role="group" aria-label={t("process.measure")}>
                    {(["count", "time"] as const).map((m) => <button key={m} type="button" aria-pressed={view.measure === m} onClick={() => choose({ measure: m })}>{t(`process.by.${m}`)}</button>)}
                  </div>
                  <label class="field">
                    <span>{t("process.edges")}</span>
                    <select value={view.edges} onChange={(e) => choose({ edges: Number(e.currentTarget.value) })}>{edgeCounts.map((n) => <option key={n} value={n}>{n}</option>)}</select>
                  </label>
                  <div class="panel-legend"><span><i class="key key-current" />{t("process.forward")}</span><span><i class="key key-again" />{t("process.again")}</span></div>
                  <Tools asTable={view.table} toggle={() => choose({ table: !view.table })} file={file("graph")} table={followsTable(process, format)} format={format} />
                </div>
                {view.table ? <DataTable table={followsTable(process, format)} /> : <Graph process={process} measure={view.measure} most={view.edges} format={format} />}
                <p class="definition">{t("process.graphNote")}</p>
              </section>
              <Variants process={process} file={file("variants")} format={format} />
              <div class="pair process-pair">
                <Activities process={process} file={file("activities")} format={format} />
                <Rework process={process} file={file("rework")} format={format} />
              </div>
            </>
          )}
        </div>
      )}
    </>
  );
}

function Choices({ county, labels, view, choose, period, format }: Omit<BodyProps, "version" | "retry"> & { period: Range }) {
  const t = format.t;
  const ends = months({ from: county.first_month, to: county.last_month }).reverse();
  const pick = (dimension: "item" | "department" | "channel", all: string, list: { key: string; text: string }[]) => (
    <label class="field">
      <span>{t(`dim.${dimension}`)}</span>
      <select class="wide" value={view[dimension]} onChange={(e) => choose({ [dimension]: e.currentTarget.value })}>
        <option value="">{all}</option>
        {list.map((l) => <option key={l.key} value={l.key}>{l.text}</option>)}
        {view[dimension] && !list.some((l) => l.key === view[dimension]) && <option value={view[dimension]}>{view[dimension]}</option>}
      </select>
    </label>
  );
  const named = (dimension: string, keys: string[]) => keys.map((key) => ({ key, text: valueName(format, labels, dimension, key) }));
  return (
    <div class="controls">
      {pick("item", t("process.allItems"), named("item", labels.items.map((l) => l.key)))}
      {pick("department", t("process.allDepartments"), named("department", labels.departments.map((l) => l.key)))}
      {pick("channel", t("process.allChannels"), named("channel", ["window", "online", "mobile", "terminal"]))}
      <fieldset class="choice">
        <legend>{t("control.period")}</legend>
        <div class="segments">
          {periodLengths.map((n) => <button key={n} type="button" aria-pressed={view.months === n} onClick={() => choose({ months: n })}>{t("control.months", { n })}</button>)}
        </div>
        <label class="field">
          <span>{t("control.ending")}</span>
          <select value={period.to} onChange={(e) => choose({ end: index(e.currentTarget.value) === index(county.last_month) ? null : e.currentTarget.value })}>
            {ends.map((month) => <option key={month} value={month}>{format.month(month)}</option>)}
          </select>
        </label>
      </fieldset>
      <KnownOn day={view.known} last={county.as_of?.slice(0, 10)} format={format} choose={(known) => choose({ known })} />
    </div>
  );
}

function Summary({ process, name, period, format }: { process: Process; name: string; period: Range; format: Format }) {
  const t = format.t;
  const share = (n: number, of: number) => (of ? format.value(n / of, "share") : "–");
  return (
    <section class="panel process-summary" aria-labelledby="summary-title">
      <h2 id="summary-title">{name} <span class="aside">{format.range(period.from, period.to)}</span></h2>
      <dl class="process-facts">
        <div><dt>{t("process.cases")}</dt><dd>{format.number(process.cases)}</dd></div>
        <div><dt>{t("process.mean")}</dt><dd>{process.cases ? short(format, process.mean_seconds) : "–"}</dd></div>
        <div><dt>{t("process.variants")}</dt><dd>{format.number(process.variants)}</dd></div>
        <div><dt>{t("process.repeating")}</dt><dd>{share(process.repeating, process.cases)}<small>{t("process.extra", { n: format.number(process.extra_steps) })}</small></dd></div>
      </dl>
      {process.cases > 0 && <Split parts={process} format={format} legend />}
      {process.known && <p class="definition">{t("process.asKnown", { time: format.time(new Date(process.known)) })}</p>}
      {process.restated && <RestatedWords restated={process.restated} format={format} />}
    </section>
  );
}

/** Working, waiting, and what nobody can tell, as one bar. */
function Split({ parts, format, legend = false, most = 0 }: { parts: { working_seconds: number; waiting_seconds: number; untold_seconds: number }; format: Format; legend?: boolean; most?: number }) {
  const t = format.t;
  const list = (["working", "waiting", "untold"] as const).map((name) => ({ name, seconds: parts[`${name}_seconds`] }));
  const sum = list.reduce((total, p) => total + p.seconds, 0);
  const of = most || sum || 1;
  return (
    <div class="split">
      <div class="split-bar" aria-hidden="true">{list.map((p) => <span key={p.name} class={`split-${p.name}`} style={{ width: `${((p.seconds / of) * 100).toFixed(2)}%` }} />)}</div>
      {legend && <p class="split-legend">{list.map((p) => <span key={p.name}><i class={`split-key split-${p.name}`} />{t(`process.${p.name}`)} {sum ? format.value(p.seconds / sum, "share") : "–"}</span>)}</p>}
    </div>
  );
}

function Tools({ asTable, toggle, file, table, format }: { asTable?: boolean; toggle?: () => void; file: string; table: TableModel; format: Format }) {
  const t = format.t;
  return (
    <div class="panel-tools">
      {toggle && <button type="button" class="quiet" onClick={toggle}>{t(asTable ? "panel.chart" : "panel.table")}</button>}
      <button type="button" class="quiet" disabled={table.rows.length === 0} onClick={() => download(file, table)}>{t("panel.csv")}</button>
    </div>
  );
}

function Variants({ process, file, format }: { process: Process; file: string; format: Format }) {
  const t = format.t;
  const table: TableModel = {
    caption: t("process.ways"),
    head: [t("process.way"), t("process.cases"), t("process.share"), t("process.median"), t("process.extraHead")],
    units: ["", "", "share", "seconds", ""],
    rows: process.listed_variants.map((v) => [
      words(v.trace.map((a) => activityName(format, a)).join(" → ")), figure(format.number(v.cases), v.cases), figure(format.value(v.share, "share"), v.share),
      figure(short(format, v.median_seconds), v.median_seconds), figure(format.number(v.extra_steps), v.extra_steps),
    ]),
  };
  return (
    <section class="panel" aria-labelledby="ways-title">
      <div class="panel-head"><h2 id="ways-title">{t("process.ways")}</h2><div class="panel-legend"><span>{t("process.few")}</span></div><Tools file={file} table={table} format={format} /></div>
      {process.listed_variants.length === 0 ? <p class="definition">{t("process.none")}</p> : (
        <ol class="ways">
          {process.listed_variants.slice(0, 20).map((v) => (
            <li key={v.trace.join("\u0001")}>
              <p class="way-facts"><b>{format.value(v.share, "share")}</b> <span>{t("card.cases", { n: format.number(v.cases) })}</span> <span>{t("process.medianOf", { value: short(format, v.median_seconds) })}</span></p>
              <p class="way">
                {v.trace.map((a, i) => <span key={i}><span class={v.trace.indexOf(a) < i ? "act again" : "act"}>{activityName(format, a)}</span>{i + 1 < v.trace.length && <span class="act-next" aria-hidden="true">→</span>}</span>)}
              </p>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Activities({ process, file, format }: { process: Process; file: string; format: Format }) {
  const t = format.t;
  const sum = (a: Process["activities"][number]) => a.working_seconds + a.waiting_seconds + a.untold_seconds;
  const list = [...process.activities].sort((a, b) => sum(b) - sum(a));
  const most = Math.max(...list.map(sum), 1);
  const [all, setAll] = useState(false);
  const few = all || list.length <= 10 ? list : list.slice(0, 8);
  const table: TableModel = {
    caption: t("process.activities"),
    head: [t("process.activity"), t("process.steps"), t("process.cases"), t("process.working"), t("process.waiting"), t("process.untold")],
    units: ["", "", "", "seconds", "seconds", "seconds"],
    rows: list.map((a) => [
      words(activityName(format, a.activity)), figure(format.number(a.steps), a.steps), figure(format.number(a.cases), a.cases),
      figure("", a.working_seconds), figure("", a.waiting_seconds), figure("", a.untold_seconds),
    ]),
  };
  return (
    <section class="panel" aria-labelledby="activities-title">
      <div class="panel-head"><h2 id="activities-title">{t("process.activities")}</h2><Tools file={file} table={table} format={format} /></div>
      {list.length === 0 ? <p class="definition">{t("process.none")}</p> : (
        <ul class="activities">
          {few.map((a) => (
            <li key={a.activity}>
              <p><b>{activityName(format, a.activity)}</b> <span class="aside">{t("process.stepsOf", { n: format.number(a.steps) })}</span></p>
              <p class="activity-times">
                {(["working", "waiting", "untold"] as const).map((name) => a[`${name}_seconds`] > 0 && <span key={name}><i class={`split-key split-${name}`} />{t(`process.${name}`)} {short(format, a[`${name}_seconds`] / a.steps)}</span>)}
              </p>
              <Split parts={a} most={most} format={format} />
            </li>
          ))}
        </ul>
      )}
      {list.length > 10 && <button type="button" class="quiet" aria-expanded={all} onClick={() => setAll(!all)}>{all ? t("breakdown.less") : t("breakdown.more", { n: list.length })}</button>}
      <p class="definition">{t("process.activitiesNote")}</p>
    </section>
  );
}

function Rework({ process, file, format }: { process: Process; file: string; format: Format }) {
  const t = format.t;
  const table: TableModel = {
    caption: t("process.rework"),
    head: [t("process.activity"), t("process.cases"), t("process.extraHead"), t("process.directly")],
    units: ["", "", "", ""],
    rows: process.rework.map((r) => [words(activityName(format, r.activity)), figure(format.number(r.cases), r.cases), figure(format.number(r.extra_steps), r.extra_steps), figure(format.number(r.directly), r.directly)]),
  };
  return (
    <section class="panel" aria-labelledby="rework-title">
      <div class="panel-head"><h2 id="rework-title">{t("process.rework")}</h2><Tools file={file} table={table} format={format} /></div>
      {process.rework.length === 0 ? <p class="definition">{t("process.reworkNone")}</p> : <DataTable table={table} />}
    </section>
  );
}

function followsTable(process: Process, format: Format): TableModel {
  const t = format.t;
  return {
    caption: t("process.graph"),
    head: [t("process.from"), t("process.to"), t("process.times"), t("process.cases"), t("process.mean"), t("process.median"), t("process.waiting")],
    units: ["", "", "", "", "seconds", "seconds", "seconds"],
    rows: process.follows.map((f) => [
      words(activityName(format, f.from)), words(f.to === "" ? t("process.end") : activityName(format, f.to)), figure(format.number(f.count), f.count), figure(format.number(f.cases), f.cases),
      figure(short(format, f.mean_seconds), f.mean_seconds), figure(short(format, f.median_seconds), f.median_seconds), figure(short(format, f.waiting_seconds), f.waiting_seconds),
    ]),
  };
}

/** The choices in the address. Back and forward go through them. */
function useProcessState(): [ProcessState, Choose] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback<Choose>((change) => {
    const next = { ...parse(location.search), ...change };
    history.pushState(null, "", location.pathname + formatState(next));
    set(next);
  }, []);
  return [view, choose];
}
