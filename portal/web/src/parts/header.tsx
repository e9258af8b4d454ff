import type { County } from "../api";
import type { Language } from "../catalogue";
import { nameOf, usePage } from "../context";
import type { Format } from "../logic/format";
import { index, months } from "../logic/months";
import { periodLengths, themes, type Theme, type ViewState } from "../logic/state";
import { format as formatEvaluation, start as startEvaluation } from "../evaluation/state";
import { format as formatFigures, start as startFigures } from "../figures/state";
import { format as formatJobs, start as startJobs } from "../jobs/state";
import { format as formatPlace } from "../sharing/place";
import { format as formatReview, start as startReview } from "../review/state";

interface MastheadProps {
  name: string;
  county: County | null;
  view: ViewState;
  choose: (change: Partial<ViewState>) => void;
  format: Format;
}

export function Masthead({ name, county, view, choose, format }: MastheadProps) {
  const t = format.t;
  const wall = view.view === "wall";
  return (
    <header class="masthead">
      <div class="title">
        <h1>
          {name}
          <span class="title-what">{t("app.title")}</span>
        </h1>
        <p>{t("app.subtitle")}</p>
      </div>
      <div class="tools">
        {wall && county?.as_of && <span class="tools-note">{t("app.asOf", { time: format.time(new Date(county.as_of)) })}</span>}
        {!wall && <a class="quiet" href={`/figures${formatFigures({ ...startFigures, lang: view.lang, theme: view.theme })}`}>{t("figures.title")}</a>}
        {!wall && county?.evaluation && <a class="quiet" href={`/evaluation${formatEvaluation({ ...startEvaluation, lang: view.lang, theme: view.theme })}`}>{t("evaluation.title")}</a>}
        {!wall && county?.catalogue && <a class="quiet" href={`/catalogue${formatPlace({ lang: view.lang ?? "", theme: view.theme })}`}>{t("sharing.catalogue")}</a>}
        {!wall && county?.requests && <a class="quiet" href={`/sharing${formatPlace({ lang: view.lang ?? "", theme: view.theme })}`}>{t("sharing.requests")}</a>}
        {!wall && county?.window && <a class="quiet" href={`/window${formatPlace({ lang: view.lang ?? "", theme: view.theme })}`}>{t("window.title")}</a>}
        {!wall && county?.jobs && <a class="quiet" href={`/jobs${formatJobs({ ...startJobs, lang: view.lang, theme: view.theme })}`}>{t("jobs.title")}</a>}
        {!wall && county?.review && <a class="quiet" href={`/review${formatReview({ ...startReview, lang: view.lang, theme: view.theme })}`}>{t("review.title")}</a>}
        {!wall && <Preferences theme={view.theme} choose={choose} format={format} />}
        <button type="button" class="quiet" onClick={() => choose({ view: wall ? "page" : "wall" })}>
          {t(wall ? "control.wallLeave" : "control.wall")}
        </button>
      </div>
    </header>
  );
}

interface PreferencesProps {
  theme: Theme;
  choose: (change: { theme?: Theme; lang?: Language }) => void;
  format: Format;
}

/** How the page looks, and in which language it speaks. */
export function Preferences({ theme, choose, format }: PreferencesProps) {
  const t = format.t;
  const other = format.language === "en" ? "zh-CN" : "en";
  return (
    <>
      <label class="field">
        <span class="visually-hidden">{t("control.theme")}</span>
        <select value={theme} onChange={(e) => choose({ theme: e.currentTarget.value as Theme })}>
          {themes.map((name) => <option key={name} value={name}>{t(`control.theme.${name}`)}</option>)}
        </select>
      </label>
      <button type="button" class="quiet" lang={other} aria-label={t("control.languageLabel")} onClick={() => choose({ lang: other })}>
        {t("control.language")}
      </button>
    </>
  );
}

/** Period, baseline and filters. */
export function Controls() {
  const { county, view, choose, period, baseline, format } = usePage();
  const t = format.t;
  // The last months with a baseline's worth of data before them are of interest; the first ones are not.
  const ends = months({ from: county.first_month, to: county.last_month }).reverse();
  const end = ends.includes(period.to) ? period.to : county.last_month;
  return (
    <div class="controls">
      <fieldset class="choice">
        <legend>{t("control.period")}</legend>
        <div class="segments">
          {periodLengths.map((n) => (
            <button key={n} type="button" aria-pressed={view.months === n} onClick={() => choose({ months: n })}>{t("control.months", { n })}</button>
          ))}
        </div>
        <label class="field">
          <span>{t("control.ending")}</span>
          <select value={end} onChange={(e) => choose({ end: index(e.currentTarget.value) === index(county.last_month) ? null : e.currentTarget.value })}>
            {ends.map((month) => <option key={month} value={month}>{format.month(month)}</option>)}
          </select>
        </label>
      </fieldset>
      <fieldset class="choice">
        <legend>{t("control.compare")}</legend>
        <div class="segments">
          {(["year", "preceding"] as const).map((c) => (
            <button key={c} type="button" aria-pressed={view.compare === c} onClick={() => choose({ compare: c })}>{t(`control.compare.${c}`)}</button>
          ))}
        </div>
      </fieldset>
      <p class="spans">
        <span><i class="key key-current" />{format.range(period.from, period.to)}</span>
        <span><i class="key key-baseline" />{format.range(baseline.from, baseline.to)}</span>
      </p>
      <Filters />
    </div>
  );
}

function Filters() {
  const page = usePage();
  const { view, choose, format } = page;
  const t = format.t;
  const chosen = (["department", "item"] as const).filter((d) => view[d] !== "");
  if (chosen.length === 0) return null;
  return (
    <ul class="chips" aria-label={t("control.filters")}>
      {chosen.map((dimension) => {
        const name = nameOf(page, dimension, view[dimension]);
        return (
          <li key={dimension}>
            <button type="button" aria-label={t("control.remove", { name })} onClick={() => choose({ [dimension]: "" })}>
              <span class="chip-what">{t(`control.${dimension}`)}</span>
              {name}
              <span class="chip-x" aria-hidden="true">×</span>
            </button>
          </li>
        );
      })}
      {chosen.length > 1 && (
        <li><button type="button" class="quiet" onClick={() => choose({ department: "", item: "" })}>{t("control.clear")}</button></li>
      )}
    </ul>
  );
}
