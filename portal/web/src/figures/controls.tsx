import { index, months } from "../logic/months";
import { periodLengths } from "../logic/state";
import { KnownOn } from "../parts/known";
import { useFigures } from "./context";
import { comparisons } from "./state";
import { dimensionName, valueName } from "./words";

/** Period, comparison, as known on which day, and filters. */
export function Controls() {
  const { county, view, choose, period, format } = useFigures();
  const t = format.t;
  const ends = months({ from: county.first_month, to: county.last_month }).reverse();
  return (
    <div class="controls">
      <fieldset class="choice">
        <legend>{t("control.period")}</legend>
        <div class="segments">
          {periodLengths.map((n) => (
            <button key={n} type="button" aria-pressed={view.months === n} onClick={() => choose({ months: n, skip: 0 })}>{t("control.months", { n })}</button>
          ))}
        </div>
        <label class="field">
          <span>{t("control.ending")}</span>
          <select value={period.to} onChange={(e) => choose({ end: index(e.currentTarget.value) === index(county.last_month) ? null : e.currentTarget.value, skip: 0 })}>
            {ends.map((month) => <option key={month} value={month}>{format.month(month)}</option>)}
          </select>
        </label>
      </fieldset>
      <fieldset class="choice">
        <legend>{t("control.compare")}</legend>
        <div class="segments">
          {comparisons.map((c) => (
            <button key={c} type="button" aria-pressed={view.compare === c} disabled={c === "known" && !view.known} title={c === "known" && !view.known ? t("figures.knownFirst") : undefined} onClick={() => choose({ compare: c, skip: 0 })}>
              {t(`figures.compare.${c}`)}
            </button>
          ))}
        </div>
      </fieldset>
      <KnownOn day={view.known} last={county.as_of?.slice(0, 10)} format={format} choose={(known) => choose({ known, compare: !known && view.compare === "known" ? "previous" : view.compare, skip: 0 })} />
      <Filters />
    </div>
  );
}

function Filters() {
  const { view, choose, labels, format } = useFigures();
  const t = format.t;
  const chosen = Object.keys(view.where).sort();
  if (chosen.length === 0) return null;
  const without = (dimension: string) => Object.fromEntries(Object.entries(view.where).filter(([d]) => d !== dimension));
  return (
    <ul class="chips" aria-label={t("control.filters")}>
      {chosen.map((dimension) => {
        const name = valueName(format, labels, dimension, view.where[dimension]!);
        return (
          <li key={dimension}>
            <button type="button" aria-label={t("control.remove", { name })} onClick={() => choose({ where: without(dimension), by: dimension, skip: 0 })}>
              <span class="chip-what">{dimensionName(format, dimension)}</span>
              {name}
              <span class="chip-x" aria-hidden="true">×</span>
            </button>
          </li>
        );
      })}
      {chosen.length > 1 && <li><button type="button" class="quiet" onClick={() => choose({ where: {}, by: "", skip: 0 })}>{t("control.clear")}</button></li>}
    </ul>
  );
}
