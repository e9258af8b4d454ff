import type { Format } from "../logic/format";
import { ReadFailed } from "../parts/states";
import { useNow, useRemote } from "../remote";
import { runsURL, type Outcome, type RunList } from "./api";
import type { Choose } from "./app";
import { OutcomeWord } from "./bits";
import { Bones, Pager } from "./list";
import { outcomes, type JobsState } from "./state";
import { duration, seconds, word } from "./words";

interface RunTableProps {
  view: JobsState;
  choose: Choose;
  beat: string;
  format: Format;
}

/** The runs of a job, the newest first. */
export function RunTable({ view, choose, beat, format }: RunTableProps) {
  const t = format.t;
  const now = useNow(1_000);
  const list = useRemote<RunList>(runsURL(view.job, view.runs, view.outcome), beat);
  const items = list.data?.items ?? [];
  const longest = Math.max(1, ...items.map((run) => seconds(run, now) ?? 0));
  return (
    <section class="panel history" aria-labelledby="history-title">
      <div class="panel-head">
        <h2 id="history-title">{t("jobs.history")}</h2>
        <label class="field">
          <span class="visually-hidden">{t("jobs.state")}</span>
          <select value={view.outcome} onChange={(e) => choose({ outcome: e.currentTarget.value as Outcome | "", runs: 1 })}>
            <option value="">{t("jobs.allOutcomes")}</option>
            {outcomes.map((outcome) => <option key={outcome} value={outcome}>{word(format, "state", outcome)}</option>)}
          </select>
        </label>
      </div>
      {!list.data ? list.failure ? <ReadFailed title={t("jobs.failed")} failure={list.failure} retry={() => choose({})} format={format} /> : <Bones format={format} /> : items.length === 0 ? <p class="definition">{t(view.outcome ? "jobs.noRunsSo" : "jobs.noRuns")}</p> : (
        <table class="run-table">
          <thead><tr><th scope="col">{t("jobs.due")}</th><th scope="col">{t("jobs.state")}</th><th scope="col">{t("jobs.took")}</th><th scope="col">{t("jobs.cause")}</th><th scope="col">{t("jobs.message")}</th></tr></thead>
          <tbody>
            {items.map((run) => {
              const took = seconds(run, now);
              return (
                <tr key={run.id} data-run={run.id} class={run.id === view.run ? "chosen" : ""}>
                  <th scope="row"><button type="button" class="link" aria-current={run.id === view.run ? "true" : undefined} onClick={() => choose({ run: run.id })}>{format.time(new Date(run.due))}</button></th>
                  <td><OutcomeWord outcome={run.outcome} format={format} />{run.attempt > 1 && <small>{t("jobs.attempt", { n: run.attempt })}</small>}</td>
                  <td class="took">{took !== null && <><span>{duration(format, took)}</span><i class={`took-bar run-${run.outcome}`} style={{ width: `${Math.max(1, (took / longest) * 100)}%` }} aria-hidden="true" /></>}</td>
                  <td>{word(format, "cause", run.cause)}{run.missed ? <small>{t("jobs.standsFor", { n: format.number(run.missed) })}</small> : null}</td>
                  <td class="prose">{run.message && <span lang="en">{run.message}</span>}{run.counts && <small class="counts">{Object.entries(run.counts).map(([name, n]) => `${name} ${format.number(n)}`).join(" · ")}</small>}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      <Pager page={view.runs} shown={items.length} more={list.data?.more ?? false} choose={(runs) => choose({ runs })} format={format} />
      <p class="definition">{t("jobs.historyNote")} <code>ops.runs</code></p>
    </section>
  );
}
