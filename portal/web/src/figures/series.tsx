import { useCallback, useMemo } from "preact/hooks";
import type { Definition, Intervention, Result, Row } from "../api";
import { Chart, type Colours } from "../charts/chart";
import { trendOption } from "../charts/trend";
import { compare, shown } from "../logic/compare";
import { length } from "../logic/months";
import { series, windowOf, type Point } from "../logic/series";
import { changeUnit, figure, words, type TableModel } from "../logic/table";
import { concerns, isInside, summary } from "../parts/trend";
import { useRemote } from "../remote";
import { figureURL } from "./api";
import { interval } from "./bits";
import { useFigures } from "./context";
import { FigPanel } from "./panel";

/** The figure by month, for a year at least, beside its counterpart. */
export function Series({ definition }: { definition: Definition }) {
  const { view, period, format, version, palette } = useFigures();
  const t = format.t;
  const known = view.compare === "known";
  const offset = known ? 0 : view.compare === "year" ? 12 * Math.ceil(length(period) / 12) : length(period);
  const window = windowOf(period, offset);
  const answer = useRemote<Result>(figureURL(definition.name, known ? window.shown : window.read, "month", view, definition.dimensions, known), version);
  const register = useRemote<Intervention[]>("/api/v1/interventions", version);
  const result = answer.data;
  const { from, to } = window.shown;
  const points = useMemo(() => {
    if (!result) return null;
    const list = series(result, { from, to }, offset);
    return known ? list.map((p) => ({ ...p, baseline: p.row?.before })) : list;
  }, [result, from, to, offset, known]);
  const department = view.where.department ?? "";
  const item = view.where.item ?? "";
  const marks = useMemo(
    () => (register.data ?? []).filter((i) => concerns(i, department, item) && isInside(i, { from, to })).sort((a, b) => (a.starts_on < b.starts_on ? -1 : 1)),
    [register.data, department, item, from, to],
  );
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const option = useCallback(
    (c: Colours, width: number) => trendOption({ points: points!, period: { from: period.from, to }, marks, definition, format, still }, c, width),
    [points, period.from, to, marks, definition, format, still],
  );
  const name = format.text(definition.label);
  const title = t("trend.title", { metric: name });
  return (
    <FigPanel
      name="trend" title={title} metric={definition.name} remote={answer} table={points && tableOf(points, definition, title, format)}
      legend={
        <>
          <span><i class="key key-current" />{t(known ? "figures.now" : "trend.current")}</span>
          <span><i class="key key-baseline" />{known ? t("figures.then", { day: format.day(view.known) }) : t("trend.baseline", { n: offset })}</span>
          {definition.kind === "survival" && <span><i class="key key-band" />{t("figures.band")}</span>}
          {format.unitNote(definition.unit) && <span>{format.unitNote(definition.unit)}</span>}
        </>
      }
      below={marks.length > 0 && <p class="definition">{t("figures.marks", { names: marks.map((m) => `${format.text(m.title)} (${format.day(m.starts_on)})`).join(t("figures.and")) })}</p>}
    >
      {points && points.every((p) => shown(p.row) === null && shown(p.baseline) === null) ? <p class="definition">{t("figures.noSeries")}</p> : points && <Chart option={option} palette={palette} label={summary(points, name, definition.unit, format)} />}
    </FigPanel>
  );
}

function tableOf(points: Point[], definition: Definition, caption: string, format: ReturnType<typeof useFigures>["format"]): TableModel {
  const t = format.t;
  const survival = definition.kind === "survival";
  const of = (row: Row | undefined) => figure(format.row(row, definition.unit), shown(row));
  const share = (row: Row | undefined) => figure(row?.coverage === undefined ? "–" : format.value(row.coverage, "share"), row?.coverage);
  return {
    caption,
    head: [t("trend.month"), t("trend.value"), ...(survival ? [t("figures.intervalHead")] : []), t("trend.baselineValue"), t("trend.change"), t("trend.cases"), t("trend.open"), t("figures.coverageHead"), t("figures.warnings")],
    units: ["", definition.unit, ...(survival ? [""] : []), definition.unit, changeUnit(definition.unit), "", "", "share", ""],
    rows: points.map((p) => {
      const difference = compare(p.row, p.baseline, definition);
      return [
        words(format.month(p.month)), of(p.row), ...(survival ? [words(interval(format, p.row, definition) || "–")] : []), of(p.baseline),
        figure(difference ? format.difference(difference) : "–", difference?.amount), figure(format.number(p.row?.count ?? 0), p.row?.count ?? 0),
        figure(format.number(p.row?.open ?? 0), p.row?.open ?? 0), share(p.row), words(p.row ? format.warnings(p.row).join("; ") : ""),
      ];
    }),
  };
}
