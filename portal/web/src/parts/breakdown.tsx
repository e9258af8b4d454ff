import { useMemo, useState } from "preact/hooks";
import { metricURL, type Definition, type Result, type Row } from "../api";
import { nameOf, usePage, type Page } from "../context";
import { compare, shown } from "../logic/compare";
import { changeUnit, figure, words, type TableModel } from "../logic/table";
import { useRemote } from "../remote";
import { Panel } from "./panel";
import { chosenMetric } from "./trend";

type Dimension = "department" | "item";

interface Bar {
  key: string;
  name: string;
  row: Row | undefined;
  baseline: Row | undefined;
}

const few = 8;
const almost = 10; // a button that would hide two rows is not worth its place
const onWall = 7; // as many as its height holds

/** A metric by department or by item: a bar for the period, a stroke for the baseline. Pressing one filters the page. */
export function Breakdown({ by }: { by: Dimension }) {
  const page = usePage();
  const { view, period, baseline, format, version } = page;
  const t = format.t;
  const [all, setAll] = useState(false);
  const definition = chosenMetric(page);
  // Its own dimension is not filtered here: the others have to stay in sight, to compare with and to change to.
  const other = by === "department" ? { item: view.item } : { department: view.department };
  const now = useRemote<Result>(metricURL({ metric: definition.name, by, ...period, ...other }), version);
  const before = useRemote<Result>(metricURL({ metric: definition.name, by, ...baseline, ...other }), version);
  const result = now.data?.metric === definition.name ? now.data : null;
  const earlier = before.data?.metric === definition.name ? before.data : null;
  const bars = useMemo(() => result && barsOf(page, by, result, earlier, definition), [page, by, result, earlier, definition]);
  const most = Math.max(...(bars ?? []).flatMap((b) => [shown(b.row) ?? 0, shown(b.baseline) ?? 0]), 0) || 1;
  const visible = view.view === "wall" ? bars?.slice(0, onWall) : all || (bars && bars.length <= almost) ? bars : bars?.slice(0, few);
  return (
    <Panel
      name={by}
      title={t(`breakdown.${by}`)}
      remote={[now, before]}
      table={bars && tableOf(page, by, bars, definition)}
      legend={<><span><i class="key key-stroke" />{t("breakdown.legend")}</span>{format.unitNote(definition.unit) && <span>{format.unitNote(definition.unit)}</span>}</>}
    >
      {bars && bars.length === 0 && <p class="definition">{t("state.empty")}</p>}
      <ul class="bars">
        {visible?.map((bar) => <BarRow key={bar.key} bar={bar} by={by} most={most} definition={definition} />)}
      </ul>
      {bars && bars.length > almost && view.view === "page" && (
        <button type="button" class="quiet" aria-expanded={all} onClick={() => setAll(!all)}>{all ? t("breakdown.less") : t("breakdown.more", { n: bars.length })}</button>
      )}
    </Panel>
  );
}

function barsOf(page: Page, by: Dimension, now: Result, before: Result | null, definition: Definition): Bar[] {
  const earlier = new Map(before?.rows.map((row) => [row.key, row]));
  const worstFirst = definition.better === "down" ? -1 : 1;
  return now.rows
    .map((row) => ({ key: row.key, name: nameOf(page, by, row.key), row, baseline: earlier.get(row.key) }))
    .sort((a, b) => {
      const x = shown(a.row);
      const y = shown(b.row);
      if (x === null || y === null) return (x === null ? 1 : 0) - (y === null ? 1 : 0) || (a.key < b.key ? -1 : 1);
      return (x - y) * worstFirst || (a.key < b.key ? -1 : 1);
    });
}

function BarRow({ bar, by, most, definition }: { bar: Bar; by: Dimension; most: number; definition: Definition }) {
  const { view, choose, format } = usePage();
  const t = format.t;
  const chosen = view[by] === bar.key;
  const value = shown(bar.row);
  const base = shown(bar.baseline);
  const difference = compare(bar.row, bar.baseline, definition);
  const warnings = bar.row ? format.warnings(bar.row).join("; ") : "";
  const percent = (v: number) => `${((v / most) * 100).toFixed(2)}%`;
  return (
    <li>
      <button
        type="button"
        class={chosen ? "bar chosen" : view[by] ? "bar passed" : "bar"}
        aria-pressed={chosen}
        title={t(chosen ? "breakdown.chosen" : "breakdown.filter", { name: bar.name })}
        onClick={() => choose({ [by]: chosen ? "" : bar.key })}
      >
        <span class="bar-name">
          {bar.name}{warnings && <span title={warnings}><span aria-hidden="true"> ⚠</span><span class="visually-hidden"> {warnings}</span></span>}
        </span>
        <span class={value === null ? "bar-value words" : "bar-value"}>{value === null ? format.row(bar.row, definition.unit) : format.brief(value, definition.unit)}</span>
        <span class="bar-track" aria-hidden="true">
          {value !== null && <span class="bar-fill" style={{ width: percent(value) }} />}
          {base !== null && <span class="bar-base" style={{ left: percent(base) }} />}
        </span>
        <span class={`bar-change verdict ${difference?.verdict ?? "same"}`}>
          {difference ? <>{format.difference(difference)}<span class="visually-hidden"> {t(`card.${difference.verdict}`)}, {t("card.baseline", { value: format.value(base!, definition.unit) })}</span></> : "–"}
        </span>
      </button>
    </li>
  );
}

function tableOf(page: Page, by: Dimension, bars: Bar[], definition: Definition): TableModel {
  const { format } = page;
  const t = format.t;
  return {
    caption: `${format.text(definition.label)}: ${t(`breakdown.${by}`)}, ${format.range(page.period.from, page.period.to)}`,
    head: [t("breakdown.name"), t("trend.value"), t("trend.baselineValue"), t("trend.change"), t("trend.cases")],
    units: ["", definition.unit, definition.unit, changeUnit(definition.unit), ""],
    rows: bars.map((b) => {
      const difference = compare(b.row, b.baseline, definition);
      return [
        words(b.name), figure(format.row(b.row, definition.unit), shown(b.row)), figure(format.row(b.baseline, definition.unit), shown(b.baseline)),
        figure(difference ? format.difference(difference) : "–", difference?.amount), figure(format.number(b.row?.count ?? 0), b.row?.count ?? 0),
      ];
    }),
  };
}
