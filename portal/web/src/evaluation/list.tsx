import type { Format } from "../logic/format";
import { Loading, ReadFailed } from "../parts/states";
import { useBeat, useRemote } from "../remote";
import { listURL, type Listed } from "./api";
import type { Choose } from "./app";
import { Badge, GainBar, LateMark } from "./bits";
import { format as formatState, type EvaluationState } from "./state";
import { gainText } from "./words";

const refreshEvery = 60_000;

interface ListPageProps {
  view: EvaluationState;
  choose: Choose;
  format: Format;
}

/** What the county did, the newest first: the verdict of each, or why there is none yet. */
export function ListPage({ view, choose, format }: ListPageProps) {
  const t = format.t;
  const [beat, look] = useBeat(refreshEvery);
  const list = useRemote<Listed[]>(listURL, String(beat));
  if (!list.data) return list.failure ? <ReadFailed title={t("evaluation.failed")} failure={list.failure} retry={look} format={format} /> : <Loading t={t} />;
  if (list.data.length === 0) return <Nothing format={format} />;
  return (
    <>
      {list.failure && <p class="late" role="alert">{t("evaluation.stale")}</p>}
      <ul class="interventions">
        {[...list.data].reverse().map((i) => <Row key={i.name} of={i} view={view} choose={choose} format={format} />)}
      </ul>
      <p class="definition">{t("evaluation.explain")}</p>
    </>
  );
}

function Row({ of, view, choose, format }: { of: Listed } & ListPageProps) {
  const t = format.t;
  const r = of.registered;
  const open = (e: MouseEvent) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return; // a tab of its own
    e.preventDefault();
    choose({ intervention: of.name, tables: [] });
  };
  return (
    <li class="panel" data-intervention={of.name}>
      <div>
        <h2><a href={`/evaluation${formatState({ ...view, intervention: of.name })}`} onClick={open}>{format.text(of.title) || of.name}</a></h2>
        <p class="what-line">
          {of.starts_on && t("evaluation.since", { day: format.day(of.starts_on) })}
          {r && <> · {t(`evaluation.claim.${r.claim}`)}</>}
        </p>
        {r ? (
          <p class="what-line">{t("evaluation.registered", { at: format.time(new Date(r.registered_at)), hash: r.hash.slice(0, 12) })}</p>
        ) : (
          <p class="what-line">{t("evaluation.unregistered")}</p>
        )}
        {r && <LateMark of={r} format={format} />}
      </div>
      <div class="verdict-cell">
        {r?.verdict ? (
          <>
            <Badge word={r.verdict.word} format={format} />
            {r.verdict.gain && <GainBar gain={r.verdict.gain} format={format} />}
            {r.verdict.gain && <p class="what-line">{gainText(format, r.verdict.gain)}</p>}
            {r.verdict.version !== r.version && <p class="what-line">{t("evaluation.older", { version: r.verdict.version })}</p>}
          </>
        ) : (
          r && <span class="badge">{t("evaluation.notYet")}</span>
        )}
      </div>
    </li>
  );
}

function Nothing({ format }: { format: Format }) {
  const t = format.t;
  return (
    <section class="message">
      <h2>{t("evaluation.none")}</h2>
      <p>{t("evaluation.noneWhat")}</p>
      <pre><code>{"interventions: interventions"}</code></pre>
      <p>{t("evaluation.noneThen")}</p>
      <pre><code>{"shire check\nshire metrics register"}</code></pre>
    </section>
  );
}
