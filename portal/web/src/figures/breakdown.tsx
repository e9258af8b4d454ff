import { useMemo, useState } from "preact/hooks";
import type { Definition, Result, Row } from "../api";
import { compare, shown } from "../logic/compare";
import { changeUnit, figure, words, type TableModel } from "../logic/table";
import { useRemote } from "../remote";
import { figureURL } from "./api";
import { interval } from "./bits";
import { useFigures, type FiguresPage } from "./context";
import { FigPanel } from "./panel";
import { breakdownOf, inOrder } from "./state";
import { dimensionName, valueName } from "./words";

const few = 12;

/** The figure by one of its dimensions. A value that is pressed becomes a filter, and the next dimension is shown: department, item, channel ... */
export function Breakdown({ definition }: { definition: Definition }) {
  const page = useFigures();
  const { view, choose, period, format, version } = page;
  const t = format.t;
  const [all, setAll] = useState(false);
  const by = breakdownOf(view, definition.dimensions);
  const answer = useRemote<Result>(figureURL(definition.name, period, by, view, definition.dimensions, true), version);
  // The last answer stays while the next is read; its values must not pass for those of another dimension.
  const result = answer.data?.by === by ? answer.data : null;
  const rows = useMemo(() => result && sorted(result.rows, definition), [result, definition]);
  const most = Math.max(...(rows ?? []).flatMap((r) => [shown(r) ?? 0, shown(r.before) ?? 0]), 0) || 1;
  const visible = all || (rows && rows.length <= few + 2) ? rows : rows?.slice(0, few);
  return (
    <FigPanel
      name="by" title={t("figures.by", { dimension: dimensionName(format, by) })} metric={`${definition.name}_${by}`} remote={answer}
      table={rows && tableOf(page, by, rows, definition)}
      legend={<><span><i class="key key-stroke" />{t(`figures.base.${view.compare}`)}</span>{format.unitNote(definition.unit) && <span>{format.unitNote(definition.unit)}</span>}</>}
      below={rows && visible && visible.length < rows.length ? <button type="button" class="quiet" onClick={() => setAll(true)}>{t("breakdown.more", { n: rows.length })}</button> : all && rows && rows.length > few + 2 ? <button type="button" class="quiet" onClick={() => setAll(false)}>{t("breakdown.less")}</button> : null}
    >
      <div class="segments fig-dimensions" role="group" aria-label={t("figures.dimension")}>
        {inOrder(definition.dimensions).map((d) => <button key={d} type="button" aria-pressed={d === by} onClick={() => choose({ by: d })}>{dimensionName(format, d)}</button>)}
      </div>
      {rows && rows.length === 0 && <p class="definition">{t("state.empty")}</p>}
      <ul class="fig-bars">
        {visible?.map((row) => <BarRow key={row.key} row={row} by={by} most={most} definition={definition} />)}
      </ul>
    </FigPanel>
  );
}

function sorted(rows: Row[], definition: Definition): Row[] {
  const worstFirst = definition.better === "down" ? -1 : 1;
  return [...rows].sort((a, b) => {
    const x = shown(a);
    const y = shown(b);
    if (x === null || y === null) return (x === null ? 1 : 0) - (y === null ? 1 : 0) || b.count - a.count || (a.key < b.key ? -1 : 1);
    return (x - y) * worstFirst || (a.key < b.key ? -1 : 1);
  });
}

function BarRow({ row, by, most, definition }: { row: Row; by: string; most: number; definition: Definition }) {
  const { view, choose, labels, format } = useFigures();
  const t = format.t;
  const name = valueName(format, labels, by, row.key);
  const value = shown(row);
  const base = shown(row.before);
  const difference = compare(row, row.before, definition);
  const warnings = format.warnings(row).join("; ");
  const percent = (v: number) => `${Math.max(0, (v / most) * 100).toFixed(2)}%`;
  const chosen = view.where[by] === row.key;
  const next = inOrder(definition.dimensions).find((d) => d !== by && !(d in view.where)) ?? by;
  const without = Object.fromEntries(Object.entries(view.where).filter(([d]) => d !== by));
  const openable = row.key !== "" && row.state !== "suppressed"; // what is too few to publish is too few to open
  return (
    <li>
      <button
        type="button" class={`bar fig-bar${chosen ? " chosen" : view.where[by] ? " passed" : ""}`} aria-pressed={chosen} disabled={!openable && !chosen}
        title={t(chosen ? "breakdown.chosen" : "figures.open", { name })} data-key={row.key}
        onClick={() => choose(chosen ? { where: without, skip: 0 } : { where: { ...without, [by]: row.key }, by: next, skip: 0 })}
      >
        <span class="bar-name">{name}</span>
        <span class={value === null ? "bar-value words" : "bar-value"}>{value === null ? format.row(row, definition.unit) : format.brief(value, definition.unit)}</span>
        <span class="bar-track" aria-hidden="true">
          {value !== null && <span class="bar-fill" style={{ width: percent(value) }} />}
          {base !== null && <span class="bar-base" style={{ left: percent(base) }} />}
        </span>
        <span class={`bar-change verdict ${difference?.verdict ?? "same"}`}>
          {difference ? <>{format.difference(difference)}<span class="visually-hidden"> {t(`card.${difference.verdict}`)}, {t(`figures.was.${view.compare}`, { value: format.value(base!, definition.unit) })}</span></> : "–"}
        </span>
        <span class="bar-facts">
          <span>{t("figures.units", { n: format.number(row.count) })}</span>
          {row.open ? <span>{t("card.open", { n: format.number(row.open) })}</span> : null}
          {row.coverage !== undefined && <span>{t("figures.coverageShort", { share: format.value(row.coverage, "share") })}</span>}
          {warnings && <strong class="fig-warning">{warnings}</strong>}
        </span>
      </button>
    </li>
  );
}

function tableOf({ format, labels, period }: FiguresPage, by: string, rows: Row[], definition: Definition): TableModel {
  const t = format.t;
  const survival = definition.kind === "survival";
  return {
    caption: `${format.text(definition.label)}: ${dimensionName(format, by)}, ${format.range(period.from, period.to)}`,
    head: [dimensionName(format, by), t("trend.value"), ...(survival ? [t("figures.intervalHead")] : []), t("trend.baselineValue"), t("trend.change"), t("trend.cases"), t("trend.open"), t("figures.coverageHead"), t("figures.warnings")],
    units: ["", definition.unit, ...(survival ? [""] : []), definition.unit, changeUnit(definition.unit), "", "", "share", ""],
    rows: rows.map((row) => {
      const difference = compare(row, row.before, definition);
      return [
        words(valueName(format, labels, by, row.key)), figure(format.row(row, definition.unit), shown(row)), ...(survival ? [words(interval(format, row, definition) || "–")] : []),
        figure(row.before ? format.row(row.before, definition.unit) : "–", shown(row.before)), figure(difference ? format.difference(difference) : "–", difference?.amount),
        figure(format.number(row.count), row.count), figure(format.number(row.open ?? 0), row.open ?? 0),
        figure(row.coverage === undefined ? "–" : format.value(row.coverage, "share"), row.coverage), words(format.warnings(row).join("; ")),
      ];
    }),
  };
}
