import type { Definition, Result } from "../api";
import { shown } from "../logic/compare";
import { useRemote, type Remote } from "../remote";
import { RestatedWords } from "../parts/known";
import { reason } from "../parts/states";
import { figureURL } from "./api";
import { Change, CoverageWords, FigureLink, interval } from "./bits";
import { Breakdown } from "./breakdown";
import { useFigures } from "./context";
import { Controls } from "./controls";
import { DefinitionPanel } from "./definition";
import { EventsPanel } from "./events";
import { Series } from "./series";

/** One figure: its value and how far it can be trusted, over time, broken down, and what it is made of. */
export function MetricPage({ definition }: { definition: Definition }) {
  const { view, period, format, version } = useFigures();
  const t = format.t;
  const whole = useRemote<Result>(figureURL(definition.name, period, "", view, definition.dimensions, true), version);
  return (
    <>
      <nav class="crumbs" aria-label={t("figures.where")}>
        <FigureLink to={{ metric: "", by: "", part: "", skip: 0 }}>{t("figures.all")}</FigureLink>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{format.text(definition.label)}</span>
      </nav>
      <Controls />
      <div class="fig-top">
        <Headline definition={definition} whole={whole} />
        <DefinitionPanel definition={definition} />
      </div>
      <Series definition={definition} />
      <Breakdown definition={definition} />
      <EventsPanel definition={definition} />
    </>
  );
}

function Headline({ definition, whole }: { definition: Definition; whole: Remote<Result> }) {
  const { definitions, view, period, format, version, retry } = useFigures();
  const t = format.t;
  const beside = definitions.find((d) => d.name === definition.beside);
  const besideNow = useRemote<Result>(beside ? figureURL(beside.name, period, "", view, beside.dimensions, true) : null, version);
  const result = whole.data;
  const row = result?.rows[0];
  const value = shown(row);
  const between = interval(format, row, definition);
  return (
    <section class="panel fig-headline" aria-labelledby="headline-title" aria-busy={whole.pending}>
      <h2 id="headline-title">{format.text(definition.label)} <span class="aside">{format.range(period.from, period.to)}</span></h2>
      {whole.failure && (
        <div class="panel-failure" role="alert">
          <p>{t("load.panelFailed", { detail: reason(whole.failure, t) })}</p>
          <button type="button" class="quiet" onClick={retry}>{t("load.retry")}</button>
        </div>
      )}
      {!result && !whole.failure && <div role="status"><span class="bone bone-value" /><span class="bone bone-line" /><span class="visually-hidden">{t("panel.loading")}</span></div>}
      {result && (
        <div class={whole.pending ? "pending" : ""}>
          {value === null ? (
            <p class="card-words">
              {format.row(row, definition.unit)}
              {row && row.state !== "ok" && <small>{t(row.state === "not_estimable" && definition.kind !== "survival" ? "figures.whyOpen" : `why.${row.state}`, { n: definition.minimum_cell })}</small>}
            </p>
          ) : (
            <p class="fig-value">
              <b>{format.value(value, definition.unit)}</b>
              {definition.kind === "survival" && <span class="card-measure">{t("card.median")}</span>}
            </p>
          )}
          {between && <p class="fig-interval">{between}</p>}
          <p class="fig-compare"><Change row={row} definition={definition} /></p>
          <dl class="fig-facts">
            {row && row.numerator !== undefined && row.denominator !== undefined && row.state === "ok" && (
              <div><dt>{t("figures.parts")}</dt><dd>{t("card.of", { n: format.number(row.numerator), total: format.number(row.denominator) })}</dd></div>
            )}
            {row && <div><dt>{t("figures.over")}</dt><dd>{format.number(row.count)}{row.open ? <span class="aside"> {t("card.open", { n: format.number(row.open) })}</span> : null}</dd></div>}
            {row?.state === "ok" && row.p90 !== undefined && row.p90 !== null && (
              <div><dt>{t("figures.p90")}</dt><dd>{format.value(row.p90, definition.unit)}<span class="aside"> {interval(format, row, definition, "p90")}</span></dd></div>
            )}
            {row?.closed_only !== undefined && row.closed_only !== null && row.state !== "suppressed" && (
              <div><dt>{t("trend.closedOnly")}</dt><dd>{format.value(row.closed_only, definition.unit)}<span class="aside"> {t("figures.closedOnlyWhy")}</span></dd></div>
            )}
            <div><dt>{t("figures.coverageHead")}</dt><dd class="fig-coverage"><CoverageWords coverage={result.coverage} /></dd></div>
            {beside && besideNow.data && (
              <div><dt>{t("figures.beside")}</dt><dd><FigureLink to={{ metric: beside.name, by: "", part: "", skip: 0 }}>{format.text(beside.label)}</FigureLink> {format.row(besideNow.data.rows[0], beside.unit)}</dd></div>
            )}
            <div><dt>{t("figures.asOf")}</dt><dd>{result.known ? t("figures.asKnown", { time: format.time(new Date(result.known)) }) : result.as_of ? format.time(new Date(result.as_of)) : "–"}</dd></div>
          </dl>
          {result.restated && <RestatedWords restated={result.restated} format={format} />}
          <p class="note fig-caution">{t("figures.caution")}</p>
        </div>
      )}
    </section>
  );
}
