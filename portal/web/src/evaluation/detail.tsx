import { useCallback, useMemo } from "preact/hooks";
import type { Labels } from "../api";
import { Chart, type Colours } from "../charts/chart";
import type { Format } from "../logic/format";
import { Loading, ReadFailed } from "../parts/states";
import { useBeat, useRemote } from "../remote";
import { detailURL, evaluationURL, type Detail, type Evaluation, type Result } from "./api";
import type { Choose } from "./app";
import { Badge, Figure, GainBar, LateMark } from "./bits";
import { curvesOption, curvesTable, monthsOption, monthsTable } from "./charts";
import { FiguresPanel, Notes, Tests } from "./figures";
import { Registration } from "./registration";
import type { EvaluationState } from "./state";
import { gainText } from "./words";

const refreshEvery = 60_000;

interface DetailPageProps {
  view: EvaluationState;
  choose: Choose;
  format: Format;
  palette: string;
}

/** One thing that the county did: the verdict, what it rests on, the trap that was avoided, and when it was claimed. */
export function DetailPage({ view, choose, format, palette }: DetailPageProps) {
  const t = format.t;
  const [beat, look] = useBeat(refreshEvery);
  const detail = useRemote<Detail>(detailURL(view.intervention), String(beat));
  const registered = detail.data?.registered;
  const judged = registered?.verdict !== undefined;
  const evaluation = useRemote<Evaluation>(judged ? evaluationURL(view.intervention) : null, registered?.verdict?.evaluated_at ?? "");
  const labels = useRemote<Labels>("/api/v1/labels", "");
  const back = <p class="trail"><button type="button" class="quiet" onClick={() => choose({ intervention: "", tables: [] })}>← {t("evaluation.back")}</button></p>;
  if (!detail.data) {
    if (!detail.failure) return <Loading t={t} />;
    if (detail.failure.code !== "unknown_intervention") return <>{back}<ReadFailed title={t("evaluation.failed")} failure={detail.failure} retry={look} format={format} /></>;
    return <>{back}<section class="message"><h2>{t("evaluation.gone")}</h2><p>{t("evaluation.goneWhat")}</p></section></>;
  }
  const d = detail.data;
  return (
    <>
      {back}
      <article>
        <section class="panel head" aria-labelledby="intervention-title">
          <h2 id="intervention-title">{format.text(d.title) || d.name}</h2>
          {d.definition && <p>{format.text(d.definition.what)}</p>}
          {registered && <LateMark of={registered} format={format} />}
          {evaluation.data ? (
            <VerdictOf evaluation={evaluation.data} format={format} older={registered!.verdict!.version !== registered!.version ? registered!.verdict!.version : 0} />
          ) : evaluation.failure ? (
            <ReadFailed title={t("evaluation.failed")} failure={evaluation.failure} retry={look} format={format} />
          ) : judged ? (
            <div class="bone bone-chart" role="status"><span class="visually-hidden">{t("panel.loading")}</span></div>
          ) : (
            <section class="message">
              <p>{t(registered ? "evaluation.notYetWhat" : "evaluation.unregisteredWhat")}</p>
              {registered && <pre><code>{`shire metrics evaluate ${d.name}`}</code></pre>}
            </section>
          )}
        </section>
        {evaluation.data && <Found result={evaluation.data.result} view={view} choose={choose} format={format} palette={palette} />}
        {d.definition && <Registration detail={d} labels={labels.data} evaluation={evaluation.data} format={format} />}
      </article>
    </>
  );
}

function VerdictOf({ evaluation, format, older }: { evaluation: Evaluation; format: Format; older: number }) {
  const t = format.t;
  const r = evaluation.result;
  return (
    <div class="verdict-block">
      <p><Badge word={r.verdict} format={format} /></p>
      {r.gain && <p class="gain-figure">{t("evaluation.gain")} <b>{gainText(format, r.gain)}</b></p>}
      {r.gain && <GainBar gain={r.gain} format={format} />}
      <p>{format.text(r.because)}</p>
      {older > 0 && <p class="late">{t("evaluation.older", { version: older })}</p>}
      <p class="definition">{t("evaluation.judged", { at: format.time(new Date(evaluation.evaluated_at)), until: r.as_of ? format.day(r.as_of) : "–" })}</p>
    </div>
  );
}

function Found({ result, view, choose, format, palette }: DetailPageProps & { result: Result }) {
  const t = format.t;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const months = useCallback((c: Colours, width: number) => monthsOption(result, format, still, c, width), [result, format, still]);
  const before = result.before?.curve;
  const after = result.after?.curve;
  const curves = useCallback((c: Colours) => curvesOption(before!, after!, result.metric.unit, format, still, c), [before, after, result, format, still]);
  const tables = useMemo(() => ({ months: monthsTable(result, format), curves: before && after ? curvesTable(result, format) : null }), [result, before, after, format]);
  const ofTime = result.metric.unit === "days" || result.metric.unit === "working_days";
  return (
    <>
      <Notes result={result} format={format} />
      <FiguresPanel result={result} format={format} />
      {(result.months?.length ?? 0) > 0 && (
        <Figure name="months" title={t("evaluation.monthsTitle")} table={tables.months} file={result.intervention.name} view={view} choose={choose} format={format}
          note={t(ofTime ? "evaluation.monthsNote" : "evaluation.monthsNoteRatio")}
          legend={<>
            <span><i class="key" />{t(ofTime ? "evaluation.kaplanMeier" : "evaluation.ratio")}</span>
            {ofTime && <span><i class="key key-trap" />{t("evaluation.closedOnly")}</span>}
            <span><i class="key key-baseline" />{t("evaluation.expected")}</span>
          </>}>
          <Chart option={months} label={t("evaluation.monthsTitle")} palette={palette} />
        </Figure>
      )}
      {tables.curves && (
        <Figure name="curves" title={t("evaluation.curvesTitle")} table={tables.curves} file={result.intervention.name} view={view} choose={choose} format={format} note={t("evaluation.curvesNote")}
          legend={<><span><i class="key" />{t("evaluation.after")}</span><span><i class="key key-baseline" />{t("evaluation.before")}</span></>}>
          <Chart option={curves} label={t("evaluation.curvesTitle")} palette={palette} />
        </Figure>
      )}
      <Tests result={result} format={format} />
    </>
  );
}
