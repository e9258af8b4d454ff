import { useCallback, useMemo } from "preact/hooks";
import { metricURL, type Intervention, type Result, type Row, type Unit } from "../api";
import { Chart, type Colours } from "../charts/chart";
import { trendOption } from "../charts/trend";
import { isKey } from "../catalogue";
import { nameOf, usePage, type Page } from "../context";
import { format as formatFigures, start as startFigures } from "../figures/state";
import { compare, shown } from "../logic/compare";
import type { Format } from "../logic/format";
import { index, position, type Range } from "../logic/months";
import { series, windowOf, type Point } from "../logic/series";
import { changeUnit, figure, words, type TableModel } from "../logic/table";
import { useRemote } from "../remote";
import { DataTable, Panel } from "./panel";

export function chosenMetric(page: Page) {
  return page.definitions.find((d) => d.name === page.view.metric) ?? page.definitions[0]!;
}

export function Trend() {
  const page = usePage();
  const { view, period, offset, format, version, palette } = page;
  const t = format.t;
  const definition = chosenMetric(page);
  const window = windowOf(period, offset);
  const answer = useRemote<Result>(metricURL({ metric: definition.name, by: "month", ...window.read, department: view.department, item: view.item }), version);
  const register = useRemote<Intervention[]>("/api/v1/interventions", version);

  // While the next metric is read, the last one's result is still there; it must not be shown under the new title.
  const result = answer.data?.metric === definition.name ? answer.data : null;
  const shownFrom = window.shown.from;
  const shownTo = window.shown.to;
  const points = useMemo(() => result && series(result, { from: shownFrom, to: shownTo }, offset), [result, shownFrom, shownTo, offset]);
  const inScope = useMemo(() => (register.data ?? []).filter((i) => concerns(i, view.department, view.item)), [register.data, view.department, view.item]);
  const marks = useMemo(() => inScope.filter((i) => isInside(i, { from: shownFrom, to: shownTo })).sort((a, b) => (a.starts_on < b.starts_on ? -1 : 1)), [inScope, shownFrom, shownTo]);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const periodFrom = period.from;
  const option = useCallback(
    (c: Colours, width: number) => trendOption({ points: points!, period: { from: periodFrom, to: shownTo }, marks, definition, format, still }, c, width),
    [points, periodFrom, shownTo, marks, definition, format, still],
  );
  const name = format.text(definition.label);
  return (
    <Panel
      name="trend"
      title={t("trend.title", { metric: name })}
      remote={[answer]}
      table={points && tableOf(points, definition, format, t("trend.title", { metric: name }))}
      legend={<><span><i class="key key-current" />{t("trend.current")}</span><span><i class="key key-baseline" />{t("trend.baseline", { n: offset })}</span>{format.unitNote(definition.unit) && <span>{format.unitNote(definition.unit)}</span>}</>}
      below={<><p class="definition">{format.text(definition.description)} <span>{t("metric.version", { version: definition.version })}</span>{view.view === "page" && <> <a class="link" href={figureAddress(page, definition.name)}>{t("figures.link")}</a></>}</p>{register.data && <Notes list={inScope} shown={window.shown} />}</>}
    >
      {points && <Chart option={option} palette={palette} label={summary(points, name, definition.unit, format)} />}
    </Panel>
  );
}

/** Where the metric has a page of its own, with the period and the filters of this one. */
function figureAddress({ view }: Page, metric: string): string {
  const where = { ...(view.department && { department: view.department }), ...(view.item && { item: view.item }) };
  return `/figures${formatFigures({ ...startFigures, lang: view.lang, theme: view.theme, metric, months: view.months, end: view.end, compare: view.compare === "year" ? "year" : "previous", where })}`;
}

export function summary(points: Point[], metric: string, unit: Unit, format: Format): string {
  const ends = { metric, from: format.month(points[0]!.month), to: format.month(points.at(-1)!.month) };
  const last = points.findLast((p) => shown(p.row) !== null);
  if (!last) return format.t("trend.summaryNone", ends);
  return format.t("trend.summary", { ...ends, month: format.month(last.month), value: format.row(last.row, unit) });
}

function tableOf(points: Point[], definition: { unit: Unit; better: "up" | "down"; kind: string }, format: Format, caption: string): TableModel {
  const t = format.t;
  const survival = definition.kind === "survival";
  const figureOf = (row: Row | undefined) => figure(format.row(row, definition.unit), shown(row));
  return {
    caption,
    head: [t("trend.month"), t("trend.value"), t("trend.baselineValue"), t("trend.change"), t("trend.cases"), ...(survival ? [t("trend.open"), t("trend.closedOnly")] : [])],
    units: ["", definition.unit, definition.unit, changeUnit(definition.unit), "", "", definition.unit],
    rows: points.map((p) => {
      const difference = compare(p.row, p.baseline, definition);
      const closed = p.row?.closed_only ?? null;
      return [
        words(format.month(p.month)), figureOf(p.row), figureOf(p.baseline), figure(difference ? format.difference(difference) : "–", difference?.amount),
        figure(format.number(p.row?.count ?? 0), p.row?.count ?? 0),
        ...(survival ? [figure(format.number(p.row?.open ?? 0), p.row?.open ?? 0), figure(closed === null || p.row?.state === "suppressed" ? "–" : format.value(closed, definition.unit), closed)] : []),
      ];
    }),
  };
}

export function concerns(i: Intervention, department: string, item: string): boolean {
  return (!i.department || !department || i.department === department) && (!i.item || !item || i.item === item);
}

export function isInside(i: Intervention, range: Range): boolean {
  const at = position(i.starts_on);
  return at >= index(range.from) - 0.5 && at <= index(range.to) + 0.5;
}

/** The register of interventions that the chart marks: a table, for what a drawing cannot say. */
function Notes({ list, shown }: { list: Intervention[]; shown: Range }) {
  const page = usePage();
  const { format } = page;
  const t = format.t;
  if (page.view.view === "wall") return null;
  if (list.length === 0) return <p class="definition">{t("notes.none")}</p>;
  const scope = (i: Intervention) =>
    [i.department && nameOf(page, "department", i.department), i.item && nameOf(page, "item", i.item)].filter(Boolean).join(" · ") || t("notes.all");
  const kind = (i: Intervention) => t(isKey(`kind.${i.kind}`) ? (`kind.${i.kind}` as "kind.other") : "kind.other");
  return (
    <div class="notes">
      <DataTable
        table={{
          caption: t("notes.caption"),
          head: [t("notes.start"), t("notes.what"), t("notes.kind"), t("notes.scope"), t("notes.claim")],
          units: [],
          rows: list.map((i) => [
            words(format.day(i.starts_on) + (isInside(i, shown) ? "" : ` (${t("notes.outside")})`)), words(format.text(i.title)), words(kind(i)), words(scope(i)), words(i.claim || "–"),
          ]),
        }}
      />
    </div>
  );
}
