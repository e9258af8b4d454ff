import type { Labels } from "../api";
import type { Format } from "../logic/format";
import type { Detail, Evaluation } from "./api";
import { where } from "./words";

/** What was registered when, by its hash; every version, and which of them came after the result had been seen. */
export function Registration({ detail, labels, evaluation, format }: { detail: Detail; labels: Labels | null; evaluation: Evaluation | null; format: Format }) {
  const t = format.t;
  const v = detail.definition!;
  const names = (group: string, code: string) => {
    const list = group === "departments" ? labels?.departments : group === "items" ? labels?.items : undefined;
    const label = list?.find((l) => l.key === code);
    return (label && format.text(label)) || code;
  };
  const rows: [string, string][] = [
    [t("evaluation.name"), v.name],
    [t("evaluation.scope"), where(format, v.scope, names)],
    [t("evaluation.cohort"), where(format, v.cohort, names)],
    [t("evaluation.begins"), format.day(v.since)],
    [t("evaluation.claim"), t(`evaluation.claim.${v.claim}`)],
    [t("evaluation.metric"), t("evaluation.metricVersion", { name: evaluation ? format.text(evaluation.result.metric.label) : v.metric, version: v.metric_version })],
    [t("evaluation.windows"), t("evaluation.windowsText", { before: v.windows.before, after: v.windows.after, settling: v.windows.settling })],
    ...(v.exclusions ?? []).map((e): [string, string] => [t("evaluation.excluded"), `${where(format, e.where, names)} ${[e.from, e.to].filter(Boolean).join("–")}: ${e.why}`]),
  ];
  return (
    <section class="panel registration" aria-labelledby="registration-title">
      <h2 id="registration-title">{t("evaluation.registration")}</h2>
      <dl class="pairs">{rows.map(([name, text], i) => <div key={i}><dt>{name}</dt><dd>{text}</dd></div>)}</dl>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("evaluation.versions")}>
        <table>
          <caption>{t("evaluation.versions")}</caption>
          <thead><tr><th scope="col">{t("evaluation.version")}</th><th scope="col">{t("evaluation.registeredAt")}</th><th scope="col">{t("evaluation.order")}</th><th scope="col">{t("evaluation.hash")}</th></tr></thead>
          <tbody>
            {[...detail.versions].reverse().map((r) => (
              <tr key={r.version} data-version={r.version}>
                <th scope="row">{r.version}</th>
                <td>{format.time(new Date(r.registered_at))}</td>
                <td class={r.late ? "late-cell" : ""}>{r.late ? t("evaluation.afterSeen", { seen: r.seen_at ? format.time(new Date(r.seen_at)) : "" }) : t("evaluation.beforeSeen")}</td>
                <td><code class="hash">{r.hash}</code></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="definition">{t("evaluation.chain")}</p>
      {evaluation && <p class="definition">{t("evaluation.resultHash")} <code class="hash">{evaluation.result_hash}</code></p>}
    </section>
  );
}
