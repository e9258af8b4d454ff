import { useEffect, useRef } from "preact/hooks";
import type { Definition, Result } from "../api";
import { compare, shown } from "../logic/compare";
import { changeUnit, download, figure, words, type TableModel } from "../logic/table";
import { useRemote } from "../remote";
import { reason } from "../parts/states";
import { figureURL } from "./api";
import { Change, CoverageWords, FigureLink, interval } from "./bits";
import { useFigures, type FiguresPage } from "./context";
import { Controls } from "./controls";
import { byTheme } from "./themes";

/** All figures of the county by theme: value, comparison, coverage, warnings. */
export function ListPage() {
  const page = useFigures();
  const { county, definitions, labels, view, choose, period, format } = page;
  const t = format.t;
  const read = useRef(new Map<string, Result>()); // what the rows show, for the CSV
  return (
    <>
      <Controls />
      <div class="fig-scope">
        <label class="field">
          <span>{t("figures.scope")}</span>
          <select
            value={view.where.department ?? ""}
            onChange={(e) => {
              const { department: _, ...rest } = view.where;
              choose({ where: e.currentTarget.value ? { ...rest, department: e.currentTarget.value } : rest });
            }}
          >
            <option value="">{t("figures.county")}</option>
            {labels.departments.map((d) => <option key={d.key} value={d.key}>{format.text(d) || d.key}</option>)}
          </select>
        </label>
        <button type="button" class="quiet" onClick={() => download([county.division, "figures", period.from, period.to].join("_") + ".csv", tableOf(page, read.current))}>{t("panel.csv")}</button>
      </div>
      {byTheme(definitions).map(({ theme, metrics }) => (
        <section key={theme} class="panel fig-theme" aria-labelledby={`theme-${theme}`}>
          <h2 id={`theme-${theme}`}>{t(`theme.${theme}`)}</h2>
          <table class="fig-table">
            <colgroup><col /><col /><col /><col /></colgroup>
            <thead>
              <tr>
                <th scope="col">{t("figures.metric")}</th><th scope="col" class="num">{t("figures.value")}</th>
                <th scope="col">{t("figures.change")}</th><th scope="col">{t("figures.coverageHead")}</th>
              </tr>
            </thead>
            <tbody>{metrics.map((d) => <MetricRow key={d.name} definition={d} read={read.current} />)}</tbody>
          </table>
        </section>
      ))}
      <p class="note">{t("figures.note")}</p>
    </>
  );
}

function MetricRow({ definition, read }: { definition: Definition; read: Map<string, Result> }) {
  const { view, period, format, version } = useFigures();
  const t = format.t;
  const answer = useRemote<Result>(figureURL(definition.name, period, "", view, definition.dimensions, true), version);
  const { data } = answer;
  useEffect(() => {
    if (data) read.set(definition.name, data);
  }, [data, definition, read]);
  const row = data?.rows[0];
  const value = shown(row);
  const between = interval(format, row, definition);
  const ignored = Object.keys(view.where).some((d) => !definition.dimensions.includes(d));
  return (
    <tr data-metric={definition.name} aria-busy={answer.pending} class={answer.pending && answer.data ? "pending" : ""}>
      <th scope="row">
        <FigureLink to={{ metric: definition.name, by: "", part: "", skip: 0 }}>{format.text(definition.label)}</FigureLink>
        <small title={format.text(definition.description)}>{t(definition.better === "up" ? "figures.up" : "figures.down")}{ignored && <> · {t("figures.unfiltered")}</>}</small>
      </th>
      {!answer.data ? (
        <td colSpan={3} class="fig-waits">
          {answer.failure ? <span role="alert">{reason(answer.failure, t)}</span> : <><span class="bone bone-line" /><span class="visually-hidden">{t("panel.loading")}</span></>}
        </td>
      ) : (
        <>
          <td class="num" data-label={t("figures.value")}>
            {value === null ? <span class="fig-words">{format.row(row, definition.unit)}</span> : <b>{format.value(value, definition.unit)}</b>}
            <small>
              {row && row.state !== "suppressed" && row.state !== "empty" && (row.numerator !== undefined && row.denominator !== undefined && definition.unit === "share"
                ? t("card.of", { n: format.number(row.numerator), total: format.number(row.denominator) })
                : between || t("figures.units", { n: format.number(row.count) }))}
            </small>
          </td>
          <td data-label={t("figures.change")}><Change row={row} definition={definition} short /></td>
          <td data-label={t("figures.coverageHead")}><CoverageWords coverage={answer.data.coverage} brief /></td>
        </>
      )}
    </tr>
  );
}

function tableOf({ definitions, format }: FiguresPage, read: Map<string, Result>): TableModel {
  const t = format.t;
  const all = byTheme(definitions).flatMap(({ theme, metrics }) => metrics.map((d) => ({ theme, d, result: read.get(d.name) }))).filter(({ result }) => result);
  return {
    caption: t("figures.title"),
    head: [t("figures.theme"), t("figures.metric"), t("figures.value"), t("definition.unit"), t("figures.state"), t("figures.compared"), t("figures.change"), t("figures.changeUnit"), t("figures.over"), t("figures.coverageHead"), t("figures.warnings")],
    units: [],
    rows: all.map(({ theme, d, result }) => {
      const row = result!.rows[0];
      const difference = compare(row, row?.before, d);
      return [
        words(t(`theme.${theme}`)), words(format.text(d.label)), figure("", shown(row)), words(d.unit), words(row?.state ?? ""), figure("", shown(row?.before)),
        figure("", difference?.amount), words(changeUnit(d.unit)), figure("", row?.count), figure("", result!.coverage?.value), words(row ? format.warnings(row).join("; ") : ""),
      ];
    }),
  };
}
