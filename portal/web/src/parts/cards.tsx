import { metricURL, type Definition, type Result, type Row } from "../api";
import { usePage, type Page } from "../context";
import { compare, shown } from "../logic/compare";
import { series, windowOf } from "../logic/series";
import { useRemote, type Remote } from "../remote";
import { reason } from "./states";
import { Spark } from "../charts/spark";

/** The metrics of the overview, in this order; those that this node does not define are left out. */
export const overview = ["citizen_time", "legal_time", "on_time_rate", "repeat_rate", "satisfaction_rate"];

export function Cards() {
  const { definitions, format } = usePage();
  return (
    <section aria-label={format.t("card.title")}>
      <div class="cards">
        {overview.map((name) => definitions.find((d) => d.name === name)).map((d) => d && <Card key={d.name} definition={d} />)}
      </div>
      <p class="note">{format.t("card.note")}</p>
    </section>
  );
}

function filters(page: Page) {
  return { department: page.view.department, item: page.view.item };
}

function Card({ definition }: { definition: Definition }) {
  const page = usePage();
  const { view, choose, period, baseline, format, version } = page;
  const t = format.t;
  const ask = (metric: string, range: { from: string; to: string }) => metricURL({ metric, ...range, ...filters(page) });
  const now = useRemote<Result>(ask(definition.name, period), version);
  const before = useRemote<Result>(ask(definition.name, baseline), version);
  const window = windowOf(period, page.offset);
  const byMonth = useRemote<Result>(metricURL({ metric: definition.name, by: "month", ...window.read, ...filters(page) }), version);
  const beside = definition.beside ? page.definitions.find((d) => d.name === definition.beside) : undefined;
  const besideNow = useRemote<Result>(beside ? ask(beside.name, period) : null, version);

  const row = now.data?.rows[0];
  const chosen = view.metric === definition.name;
  return (
    <article class={chosen ? "card chosen" : "card"} aria-busy={now.pending}>
      <h2 class="card-name">
        <button type="button" aria-pressed={chosen} title={format.text(definition.description)} aria-label={t("card.choose", { name: format.text(definition.label) })} onClick={() => choose({ metric: definition.name })}>
          {format.text(definition.label)}
        </button>
      </h2>
      {now.data ? <Value definition={definition} row={row} /> : <Waiting remote={now} />}
      {now.data && <Change definition={definition} now={row} before={before.data?.rows[0]} waiting={!before.data && before.pending} />}
      <div class="card-spark">
        {byMonth.data && <Spark points={series(byMonth.data, window.shown, page.offset)} />}
      </div>
      {row && (
        <p class="card-facts">
          {row.numerator !== undefined && row.denominator !== undefined && row.state === "ok"
            ? t("card.of", { n: format.number(row.numerator), total: format.number(row.denominator) })
            : t("card.cases", { n: format.number(row.count) })}
          {row.open ? <span>{t("card.open", { n: format.number(row.open) })}</span> : null}
          {row.p90 !== undefined && row.p90 !== null && row.state === "ok" && <span>{t("card.p90", { value: format.value(row.p90, definition.unit) })}</span>}
          {beside && besideNow.data && <span class="card-beside">{t("card.beside", { name: format.text(beside.label), value: format.row(besideNow.data.rows[0], beside.unit) })}</span>}
          {format.warnings(row).map((warning) => <strong class="card-warning" key={warning}>{warning}</strong>)}
        </p>
      )}
    </article>
  );
}

function Value({ definition, row }: { definition: Definition; row: Row | undefined }) {
  const { format } = usePage();
  const t = format.t;
  const value = shown(row);
  if (value === null) {
    const state = row && row.state !== "ok" ? row.state : "empty";
    return <p class="card-words">{t(`state.${state}`)}<small>{t(`why.${state}`, { n: definition.minimum_cell })}</small></p>;
  }
  const { amount, key } = format.parts(value, definition.unit);
  // The unit is set smaller, wherever the language puts it.
  const [lead = "", tail = ""] = key ? t(key, { n: "\u0000" }).split("\u0000") : [];
  return (
    <p class="card-value">
      {lead && <span class="unit">{lead}</span>}{amount}{tail && <span class="unit">{tail.trim()}</span>}
      {definition.kind === "survival" && <span class="card-measure">{t("card.median")}</span>}
    </p>
  );
}

function Change({ definition, now, before, waiting }: { definition: Definition; now: Row | undefined; before: Row | undefined; waiting: boolean }) {
  const { format } = usePage();
  const t = format.t;
  if (waiting) return <p class="card-change"><span class="bone bone-line" /></p>;
  const difference = compare(now, before, definition);
  const value = shown(before);
  if (!difference) {
    return <p class="card-change none">{value === null ? t("card.noBaseline") : t("card.baseline", { value: format.value(value, definition.unit) })}</p>;
  }
  return (
    <p class="card-change">
      <span class={`verdict ${difference.verdict}`}>
        <span aria-hidden="true">{difference.verdict === "same" ? "＝" : difference.amount > 0 ? "▲" : "▼"}</span>
        {" "}{format.difference(difference)} <span class="verdict-word">{t(`card.${difference.verdict}`)}</span>
      </span>
      <span class="was">{t("card.baseline", { value: format.value(value!, definition.unit) })}</span>
    </p>
  );
}

/** A figure that is being read, or could not be. */
export function Waiting({ remote }: { remote: Remote<unknown> }) {
  const { format, retry } = usePage();
  if (!remote.failure) return <p class="card-value"><span class="bone bone-value" /><span class="visually-hidden">{format.t("panel.loading")}</span></p>;
  return (
    <div class="card-words" role="alert">
      {format.t("load.panelFailed", { detail: reason(remote.failure, format.t) })}
      <button type="button" class="quiet" onClick={retry}>{format.t("load.retry")}</button>
    </div>
  );
}
