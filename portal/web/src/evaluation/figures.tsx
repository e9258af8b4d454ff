import type { Format } from "../logic/format";
import type { Quantile, Result } from "./api";
import { gainOf, gains, gainText, percent, value } from "./words";

/** What a reader has to know of the data. */
export function Notes({ result, format }: { result: Result; format: Format }) {
  if (!result.notes?.length) return null;
  return (
    <section class="panel" aria-labelledby="notes-title">
      <h2 id="notes-title">{format.t("evaluation.notes")}</h2>
      <ul class="note-list">{result.notes.map((note, i) => <li key={i}>{format.text(note)}</li>)}</ul>
    </section>
  );
}

/** Before, after and gain, side by side: what decides, what does not, and the figure that misleads. */
export function FiguresPanel({ result: r, format }: { result: Result; format: Format }) {
  const t = format.t;
  if (!r.before || !r.after) return null;
  const unit = r.metric.unit;
  const claim = r.intervention.claim;
  const ofTime = unit === "days" || unit === "working_days";
  const gain = (ratio: number | undefined) => (ratio === undefined ? "–" : percent(format, gainOf(claim, ratio)));
  const quantile = (q: Quantile | undefined) => (q ? t("evaluation.quantile", { value: value(format, q.value, unit), low: format.number(q.low, 2), high: q.high === null ? t("evaluation.open") : format.number(q.high, 2) }) : t("evaluation.notEstimable"));
  return (
    <section class="panel" aria-labelledby="figures-title" data-figures>
      <h2 id="figures-title">{t("evaluation.figures")}</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("evaluation.figures")}>
        <table class="figures">
          <thead><tr><th scope="col"><span class="visually-hidden">{t("evaluation.figure")}</span></th><th scope="col">{t("evaluation.before")}</th><th scope="col">{t("evaluation.after")}</th><th scope="col" class="num">{t("evaluation.gain")}</th></tr></thead>
          <tbody>
            {ofTime ? (
              <>
                <tr><th scope="row">{t("evaluation.median")}</th><td>{quantile(r.before.median)}</td><td>{quantile(r.after.median)}</td><td class="num">{gain(r.raw)}</td></tr>
                <tr><th scope="row">{t("evaluation.p90")}</th><td>{quantile(r.before.p90)}</td><td>{quantile(r.after.p90)}</td><td class="num">–</td></tr>
                <tr class="trap"><th scope="row">{t("evaluation.closedOnlyMedian")}</th><td>{value(format, r.before.closed_only, unit)}</td><td>{value(format, r.after.closed_only, unit)}</td><td class="num">{gain(r.closed_only)}</td></tr>
                <tr><th scope="row">{t("evaluation.casesEnded")}</th><td>{format.number(r.before.cases)} / {format.number(r.before.ended)}</td><td>{format.number(r.after.cases)} / {format.number(r.after.ended)}</td><td class="num">–</td></tr>
              </>
            ) : (
              <>
                <tr><th scope="row">{t("evaluation.ratio")}</th><td>{value(format, r.before.value, unit)}</td><td>{value(format, r.after.value, unit)}</td><td class="num">{gain(r.raw)}</td></tr>
                <tr><th scope="row">{t("evaluation.denominator")}</th><td>{format.number(r.before.cases)}</td><td>{format.number(r.after.cases)}</td><td class="num">–</td></tr>
              </>
            )}
            {r.case_mix && <tr><th scope="row">{t("evaluation.caseMix")}</th><td>{value(format, r.case_mix.before, unit)}</td><td>{value(format, r.case_mix.after, unit)}</td><td class="num">{gain(r.case_mix.ratio)}</td></tr>}
            <tr class="decides"><th scope="row">{t("evaluation.decides", { name: t(estimatorKey(r.estimator)) })}</th><td /><td /><td class="num">{r.gain ? gainText(format, r.gain) : "–"}</td></tr>
          </tbody>
        </table>
      </div>
      <p class="definition">{t(ofTime ? "evaluation.trap" : "evaluation.trapRatio")}</p>
    </section>
  );
}

const estimators = ["difference_in_differences", "controlled_time_series", "time_series"] as const;

function estimatorKey(estimator: string) {
  return `evaluation.estimator.${estimators.find((e) => e === estimator) ?? "none"}` as const;
}

/** The estimates beside the one that decides, and what could have spoken against it. */
export function Tests({ result: r, format }: { result: Result; format: Format }) {
  const t = format.t;
  const claim = r.intervention.claim;
  const rows: [string, string][] = [];
  const p = (n: number) => `p = ${format.number(n, 3)}`;
  if (r.differences) {
    rows.push([t("evaluation.estimator.difference_in_differences"), gainText(format, gains(claim, r.differences.effect)) + (r.differences.refuted ? ` — ${t("evaluation.refuted")}` : "")]);
    if (r.differences.trend) rows.push([t("evaluation.pretrend"), p(r.differences.trend.p)]);
    for (const placebo of r.differences.placebos ?? []) rows.push([t("evaluation.placebo", { n: placebo.months_earlier }), p(placebo.p)]);
  }
  if (r.time_series) {
    rows.push([t(estimatorKey(r.time_series.controlled ? "controlled_time_series" : "time_series")), gainText(format, gains(claim, r.time_series.effect))]);
    rows.push([t("evaluation.neweyWest"), gainText(format, gains(claim, r.time_series.newey_west))]);
  }
  if (rows.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="tests-title">
      <h2 id="tests-title">{t("evaluation.tests")}</h2>
      <dl class="pairs">{rows.map(([name, text], i) => <div key={i}><dt>{name}</dt><dd>{text}</dd></div>)}</dl>
      <p class="definition">{t("evaluation.testsNote")}</p>
    </section>
  );
}
